/**
 * The fuzz run from the command line: exit code 0 when the server took everything as it should.
 *
 *   node build/fuzz/run.js [--inputs 200000] [--seed …] [--first 0]
 *
 * `--seed S --first N --inputs 1` plays a single input again.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type FuzzOptions, fuzz } from './fuzz.ts';
import { report } from './report.ts';

const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '' },
    seed: { type: 'string', default: '' },
    first: { type: 'string', default: '0' },
  },
});

// What it started ends with it (chaos/processes.ts), when it exits and does not die of the signal.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(EXIT_INTERRUPTED));
}

function read(): FuzzOptions {
  const inputs = Number(values.inputs === '' ? 200_000 : values.inputs);
  const first = Number(values.first);
  if (!Number.isSafeInteger(inputs) || inputs < 1) throw new TypeError(`--inputs ${values.inputs}: a number`);
  if (!Number.isSafeInteger(first) || first < 0) throw new TypeError(`--first ${values.first}: a number`);
  return {
    inputs,
    first,
    seed: values.seed === '' ? String(Date.now()) : values.seed,
    main: fileURLToPath(new URL('../src/cli/main.js', import.meta.url)),
    say: (line) => process.stdout.write(`${line}\n`),
  };
}

async function main(options: FuzzOptions): Promise<number> {
  process.stdout.write(`fuzz: ${options.inputs} inputs, SEED=${options.seed}\n`);
  const outcome = await fuzz(options);
  process.stdout.write(`${report(outcome)}\nfuzz: SEED=${options.seed}\n`);
  return outcome.findings.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(read());
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = EXIT_USAGE;
}
