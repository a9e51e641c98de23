/** How far behind a subscription is said to be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RAW } from '../../src/broadcaster/formats/raw.ts';
import { standingOf } from '../../src/broadcaster/standing.ts';
import { Subscriber } from '../../src/broadcaster/subscriber.ts';
import { Subscription } from '../../src/broadcaster/subscription.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { at, entries, pageOf, Rig } from '../support/broadcast-rig.ts';
import { RecordingTransport } from '../support/recording-transport.ts';

/** A subscription that was sent everything up to the cursor, and nothing since. */
function placed(rig: Rig, cursor: Cursor): Subscription {
  const subscriber = new Subscriber(rig.context, new RecordingTransport(), RAW);
  return new Subscription(rig.tail, subscriber, { cursor, fresh: false, onGap: 'close' });
}

test('one that was sent everything is not behind, and neither is one that has seen more than this process', () => {
  const rig = new Rig();
  rig.tail.push(pageOf(entries(1, 10)));
  const subscription = placed(rig, at(10));
  assert.deepEqual(standingOf(subscription, 5000), { entries: 0, ms: 0, offRing: false });
  const ahead = placed(rig, at(12));
  assert.deepEqual(standingOf(ahead, 5000), { entries: 0, ms: 0, offRing: false });
});

test('in memory: by the number of entries, and the age of the oldest of them', () => {
  const rig = new Rig({ start: at(100) });
  rig.tail.push(pageOf(entries(101, 105)));
  rig.tail.push(pageOf(entries(106, 110)));
  const subscription = placed(rig, at(103));
  // Entry 104 is the first that it lacks; its time is in its id.
  assert.deepEqual(standingOf(subscription, 5000), { entries: 7, ms: 5000 - 104, offRing: false });
  const next = placed(rig, at(105));
  assert.deepEqual(standingOf(next, 5000), { entries: 5, ms: 5000 - 106, offRing: false });
});

test('behind what is in memory: since what it was sent last', () => {
  const rig = new Rig({ start: at(100) });
  rig.tail.push(pageOf(entries(101, 110)));
  const subscription = placed(rig, at(50));
  assert.deepEqual(standingOf(subscription, 5000), { entries: 60, ms: 5000 - 50, offRing: true });
});

test('from the very beginning: since what memory begins with', () => {
  const rig = new Rig({ start: at(100) });
  rig.tail.push(pageOf(entries(101, 110)));
  const subscription = placed(rig, at(0));
  assert.deepEqual(standingOf(subscription, 5000), { entries: 110, ms: 5000 - 100, offRing: true });
});

test('the number is unknown where ordinals are, or are those of another history', () => {
  const rig = new Rig({ start: at(100) });
  rig.tail.push(pageOf(entries(101, 110)));
  const subscription = placed(rig, { ...at(50), ordinal: null });
  assert.equal(standingOf(subscription, 5000).entries, null);
  const other = placed(rig, at(50, 'other'));
  assert.equal(standingOf(other, 5000).entries, null);
});

test('a clock that is behind the ids makes it no less than nothing', () => {
  const rig = new Rig({ start: at(100) });
  rig.tail.push(pageOf(entries(101, 110)));
  const subscription = placed(rig, at(103));
  assert.equal(standingOf(subscription, 20).ms, 0);
});
