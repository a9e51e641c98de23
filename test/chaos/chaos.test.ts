/**
 * The chaos check in its short form, on each store: some seconds of it, with at least one kill, and on Redis a
 * failover. At length it is `make chaos`. To run one again: `SEED=… npm run test:chaos`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChaosOptions, chaos } from '../../chaos/chaos.ts';
import { demands, report, tooQuiet } from '../../chaos/report.ts';
import { MAIN } from '../support/cli.ts';

const SHORT = { rate: 600, each: 1, restMs: 1200, twoMasters: false, main: MAIN } as const;

/** What takes some seconds may take longer on a machine that is busy. */
const MOST_MS = 40_000;

for (const [store, durability, ms] of [
  ['embedded', 'memory', 4000],
  ['redis', 'replicated', 6000],
] as const) {
  test(`some seconds of chaos on ${store} lose nothing and repeat nothing`, async (t) => {
    const seed = process.env['SEED'] ?? String(Date.now());
    t.diagnostic(`SEED=${seed}`);
    const lines: string[] = [];
    const wanted = demands(store, ms);
    const options: ChaosOptions = {
      ...{ ...SHORT, store, durability, ms, seed },
      mostMs: MOST_MS,
      isEnough: (tally) => tooQuiet(tally, wanted).length === 0,
      say: (line) => lines.push(line),
    };
    const outcome = await chaos(options);
    const quiet = tooQuiet(outcome.tally, wanted);
    assert.equal(
      outcome.violations.length + quiet.length,
      0,
      `SEED=${seed}\n${lines.join('\n')}\n${report(outcome, quiet)}`,
    );
  });
}
