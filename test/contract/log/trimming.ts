/** Removing oldest entries: when asked, and by itself on append. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenLog } from './fixture.ts';
import {
  appendIds,
  FROM_ZERO,
  newChannel,
  numbered,
  openDefault,
  openKeeping,
  passTime,
  readAll,
  text,
  texts,
} from './support.ts';

export function trimmingTests(open: OpenLog): void {
  test('trim keeps the newest entries', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(10));
    assert.equal(await log.trim(channel, { maxEntries: 3 }), 7);
    const { floor, tip, tipOrdinal, length } = await log.bounds(channel);
    assert.deepEqual(
      { floor, tip, tipOrdinal, length },
      { floor: ids[7], tip: ids[9], tipOrdinal: 10, length: 3 },
    );
    assert.deepEqual(texts((await readAll(log, channel, FROM_ZERO)).entries), ['8', '9', '10']);
    assert.equal(await log.trim(channel, { maxEntries: 3 }), 0);
    assert.equal(await log.trim(channel, {}), 0);
  });

  test('trim keeps the newest bytes', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(
      channel,
      ['a', 'b', 'c', 'd', 'e'].map((letter) => text(letter.repeat(100))),
    );
    assert.equal(await log.trim(channel, { maxBytes: 250 }), 3);
    const { entries } = await readAll(log, channel, FROM_ZERO);
    assert.deepEqual(
      entries.map(({ data }) => data.toString()[0]),
      ['d', 'e'],
    );
  });

  test('trim removes what is older than asked', async (t) => {
    const fixture = await openDefault(open, t);
    const channel = newChannel();
    await fixture.log.append(channel, numbered(3));
    await passTime(fixture, 1500);
    await fixture.log.append(channel, numbered(2, 4));
    assert.equal(await fixture.log.trim(channel, { maxAgeMs: 1200 }), 3);
    assert.deepEqual(texts((await readAll(fixture.log, channel, FROM_ZERO)).entries), ['4', '5']);
  });

  test('trim removes what lies before an id, that entry not included', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(10));
    assert.equal(await log.trim(channel, { before: ids[4] as string }), 4);
    assert.equal((await log.bounds(channel)).floor, ids[4]);
    assert.equal(await log.trim(channel, { before: ids[4] as string }), 0);
    assert.equal(await log.trim(channel, { before: '18446744073709551615-18446744073709551615' }), 6);
  });

  test('trim applies every bound given', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(10));
    assert.equal(await log.trim(channel, { maxEntries: 8, before: ids[5] as string, maxBytes: 1000 }), 5);
    assert.equal(
      await log.trim(channel, { maxEntries: 2, before: ids[1] as string, maxAgeMs: 3_600_000 }),
      3,
    );
  });

  test('trim removes thousands of entries exactly, while appends go on', async (t) => {
    const { log } = await openDefault(open, t);
    const [channel, other] = [newChannel(), newChannel()];
    for (let i = 0; i < 5; i++) await log.append(channel, numbered(1000, i * 1000 + 1));
    const trimming = log.trim(channel, { maxEntries: 10 });
    for (let i = 0; i < 5; i++) await log.append(other, numbered(1));
    assert.equal(await trimming, 4990);
    assert.deepEqual(texts((await readAll(log, channel, FROM_ZERO)).entries), texts(numbered(10, 4991)));
    assert.equal((await log.bounds(other)).length, 5);
  });

  test('the tip, the ordinals and the epoch survive trimming to nothing', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(5));
    const before = await log.bounds(channel);
    assert.equal(await log.trim(channel, { maxEntries: 0 }), 5);
    assert.deepEqual(await log.bounds(channel), { ...before, floor: null, length: 0 });
    const [id] = await appendIds(log, channel, [text('6')]);
    const { entries, gaps } = await readAll(log, channel, {
      id: before.tip,
      epoch: before.epoch,
      ordinal: before.tipOrdinal,
    });
    assert.deepEqual(gaps, []);
    assert.deepEqual([entries[0]?.id, entries[0]?.prev, entries[0]?.ordinal], [id, before.tip, 6]);
    assert.equal((await log.bounds(channel)).floor, id);
  });

  test('a channel keeps as many entries as its retention says', async (t) => {
    const { log, retentionSlack = 0 } = await openKeeping(open, t, { maxEntries: 10 });
    const channel = newChannel();
    for (let i = 0; i < 60; i++) await log.append(channel, numbered(5, i * 5 + 1));
    const { length, tipOrdinal } = await log.bounds(channel);
    assert.ok(length >= 10 && length <= 10 + retentionSlack, `${length} entries are kept`);
    assert.equal(tipOrdinal, 300);
    const start = await log.locate(channel, { at: 'earliest' });
    const { entries, gaps } = await readAll(log, channel, start);
    assert.deepEqual(gaps, []);
    assert.equal(entries.length, length);
    assert.equal(entries.at(-1)?.data.toString(), '300');
  });

  test('a channel keeps as many bytes as its retention says', async (t) => {
    const { log, retentionSlack = 0 } = await openKeeping(open, t, { maxBytes: 1000 });
    const channel = newChannel();
    for (let i = 0; i < 60; i++) await log.append(channel, [text('x'.repeat(100)), text('y'.repeat(100))]);
    const { length } = await log.bounds(channel);
    assert.ok(length >= 2 && length <= 10 + retentionSlack, `${length} entries of 100 bytes are kept`);
  });

  test('a channel keeps entries as long as its retention says', async (t) => {
    const fixture = await openKeeping(open, t, { maxAgeMs: 1200 });
    const { log, retentionSlack = 0 } = fixture;
    const channel = newChannel();
    await log.append(channel, numbered(5));
    await passTime(fixture, 1500);
    await log.append(channel, numbered(1, 6));
    const { length } = await log.bounds(channel);
    assert.ok(length >= 1 && length <= 1 + retentionSlack, `${length} entries are kept`);
  });
}
