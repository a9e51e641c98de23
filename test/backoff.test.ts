/** How long is waited before another try. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../src/backoff.ts';

function waits(random: number, count: number): number[] {
  const backoff = new Backoff({ firstMs: 20, maxMs: 500, random: () => random });
  return Array.from({ length: count }, () => backoff.nextMs());
}

test('a wait doubles with each failure up to its bound, and is drawn between half of it and all', () => {
  assert.deepEqual(waits(1, 7), [20, 40, 80, 160, 320, 500, 500]);
  assert.deepEqual(waits(0, 7), [10, 20, 40, 80, 160, 250, 250]);
});

test('an outage of days changes nothing, and what works begins anew', () => {
  assert.equal(waits(1, 5000).at(-1), 500);
  const backoff = new Backoff({ firstMs: 20, maxMs: 500, random: () => 1 });
  backoff.nextMs();
  backoff.nextMs();
  backoff.reset();
  assert.equal(backoff.nextMs(), 20);
});

test('a wait ends as soon as it is of no use any more', async () => {
  const ending = new AbortController();
  const waiting = new Backoff({ firstMs: 3_600_000, maxMs: 3_600_000 }).wait(ending.signal);
  ending.abort();
  await waiting;
});
