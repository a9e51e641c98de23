/**
 * Chaos from the command line: exit code 0 when nothing was lost, duplicated, out of order or unexplained, and
 * enough was done to it.
 *
 *   node build/chaos/run.js [--store redis|embedded] [--durability replicated|memory] [--minutes 10] [--seed …]
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type ChaosOptions, chaos } from './chaos.ts';
import { accounts, demands, report, tooQuiet } from './report.ts';

const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'redis' },
    durability: { type: 'string', default: 'replicated' },
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '' },
    rate: { type: 'string', default: '1000' },
    /** Also lets an old master take messages while there is a new one. */
    'two-masters': { type: 'boolean', default: false },
    /** Tells each fault. */
    verbose: { type: 'boolean', default: false },
  },
});

// What it started ends with it (processes.ts), when it exits and does not die of the signal.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(EXIT_INTERRUPTED));
}

function read(): ChaosOptions {
  const { store, durability, minutes, seed, rate, verbose } = values;
  if (store !== 'redis' && store !== 'embedded') throw new TypeError(`--store ${store}: redis or embedded`);
  if (durability !== 'replicated' && durability !== 'memory')
    throw new TypeError(`--durability ${durability}: replicated or memory`);
  if (!(Number(minutes) > 0)) throw new TypeError(`--minutes ${minutes}: a number above 0`);
  if (!(Number(rate) > 0)) throw new TypeError(`--rate ${rate}: messages a second`);
  const began = performance.now();
  return {
    store,
    durability,
    ms: Number(minutes) * 60_000,
    seed: seed === '' ? String(Date.now()) : seed,
    main: fileURLToPath(new URL('../src/cli/main.js', import.meta.url)),
    twoMasters: values['two-masters'],
    rate: Number(rate),
    each: 2,
    restMs: 3000,
    say: (line) => {
      // The line of each minute; the faults only when asked for.
      if (!verbose && !/acknowledged|again/.test(line)) return;
      const seconds = Math.round((performance.now() - began) / 1000);
      process.stdout.write(`${String(seconds).padStart(5)} s  ${line}\n`);
    },
  };
}

async function main(options: ChaosOptions): Promise<number> {
  const { store, durability, ms, seed } = options;
  const log = store === 'redis' ? `redis, DURABILITY=${durability}` : store;
  process.stdout.write(`chaos: ${log}, ${ms / 60_000} minutes, SEED=${seed}\n`);
  const outcome = await chaos(options);
  const { folder, violations } = outcome;
  if (folder !== null) writeFileSync(join(folder, 'violations.txt'), accounts(violations).join('\n'));
  const quiet = tooQuiet(outcome.tally, demands(store, ms));
  process.stdout.write(`${report(outcome, quiet)}\nchaos: ${log}, SEED=${seed}\n`);
  return violations.length + quiet.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(read());
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = EXIT_USAGE;
}
