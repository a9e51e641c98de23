/** Many who come back at once: from memory where that can prove nothing is missing, else by a few shared reads. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { gapPage, Rig } from '../support/broadcast-rig.ts';
import { CHANNEL, FollowedLog } from '../support/followed-log.ts';

const ALL = Array.from({ length: 400 }, (_, i) => `m${i}`);

/** A broadcaster that has seen nothing yet, over a log that holds ALL. */
async function restarted(config: ConstructorParameters<typeof FollowedLog>[0] = {}): Promise<FollowedLog> {
  const followed = new FollowedLog({ ringBytes: 1024 * 1024, ...config });
  await followed.publish(...ALL);
  return followed;
}

function plain({ id }: Cursor): Cursor {
  return { id, epoch: null, ordinal: null };
}

describe('many who come back with cursors of their own', () => {
  test('are served by the ring without a read, once it has what they missed', async () => {
    await using followed = new FollowedLog({ ringBytes: 1024 * 1024 });
    await followed.publish('first');
    const watching = await followed.follow({ at: 'latest' });
    await followed.publishApart(...ALL);
    await followed.settled([watching]);
    for (let back = 1; back <= 100; back++) {
      const cursor = await followed.cursorBefore(back);
      const follower = await followed.follow({
        at: 'cursor',
        cursor: back % 2 === 0 ? plain(cursor) : cursor,
      });
      assert.deepEqual(follower.transport.texts, ALL.slice(-back));
    }
    assert.equal(followed.log.count('read'), 0);
  });

  for (const [what, form] of [
    ['whole cursors', (cursor: Cursor) => cursor],
    ['plain ids', plain],
  ] as const) {
    test(`after a restart share the reads, with ${what}`, async () => {
      await using followed = await restarted();
      const cursors: Cursor[] = [];
      for (let back = 1; back <= 200; back++) cursors.push(form(await followed.cursorBefore(back)));
      const followers = await Promise.all(
        cursors.toReversed().map((cursor) => followed.follow({ at: 'cursor', cursor })),
      );
      await followed.settled(followers);
      for (const [i, { transport }] of followers.entries())
        assert.deepEqual(transport.texts, ALL.slice(i - 200));
      // The four that were let in first, and none for those who found what they had brought.
      assert.ok(followed.log.count('read') <= 4, `${followed.log.count('read')} reads`);
    });
  }

  test('are read for anew once the history was replaced, whatever memory still holds', async () => {
    const rig = new Rig();
    await rig.append(...ALL);
    const { epoch } = await rig.log.bounds(CHANNEL);
    const cursor = await rig.log.inner.locate(CHANNEL, { at: 'last', count: 50 });
    await rig.ranges.after(rig.tail, cursor);
    const inside = await rig.log.inner.locate(CHANNEL, { at: 'last', count: 40 });
    const found = await rig.ranges.after(rig.tail, inside);
    assert.deepEqual([found.place, rig.log.count('read')], [{ no: 0, index: 10 }, 1]);
    rig.tail.push(gapPage('reset', { ...cursor, epoch: `${epoch}x` }));
    await rig.ranges.after(rig.tail, inside);
    assert.equal(rig.log.count('read'), 2);
    assert.equal(rig.context.budget.bytes > 0, true);
  });

  test('are not told of somebody who claimed to have been there before the entry was', async () => {
    const rig = new Rig();
    await rig.append('first');
    const { epoch, tip } = await rig.log.bounds(CHANNEL);
    const forged = { id: `${tip.split('-')[0]}-1`, epoch, ordinal: null };
    const early = await rig.ranges.after(rig.tail, forged);
    assert.equal(early.range.item(0)?.kind, 'gap');
    await rig.append('second', 'third');
    for (const cursor of [forged, plain(forged)]) {
      const { range, place } = await rig.ranges.after(rig.tail, cursor);
      assert.deepEqual([range.item(place.no)?.kind, range.start.id], ['block', forged.id]);
    }
  });

  test('are read for anew when nobody had followed the channel: a reset would have gone unnoticed', async () => {
    await using followed = await restarted();
    const cursor = await followed.cursorBefore(50);
    for (const reads of [1, 2]) {
      const follower = await followed.follow({ at: 'cursor', cursor });
      await followed.settled([follower]);
      assert.equal(followed.log.count('read'), reads);
      follower.subscriber.detach();
      followed.clock.advance(30_000);
      followed.broadcaster.tick();
    }
    assert.equal(followed.broadcaster.stats().ringBytes, 0);
  });

  test('what was being read while the history was replaced is not kept', async () => {
    const rig = new Rig();
    await rig.append(...ALL);
    const cursor = await rig.log.inner.locate(CHANNEL, { at: 'last', count: 50 });
    rig.log.hold('read');
    const reading = rig.ranges.after(rig.tail, cursor);
    rig.tail.push(gapPage('reset', { ...cursor, epoch: 'another' }));
    rig.log.release('read');
    await reading;
    await rig.ranges.after(rig.tail, cursor);
    assert.equal(rig.log.count('read'), 2);
  });

  test('a gap is told to whoever claimed what it was reckoned from, and to nobody else at the same id', async () => {
    await using followed = await restarted();
    const cursor = await followed.cursorBefore(300);
    await followed.log.trim(CHANNEL, { maxEntries: 100 });
    const lost = async (asked: Cursor) => {
      const { gap } = await followed.broadcaster.admit(CHANNEL, { at: 'cursor', cursor: asked });
      return [gap?.requested.ordinal, gap?.lost];
    };
    const { id, epoch } = cursor;
    // One who knows less, one who forges, and the one who has it right.
    assert.deepEqual(await lost(plain(cursor)), [null, null]);
    assert.deepEqual(await lost({ id, epoch, ordinal: 3 }), [3, 297]);
    assert.deepEqual(await lost(cursor), [100, 200]);
    assert.deepEqual(await lost(plain(cursor)), [null, null]);
  });

  test('a plain id is looked for only in the present history', async () => {
    const rig = new Rig();
    await rig.append(...ALL);
    const cursor = await rig.log.inner.locate(CHANNEL, { at: 'last', count: 50 });
    await rig.ranges.after(rig.tail, cursor);
    const inside = plain(await rig.log.inner.locate(CHANNEL, { at: 'last', count: 40 }));
    // The tail stands at another history than the range that is kept.
    await rig.ranges.after(rig.tail, inside);
    assert.equal(rig.log.count('read'), 2);
  });
});

