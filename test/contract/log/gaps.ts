/** What is told when entries after a cursor are missing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cursor } from '../../../src/protocol/cursor.ts';
import type { OpenLog } from './fixture.ts';
import {
  appendIds,
  cursorAfter,
  FROM_ZERO,
  LIMITS,
  newChannel,
  numbered,
  onlyGap,
  openDefault,
  passTime,
  readAll,
  text,
  texts,
} from './support.ts';

export function gapTests(open: OpenLog): void {
  trimmedTests(open);
  resetTests(open);
  lastingTests(open);
  foreignHandTests(open);
}

function trimmedTests(open: OpenLog): void {
  test('a cursor below the floor meets a gap with the exact count, then the entries kept', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(10));
    const cursor = await cursorAfter(log, channel, ids[1] as string);
    await log.trim(channel, { maxEntries: 4 });
    const page = await log.read(channel, cursor, LIMITS);
    const { epoch } = await log.bounds(channel);
    assert.deepEqual(onlyGap(page), {
      reason: 'trimmed',
      requested: cursor,
      floor: ids[6],
      lost: 4,
      resumeAt: { id: ids[5], epoch, ordinal: 6 },
    });
    assert.deepEqual(texts(page.entries), ['7', '8', '9', '10']);
    assert.deepEqual((await readAll(log, channel, onlyGap(page).resumeAt)).gaps, []);
  });

  test('a cursor at the last entry trimmed meets no gap', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(10));
    await log.trim(channel, { maxEntries: 4 });
    const { entries, gaps } = await readAll(log, channel, {
      id: ids[5] as string,
      epoch: null,
      ordinal: null,
    });
    assert.deepEqual([texts(entries), gaps], [['7', '8', '9', '10'], []]);
  });

  test('a plain id below the floor meets a gap without a count', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(10));
    const cursor: Cursor = { id: ids[1] as string, epoch: null, ordinal: null };
    await log.trim(channel, { maxEntries: 4 });
    const gap = onlyGap(await log.read(channel, cursor, LIMITS));
    assert.deepEqual([gap.reason, gap.lost, gap.floor], ['trimmed', null, ids[6]]);
  });

  test('a plain id of a kept entry is gapless', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(5));
    const { entries, gaps } = await readAll(log, channel, {
      id: ids[2] as string,
      epoch: null,
      ordinal: null,
    });
    assert.deepEqual([texts(entries), gaps], [['4', '5'], []]);
  });

  test('the cursor 0-0 meets a gap when the first entries are trimmed', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(5));
    assert.deepEqual((await log.read(channel, FROM_ZERO, LIMITS)).gaps, []);
    await log.trim(channel, { maxEntries: 2 });
    const page = await log.read(channel, FROM_ZERO, LIMITS);
    assert.deepEqual([onlyGap(page).reason, onlyGap(page).lost], ['trimmed', 3]);
    assert.deepEqual(texts(page.entries), ['4', '5']);
  });

  test('a cursor meets one gap when everything after it is trimmed, and nothing after that', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(10));
    const cursor = await cursorAfter(log, channel, ids[3] as string);
    await log.trim(channel, { maxEntries: 0 });
    const page = await log.read(channel, cursor, LIMITS);
    const { epoch } = await log.bounds(channel);
    assert.deepEqual(onlyGap(page), {
      reason: 'trimmed',
      requested: cursor,
      floor: null,
      lost: 6,
      resumeAt: { id: ids[9], epoch, ordinal: 10 },
    });
    assert.deepEqual(page.entries, []);
    assert.deepEqual(page.end, onlyGap(page).resumeAt);
    await log.append(channel, [text('11')]);
    const { entries, gaps } = await readAll(log, channel, page.end);
    assert.deepEqual([texts(entries), gaps], [['11'], []]);
  });
}

function resetTests(open: OpenLog): void {
  test('a cursor of another epoch meets a reset, and then all there is, once', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(5));
    const cursor: Cursor = { id: ids[2] as string, epoch: 'anotherepoch', ordinal: 3 };
    const gap = onlyGap(await log.read(channel, cursor, LIMITS));
    assert.deepEqual([gap.reason, gap.lost, gap.requested], ['reset', null, cursor]);
    assert.equal(gap.resumeAt.epoch, (await log.bounds(channel)).epoch);
    const { entries, gaps } = await readAll(log, channel, cursor);
    assert.deepEqual(texts(entries), ['1', '2', '3', '4', '5']);
    assert.equal(gaps.length, 1);
  });

  test('a cursor ahead of the tip meets a reset and goes on after the tip', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(3));
    for (const id of ['18446744073709551615-18446744073709551615', `${ids[2]}9`]) {
      const page = await log.read(channel, { id, epoch: null, ordinal: null }, LIMITS);
      assert.deepEqual([onlyGap(page).reason, onlyGap(page).lost], ['reset', null]);
      assert.deepEqual(page.entries, []);
      assert.equal(page.end.id, ids[2]);
      assert.deepEqual((await readAll(log, channel, page.end)).gaps, []);
    }
  });

  test('a cursor into an unknown channel meets a reset and creates nothing', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const page = await log.read(channel, { id: '1700000000000-3', epoch: 'e1', ordinal: 4 }, LIMITS);
    assert.equal(onlyGap(page).reason, 'reset');
    assert.equal(page.end.id, '0-0');
    assert.equal((await log.bounds(channel)).epoch, null);
  });

  test('a cursor that names no entry of this history meets a reset, and loses nothing after it', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(3));
    const page = await log.read(channel, { id: '5-0', epoch: null, ordinal: null }, LIMITS);
    assert.equal(onlyGap(page).reason, 'reset');
    assert.equal(page.entries[0]?.id, ids[0]);
    assert.deepEqual((await readAll(log, channel, onlyGap(page).resumeAt)).gaps, []);
  });
}

const DAY_MS = 86_400_000;

function lastingTests(open: OpenLog): void {
  test('a cursor at the tip of an idle channel is good a day later, when nothing is left of it', async (t) => {
    const fixture = await openDefault(open, t);
    const channel = newChannel();
    await fixture.log.append(channel, numbered(3));
    const { end } = await readAll(fixture.log, channel, FROM_ZERO);
    await passTime(fixture, fixture.clock === undefined ? 2 : DAY_MS);
    await fixture.log.trim(channel, { maxAgeMs: fixture.clock === undefined ? 1 : DAY_MS / 2 });
    assert.equal((await fixture.log.bounds(channel)).length, 0);
    const log = (await fixture.reopen?.()) ?? fixture.log;
    const forms = [end, { ...end, ordinal: null }, { id: end.id, epoch: null, ordinal: null }];
    for (const cursor of forms) assert.deepEqual((await log.read(channel, cursor, LIMITS)).gaps, []);
    await log.append(channel, numbered(1, 4));
    for (const cursor of forms) {
      const { entries, gaps } = await readAll(log, channel, cursor);
      assert.deepEqual([texts(entries), gaps], [['4'], []]);
    }
  });

  test('whoever waits is told what was trimmed before it came to them, with the count', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(2));
    const { end } = await readAll(log, channel, FROM_ZERO);
    await log.append(channel, numbered(5, 3));
    await log.trim(channel, { maxEntries: 2 });
    const waited = await log.wait(new Map([[channel, end]]), LIMITS, AbortSignal.timeout(20_000));
    const page = waited.get(channel) ?? assert.fail('nothing came');
    assert.deepEqual([onlyGap(page).reason, onlyGap(page).lost], ['trimmed', 3]);
    assert.deepEqual(texts(page.entries), ['6', '7']);
  });

  test('a forged cursor changes nothing for anybody else', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(3));
    const { epoch } = await log.bounds(channel);
    const cursor = await cursorAfter(log, channel, ids[0] as string);
    const forged: Cursor[] = [
      { id: '99999999999999-0', epoch, ordinal: 99 },
      { id: ids[2] as string, epoch: 'forged', ordinal: 3 },
      { id: '5-5', epoch, ordinal: 999 },
      { id: `${ids[2]}7`, epoch: null, ordinal: null },
    ];
    for (const after of forged) assert.equal((await readAll(log, channel, after)).gaps.length, 1);
    assert.equal((await log.bounds(channel)).epoch, epoch);
    const { entries, gaps } = await readAll(log, channel, cursor);
    assert.deepEqual([texts(entries), gaps], [['2', '3'], []]);
  });
}

function foreignHandTests(open: OpenLog): void {
  test('an entry that someone removed from the middle is told as deleted, where it was', async (t) => {
    const { log, removeEntry } = await openDefault(open, t);
    if (removeEntry === undefined) return t.skip('nobody can remove an entry from this store');
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(5));
    await removeEntry(channel, ids[2] as string);
    const page = await log.read(channel, FROM_ZERO, LIMITS);
    assert.deepEqual(texts(page.entries), ['1', '2', '4', '5']);
    assert.equal(page.gaps.length, 1);
    const [told] = page.gaps;
    assert.deepEqual([told?.before, told?.gap.reason, told?.gap.lost], [2, 'deleted', 1]);
    const after: Cursor = { id: ids[1] as string, epoch: null, ordinal: null };
    assert.equal(onlyGap(await log.read(channel, after, LIMITS)).reason, 'deleted');
  });

  test('an entry that someone else wrote is delivered and breaks no chain', async (t) => {
    const { log, appendForeign } = await openDefault(open, t);
    if (appendForeign === undefined) return t.skip('nobody else can write to this store');
    const channel = newChannel();
    await log.append(channel, numbered(2));
    const id = await appendForeign(channel, 'from elsewhere');
    await log.append(channel, numbered(1, 3));
    const { entries, gaps } = await readAll(log, channel, FROM_ZERO);
    assert.deepEqual([texts(entries), gaps], [['1', '2', 'from elsewhere', '3'], []]);
    assert.deepEqual([entries[2]?.id, entries[2]?.type], [id, 'text']);
    const from: Cursor = { id: entries[1]?.id as string, epoch: null, ordinal: null };
    const resumed = await readAll(log, channel, from);
    assert.deepEqual([texts(resumed.entries), resumed.gaps], [['from elsewhere', '3'], []]);
  });
}
