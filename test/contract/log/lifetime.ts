/** Closing, opening again, and what the clock may do meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RivercastError } from '../../../src/errors.ts';
import { compareIds, idMs } from '../../../src/protocol/id.ts';
import type { OpenLog } from './fixture.ts';
import {
  appendIds,
  FROM_ZERO,
  LIMITS,
  newChannel,
  numbered,
  openDefault,
  readAll,
  text,
  texts,
  WAITS,
} from './support.ts';

function isUnavailable(error: unknown): boolean {
  return error instanceof RivercastError && error.code === 'log_unavailable';
}

export function lifetimeTests(open: OpenLog): void {
  closingTests(open);
  reopeningTests(open);

  test('ids keep rising when the clock is set back an hour', async (t) => {
    const { log, clock } = await openDefault(open, t);
    if (clock === undefined) return t.skip('the clock of this store can not be set');
    const channel = newChannel();
    const [before] = await appendIds(log, channel, [text('1')]);
    clock.set(clock.now() - 3_600_000);
    const after = await appendIds(log, channel, numbered(3, 2));
    clock.set(clock.now() + 7_200_000);
    const [later] = await appendIds(log, channel, [text('5')]);
    const ids = [before as string, ...after, later as string];
    for (let i = 1; i < ids.length; i++) assert.ok(compareIds(ids[i - 1] as string, ids[i] as string) < 0);
    assert.equal(idMs(later as string), clock.now());
    const { entries, gaps } = await readAll(log, channel, FROM_ZERO);
    assert.deepEqual([texts(entries), gaps], [['1', '2', '3', '4', '5'], []]);
    const cursor = await log.locate(channel, { at: 'last', count: 2 });
    assert.deepEqual(texts((await readAll(log, channel, cursor)).entries), ['4', '5']);
  });
}

function closingTests(open: OpenLog): void {
  test('a log that works says so', async (t) => {
    const { log } = await openDefault(open, t);
    await log.probe();
    const channel = newChannel();
    await log.append(channel, [text('1')]);
    await log.probe();
    assert.equal((await log.bounds(channel)).tipOrdinal, 1);
  });

  test('a closed log refuses everything', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, [text('1')]);
    await log.close();
    const { signal } = new AbortController();
    await assert.rejects(log.append(channel, [text('2')]), isUnavailable);
    await assert.rejects(log.read(channel, FROM_ZERO, LIMITS), isUnavailable);
    await assert.rejects(log.wait(new Map([[channel, FROM_ZERO]]), LIMITS, signal), isUnavailable);
    await assert.rejects(log.probe(), isUnavailable);
  });

  test('closing twice is closing once', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    await Promise.all([log.close(), log.close()]);
    await log.close();
  });

  test('closing wakes who waits', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const { signal } = new AbortController();
    const waits = [newChannel(), newChannel()].map((channel) =>
      log.wait(new Map([[channel, FROM_ZERO]]), LIMITS, signal),
    );
    const settled = Promise.allSettled(waits);
    await log.close();
    for (const { status } of await settled) assert.equal(status, 'rejected');
  });

  test('an append under way when the log closes is settled', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const appends = Promise.allSettled(Array.from({ length: 5 }, () => log.append(channel, numbered(10))));
    await log.close();
    for (const result of await appends) {
      assert.ok(result.status === 'fulfilled' || isUnavailable(result.reason));
    }
  });
}

function reopeningTests(open: OpenLog): void {
  test('entries, tip, ordinals and epoch outlive the log', async (t) => {
    const { log, reopen } = await openDefault(open, t);
    if (reopen === undefined) return t.skip('nothing outlives this log');
    const [channel, emptied] = [newChannel(), newChannel()];
    await log.append(channel, numbered(10));
    await log.trim(channel, { maxEntries: 6 });
    await log.append(emptied, numbered(4));
    await log.trim(emptied, { maxEntries: 0 });
    const bounds = [await log.bounds(channel), await log.bounds(emptied)];
    const start = await log.locate(channel, { at: 'earliest' });
    const { entries } = await readAll(log, channel, start);

    const again = await reopen();
    assert.deepEqual([await again.bounds(channel), await again.bounds(emptied)], bounds);
    assert.deepEqual(await again.locate(channel, { at: 'earliest' }), start);
    assert.deepEqual((await readAll(again, channel, start)).entries, entries);
    const [next] = await appendIds(again, channel, [text('11')]);
    assert.ok(compareIds(bounds[0]?.tip as string, next as string) < 0);
    const all = await readAll(again, channel, start);
    assert.deepEqual([texts(all.entries), all.gaps], [texts(numbered(7, 5)), []]);
    assert.equal((await again.bounds(channel)).tipOrdinal, 11);
    await again.append(emptied, [text('5')]);
    assert.equal((await again.bounds(emptied)).tipOrdinal, 5);
  });

  test('an append that is resolved is there after opening again, though the log was closed at once', async (t) => {
    const { log, reopen } = await openDefault(open, t);
    if (reopen === undefined) return t.skip('nothing outlives this log');
    const channel = newChannel();
    const pending = [log.append(channel, numbered(3)), log.append(channel, numbered(3, 4))];
    const settled = Promise.allSettled(pending);
    const again = await reopen();
    const acknowledged = (await settled).filter(({ status }) => status === 'fulfilled').length * 3;
    assert.ok((await again.bounds(channel)).length >= acknowledged);
  });

  test('ids keep rising over a restart with the clock an hour behind', async (t) => {
    const { log, clock, reopen } = await openDefault(open, t);
    if (reopen === undefined || clock === undefined)
      return t.skip('needs a clock to set and a log to reopen');
    const channel = newChannel();
    const [before] = await appendIds(log, channel, [text('1')]);
    await log.trim(channel, { maxEntries: 0 });
    clock.set(clock.now() - 3_600_000);
    const again = await reopen();
    const [after] = await appendIds(again, channel, [text('2')]);
    assert.ok(compareIds(before as string, after as string) < 0);
  });
}