describe('those with a long way to go', () => {
  const many = { maxCatchUps: 2, ringBytes: 1, writeBytes: 4096 };

  test('are let in up to a number; more are told to come back, and are let in when others have arrived', async () => {
    await using followed = await restarted(many);
    // Far more than what counts as near.
    for (let i = 0; i < 30; i++) await followed.publish(...Array.from({ length: 1000 }, () => 'x'));
    const both = [await followed.follow({ at: 'earliest' }), await followed.follow({ at: 'earliest' })];
    assert.equal(followed.broadcaster.stats().catchingUp, 2);
    const refused = followed.follow({ at: 'earliest' });
    await assert.rejects(
      refused,
      (error) => error instanceof RivercastError && error.code === 'limit_reached',
    );
    // Nobody is refused for being near.
    const near = await followed.follow({ at: 'last', count: 10 });
    await followed.settled([...both, near]);
    assert.equal(followed.broadcaster.stats().catchingUp, 0);
    const third = await followed.follow({ at: 'earliest' });
    await followed.settled([third]);
    assert.equal(third.transport.texts.length, ALL.length + 30_000);
  });

  test('are counted from the moment they are let in, also when all come at once', async () => {
    await using followed = await restarted(many);
    for (let i = 0; i < 30; i++) await followed.publish(...Array.from({ length: 1000 }, () => 'x'));
    const asked = Array.from({ length: 50 }, () => followed.broadcaster.admit(CHANNEL, { at: 'earliest' }));
    const results = await Promise.allSettled(asked);
    const admitted = results.filter((result) => result.status === 'fulfilled');
    assert.equal(admitted.length, 2);
    for (const { value } of admitted) value[Symbol.dispose]();
    assert.equal(followed.broadcaster.stats().catchingUp, 0);
    const three = [CHANNEL, CHANNEL, CHANNEL];
    await assert.rejects(followed.broadcaster.admitAll(three, { at: 'earliest' }));
    assert.equal(followed.broadcaster.stats().catchingUp, 0);
  });

  test('that leave on the way make room', async () => {
    await using followed = await restarted(many);
    for (let i = 0; i < 30; i++) await followed.publish(...Array.from({ length: 1000 }, () => 'x'));
    followed.log.hold('read');
    const both = [await followed.follow({ at: 'earliest' }), await followed.follow({ at: 'earliest' })];
    for (const { subscriber } of both) subscriber.detach();
    assert.equal(followed.broadcaster.stats().catchingUp, 0);
    followed.log.release('read');
    const third = await followed.follow({ at: 'earliest' });
    third.subscriber.close(1012);
    assert.equal(followed.broadcaster.stats().catchingUp, 0);
  });
});
