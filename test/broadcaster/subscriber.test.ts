/** One subscriber: when its cursor moves, what a gap does to it, and how it ends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { at, entry, gapPage, pageOf, Rig } from '../support/broadcast-rig.ts';
import { CHANNEL, FollowedLog, turn } from '../support/followed-log.ts';

describe('the cursor', () => {
  test('moves past an entry only once it went to the socket', () => {
    const rig = new Rig();
    const { subscription, transport } = rig.subscribe();
    let during = '';
    transport.onWrite = () => {
      during = subscription.cursor.id;
    };
    rig.tail.push(pageOf([entry(1)]));
    assert.equal(during, '0-0');
    assert.deepEqual(subscription.cursor, at(1));
  });

  test('stays when the connection has begun to close, and nothing is written', () => {
    const rig = new Rig();
    const { subscriber, subscription, transport } = rig.subscribe();
    transport.outcome = 'closed';
    rig.tail.push(pageOf([entry(1)]));
    assert.deepEqual(subscription.cursor, at(0));
    assert.equal(transport.writes.length, 0);
    assert.deepEqual([subscriber.isOpen, rig.tail.count], [false, 0]);
  });

  test('moves with a write that is pending, since that is complete when the peer reads on', () => {
    const rig = new Rig();
    const { subscription, transport } = rig.subscribe();
    transport.outcome = 'pending';
    rig.tail.push(pageOf([entry(1)]));
    rig.tail.push(pageOf([entry(2)]));
    assert.deepEqual(subscription.cursor, at(1));
    assert.deepEqual(transport.texts, ['m1']);
  });
});

describe('a stalled subscriber', () => {
  test('is written nothing until it drained, then everything that came, in as few writes as fit', () => {
    const rig = new Rig();
    const { subscriber, transport } = rig.subscribe();
    transport.outcome = 'pending';
    for (let n = 1; n <= 10; n++) rig.tail.push(pageOf([entry(n)]));
    assert.equal(transport.writes.length, 1);
    transport.drain();
    subscriber.drained();
    assert.equal(transport.writes.length, 2);
    assert.deepEqual(transport.texts.length, 10);
    assert.equal(rig.context.stalls.count, 0);
  });

  test('that may yet prove to be none is written nothing, counted nowhere, and goes on when it does', () => {
    const rig = new Rig();
    const { subscriber, transport } = rig.subscribe();
    transport.outcome = 'underway';
    for (let n = 1; n <= 10; n++) rig.tail.push(pageOf([entry(n)]));
    assert.deepEqual([transport.writes.length, rig.context.stalls.count, subscriber.isOpen], [1, 0, true]);
    transport.drain();
    subscriber.drained();
    assert.deepEqual([transport.writes.length, transport.texts.length], [2, 10]);
  });

  test('whose bytes were encrypted holds as many as are pending, alone', () => {
    const rig = new Rig();
    const members = [rig.subscribe(), rig.subscribe()];
    for (const { transport } of members) transport.outcome = 'underway';
    rig.tail.push(pageOf([entry(1)]));
    for (const { subscriber } of members) subscriber.stalled(300);
    assert.deepEqual([rig.context.stalls.count, rig.context.stalls.bytes], [2, 600]);
    rig.tail.push(pageOf([entry(2)]));
    for (const { subscriber, transport } of members) {
      transport.drain();
      subscriber.drained();
      assert.deepEqual(transport.texts, ['m1', 'm2']);
    }
    assert.deepEqual([rig.context.stalls.count, rig.context.stalls.bytes], [0, 0]);
  });

  test('that was closed before it proved to be one is counted until its bytes are gone', () => {
    const rig = new Rig();
    const { subscriber, transport } = rig.subscribe();
    transport.outcome = 'underway';
    rig.tail.push(pageOf([entry(1)]));
    subscriber.close(1012);
    subscriber.stalled(300);
    assert.equal(rig.context.stalls.bytes, 300);
    subscriber.drained();
    assert.equal(rig.context.stalls.bytes, 0);
  });

  test('that falls off the ring goes on from the log', async () => {
    await using followed = new FollowedLog();
    const follower = await followed.follow({ at: 'latest' });
    follower.transport.outcome = 'pending';
    await followed.publishApart('a', 'b', 'c', 'd', 'e');
    follower.transport.drain();
    follower.subscriber.drained();
    await followed.settled([follower]);
    assert.deepEqual(follower.transport.texts, ['a', 'b', 'c', 'd', 'e']);
  });

  test('that is closed is told once, and stays counted while its bytes are pending', () => {
    const rig = new Rig();
    const { subscriber, transport } = rig.subscribe();
    transport.outcome = 'pending';
    rig.tail.push(pageOf([entry(1)]));
    subscriber.close(4408);
    subscriber.close(1012);
    assert.deepEqual(transport.closedWith, { code: 4408, reason: 'cursor=1-0@e1.1' });
    assert.equal(rig.context.stalls.count, 1);
    rig.tail.push(pageOf([entry(2)]));
    subscriber.drained();
    assert.deepEqual(transport.texts, ['m1']);
    assert.equal(rig.context.stalls.count, 0);
  });

  test('that is gone leaves nothing behind', () => {
    const rig = new Rig();
    const { subscriber, transport } = rig.subscribe();
    transport.outcome = 'pending';
    rig.tail.push(pageOf([entry(1)]));
    subscriber.detach();
    subscriber.drained();
    subscriber.detach();
    assert.deepEqual([rig.tail.count, rig.context.stalls.count, rig.context.stalls.bytes], [0, 0, 0]);
  });

  test('that was destroyed for the memory of all takes nothing more', () => {
    const rig = new Rig();
    const { subscriber, transport } = rig.subscribe();
    subscriber.destroy();
    rig.tail.push(pageOf([entry(1)]));
    assert.deepEqual([transport.destroyed, transport.writes.length, subscriber.isOpen], [true, 0, false]);
  });
});

describe('a gap in what comes', () => {
  test('closes one that asked to be told, with the cursor after the gap', () => {
    const rig = new Rig();
    const { transport } = rig.subscribe({ onGap: 'close' });
    rig.tail.push(gapPage('trimmed', at(9), [entry(10)]));
    assert.deepEqual(transport.closedWith, { code: 4410, reason: 'cursor=9-0@e1.9' });
    assert.deepEqual(transport.texts, []);
  });

  test('closes it only after what came before the gap was written', () => {
    const rig = new Rig();
    const { transport } = rig.subscribe({ onGap: 'close' });
    const page = pageOf([entry(1), entry(10)]);
    const [gap] = gapPage('trimmed', at(9)).gaps;
    rig.tail.push({ ...page, gaps: [{ before: 1, gap: gap?.gap ?? assert.fail() }] });
    assert.deepEqual(transport.texts, ['m1']);
    assert.equal(transport.closedWith?.code, 4410);
  });

  test('is passed over by one that asked for that', () => {
    const rig = new Rig();
    const { transport } = rig.subscribe({ onGap: 'skip' });
    rig.tail.push(gapPage('reset', at(3, 'e2'), [{ ...entry(4), ordinal: 4 }]));
    assert.deepEqual(transport.texts, ['m4']);
    assert.equal(transport.closedWith, null);
  });

  test('closes nobody when entries were deleted', () => {
    const rig = new Rig();
    const { transport } = rig.subscribe({ onGap: 'close' });
    rig.tail.push(gapPage('deleted', at(9), [entry(10)]));
    assert.deepEqual(transport.texts, ['m10']);
  });

  for (const reason of ['reset', 'damaged'] as const) {
    test(`of reason ${reason} closes one that asked to be told`, () => {
      const rig = new Rig();
      const { transport } = rig.subscribe({ onGap: 'close' });
      rig.tail.push(gapPage(reason, at(9, 'e2'), [entry(10)]));
      assert.deepEqual(transport.closedWith, { code: 4410, reason: 'cursor=9-0@e2.9' });
    });
  }

  test('that trimmed what one at the tip had waited for is a loss to it, also before its first entry', async () => {
    await using followed = new FollowedLog();
    await followed.publish('a');
    const follower = await followed.follow({ at: 'latest' });
    await turn();
    // In one turn, so that whoever follows the log looks only afterwards.
    const texts = ['b', 'c', 'd'].map((text) => ({ type: 'text' as const, data: Buffer.from(text) }));
    const { inner } = followed.log;
    await Promise.all([inner.append(CHANNEL, texts), inner.trim(CHANNEL, { maxEntries: 1 })]);
    await followed.settled([follower]);
    assert.deepEqual([follower.transport.closedWith?.code, follower.transport.texts], [4410, []]);
  });

  test('that trimmed what lies before the first entry of a fresh start is none to it', async () => {
    await using followed = new FollowedLog();
    await followed.publish('a', 'b', 'c', 'd');
    followed.log.hold('read');
    const follower = await followed.follow({ at: 'earliest' });
    await turn();
    await followed.log.trim(CHANNEL, { maxEntries: 2 });
    followed.log.release('read');
    await followed.settled([follower]);
    assert.deepEqual(follower.transport.texts, ['c', 'd']);
    assert.equal(follower.transport.closedWith, null);
  });

  test('that trimmed what lies behind a subscriber already reading closes it', async () => {
    await using followed = new FollowedLog({ writeBytes: 4096 });
    await followed.publish(...Array.from({ length: 20 }, (_, i) => String(i).padEnd(3000, '.')));
    const follower = await followed.follow({ at: 'earliest' });
    follower.transport.outcome = 'pending';
    await turn();
    await turn();
    assert.equal(follower.transport.texts.length, 1);
    await followed.log.trim(CHANNEL, { maxEntries: 5 });
    follower.transport.drain();
    follower.subscriber.drained();
    await followed.settled([follower]);
    assert.equal(follower.transport.closedWith?.code, 4410);
    assert.equal(follower.transport.closedWith?.reason, `cursor=${await cursorText(followed, 5)}`);
  });
});

async function cursorText(followed: FollowedLog, count: number): Promise<string> {
  const { id, epoch, ordinal } = await followed.cursorBefore(count);
  return `${id}@${epoch}.${ordinal}`;
}
