/**
 * Proves that the tests can fail: each patch in test/mutants is a bug of one line that somebody could write. It is
 * put into a copy of the sources, which must still compile, and the test it names must then fail by what it
 * asserts, having passed without it. A time-out, or a test that did not run, proves nothing.
 *
 *   node scripts/prove-tests.mjs [part of a patch's name…]
 *
 * A patch begins with a line that says what is wrong, and a line `Caught by: <test file>: <name of the test>`.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const MUTANTS = join(ROOT, 'test', 'mutants');
const COPIED = [
  'src',
  'test',
  'bench',
  'chaos',
  'fuzz',
  'docs',
  'scripts',
  'package.json',
  'tsconfig.json',
  'tsconfig.base.json',
];
const TEST_TIMEOUT_MS = 60_000;
const OUTPUT_BYTES = 64 * 1024 * 1024;

const wanted = process.argv.slice(2);
const patches = readdirSync(MUTANTS)
  .filter((name) => name.endsWith('.patch'))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .toSorted((a, b) => (a < b ? -1 : 1))
  .map(readPatch);

const copy = mkdtempSync(join(tmpdir(), 'rivercast-mutants-'));
process.exitCode = 1;
try {
  for (const name of COPIED) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  process.exitCode = prove() ? 0 : 1;
} finally {
  rmSync(copy, { recursive: true, force: true });
}

function prove() {
  if (patches.length === 0) return say('there is no such patch in test/mutants');
  const fault = compile();
  if (fault !== null) return say(`the sources do not compile:\n${fault}`);
  const { status, output } = runTests(patches);
  if (status !== 0) return say(`the tests must pass as the sources are:\n${output}`);
  const missing = patches.filter(
    ({ test }) => !new RegExp(`^ *ok \\d+ - ${literal(test)}$`, 'm').test(output),
  );
  for (const { file, test } of missing) say(`there is no such test, or it was skipped: ${file}: ${test}`);
  if (missing.length > 0) return false;
  let caught = 0;
  for (const patch of patches) {
    const startedMs = performance.now();
    const verdict = verdictOn(patch);
    if (verdict === 'caught') caught += 1;
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    say(`${verdict.padEnd(16)}${seconds.padStart(5)} s  ${patch.name}: ${patch.what}`);
  }
  say(`${caught} of ${patches.length} caught`);
  return caught === patches.length;
}

function verdictOn(patch) {
  if (!apply(patch, [])) return 'DOES NOT APPLY';
  try {
    return compile() === null ? verdictOf(runTests([patch]), patch.test) : 'DOES NOT COMPILE';
  } finally {
    apply(patch, ['--reverse']);
  }
}

function verdictOf({ status, output }, test) {
  if (status === 0) return 'SURVIVED';
  const failure = new RegExp(`not ok \\d+ - ${literal(test)}$[^]*?failureType: '(\\w+)'`, 'm').exec(output);
  return failure?.[1] === 'testCodeFailure' ? 'caught' : 'FAILED OTHERWISE';
}

/** Its lines may have moved, but the one it changes and those beside it must be as they were. */
function apply({ path }, options) {
  return run('git', ['apply', ...options, path]).status === 0;
}

/** What the compiler has to say against it, or null. */
function compile() {
  const { status, output } = run(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.json']);
  if (status !== 0) return output;
  return run(process.execPath, ['scripts/copy-assets.mjs', 'build/src']).status === 0 ? null : 'no assets';
}

function runTests(named) {
  const files = new Set(named.map(({ file }) => join('build', file.replace(/\.ts$/, '.js'))));
  const names = named.map(({ test }) => `--test-name-pattern=^${literal(test)}$`);
  const options = ['--test', '--test-reporter=tap', `--test-timeout=${TEST_TIMEOUT_MS}`];
  return run(process.execPath, [...options, ...names, ...files]);
}

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: copy,
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES,
    timeout: 10 * TEST_TIMEOUT_MS,
  });
  return { status, output: `${stdout}${stderr}` };
}

function literal(text) {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function readPatch(name) {
  const path = join(MUTANTS, name);
  const [what, caughtBy] = readFileSync(path, 'utf8').split('\n');
  const [, file, test] = /^Caught by: (test\/\S+\.test\.ts): (.+)$/.exec(caughtBy) ?? [];
  if (test === undefined) throw new Error(`${name}: its second line must be "Caught by: <file>: <test>"`);
  return { name: name.replace(/\.patch$/, ''), path, what, file, test };
}

/** Returns false, for the caller to return. */
function say(line) {
  process.stdout.write(`${line}\n`);
  return false;
}
