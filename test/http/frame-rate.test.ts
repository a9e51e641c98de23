/** How many frames a second, and how many of those that lay unread, with a clock that is set by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameRate } from '../../src/http/ws/frame-rate.ts';
import { ManualClock } from '../support/clock.ts';

const PER_SECOND = 10;

/** How many are allowed at once. */
function allowed(rate: FrameRate): number {
  let count = 0;
  while (rate.allows()) count += 1;
  return count;
}

test('has its share of a second, and that of the next one', () => {
  const clock = new ManualClock();
  const rate = new FrameRate(clock, PER_SECOND);
  assert.equal(allowed(rate), PER_SECOND);
  clock.advance(999);
  assert.equal(allowed(rate), 0);
  clock.advance(1);
  assert.equal(allowed(rate), PER_SECOND);
});

test('has those of the time in which nothing was read as well', () => {
  const clock = new ManualClock();
  const rate = new FrameRate(clock, PER_SECOND);
  clock.advance(5000);
  rate.save(5000);
  assert.equal(allowed(rate), 6 * PER_SECOND);
});

test('saves no more than a minute of them, however long nothing was read', () => {
  const clock = new ManualClock();
  const rate = new FrameRate(clock, PER_SECOND);
  for (const ms of [40_000, 3_600_000]) {
    clock.advance(ms);
    rate.save(ms);
  }
  assert.equal(allowed(rate), 61 * PER_SECOND);
});
