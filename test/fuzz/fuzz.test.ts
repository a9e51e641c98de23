/**
 * The fuzz run in its short form: some thousand inputs, the same every time. At length, with others, it is
 * `make fuzz`. To try others here: `SEED=… node --test build/test/fuzz/fuzz.test.js`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../../fuzz/fuzz.ts';
import { report } from '../../fuzz/report.ts';
import { MAIN } from '../support/cli.ts';

const INPUTS = 2500;
/** What some of the inputs must have come to, or nothing of the server was reached. */
const REACHED = [
  '101',
  '200',
  '201',
  '204',
  '400',
  '401',
  '403',
  '404',
  '415',
  '426',
  'close 1002',
  'close 1007',
];

test('some thousand inputs do a server no harm, and its other clients notice nothing', async () => {
  const seed = process.env['SEED'] ?? 'short';
  const outcome = await fuzz({ seed, inputs: INPUTS, first: 0, main: MAIN, say: () => undefined });
  assert.deepEqual(outcome.findings, [], `SEED=${seed}\n${report(outcome)}`);
  assert.equal(outcome.inputs, INPUTS);
  assert.ok(outcome.healthy.received > 0);
  const missed = REACHED.filter((answer) => outcome.tally.of(`answer: ${answer}`) === 0);
  assert.deepEqual(missed, [], report(outcome));
});
