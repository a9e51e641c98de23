/**
 * Runs the compiled tests with node:test: all of build/test, or the files given. Further arguments go to
 * `node --test`. The files are listed here because Node 20 takes no globs, and because later versions changed
 * what a folder means. Ends with node's own summary and its exit code; a test that hangs fails after two
 * minutes.
 *
 *   node scripts/run-tests.mjs
 *   node scripts/run-tests.mjs build/test/config.test.js
 *   node scripts/run-tests.mjs --test-name-pattern=retention
 *   node scripts/run-tests.mjs --coverage        records what `c8 report` reports
 */
import { spawn } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** One more than the cores that are asked for (two): a file that waits, for a timer or a browser, leaves its core to another. */
const AT_A_TIME = 3;

const args = process.argv.slice(2);
const options = args.filter((arg) => arg.startsWith('-') && arg !== '--coverage');
const given = args.filter((arg) => !arg.startsWith('-'));

const files = given.length > 0 ? given : listTests('build/test');
if (files.length === 0) {
  console.error('run-tests: there are no tests in build/test. Run `npm run build:test` first.');
  process.exit(1);
}

const env = { ...process.env };
if (args.includes('--coverage')) {
  rmSync('coverage', { recursive: true, force: true });
  // Absolute, since tests start processes in other folders.
  env.NODE_V8_COVERAGE = resolve('coverage/tmp');
}

const child = spawn(
  process.execPath,
  [
    '--enable-source-maps',
    '--test',
    `--test-concurrency=${AT_A_TIME}`,
    '--test-timeout=120000',
    '--test-reporter=spec',
    ...options,
    ...files,
  ],
  { stdio: 'inherit', env },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal === null ? 1 : 130);
});

function listTests(folder) {
  const entries = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return entries
    .filter((entry) => entry.endsWith('.test.js'))
    .toSorted()
    .map((entry) => join(folder, entry));
}
