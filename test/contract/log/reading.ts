/** Appending and reading pages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEntry } from '../../../src/log/log.ts';
import { compareIds, ID_ZERO } from '../../../src/protocol/id.ts';
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
} from './support.ts';

export function readingTests(open: OpenLog): void {
  test('an unknown channel is empty, and reading it creates nothing', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const nothing = { epoch: null, floor: null, tip: ID_ZERO, tipOrdinal: 0, length: 0 };
    assert.deepEqual(await log.bounds(channel), nothing);
    const page = await log.read(channel, FROM_ZERO, LIMITS);
    assert.deepEqual([page.epoch, page.entries.length, page.gaps.length], [null, 0, 0]);
    for (const at of ['earliest', 'latest'] as const) {
      assert.equal((await log.locate(channel, { at })).id, ID_ZERO);
    }
    assert.equal((await log.locate(channel, { at: 'last', count: 3 })).id, ID_ZERO);
    assert.equal((await log.locate(channel, { at: 'time', ms: 5 })).id, ID_ZERO);
    assert.equal(await log.trim(channel, { maxEntries: 0 }), 0);
    assert.deepEqual(await log.bounds(channel), nothing);
  });

  test('entries are read in the order they were appended, and ids strictly rise', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = [];
    for (let i = 0; i < 10; i++) ids.push(...(await appendIds(log, channel, numbered(7, i * 7 + 1))));
    const { entries, gaps } = await readAll(log, channel, FROM_ZERO);
    assert.deepEqual(texts(entries), texts(numbered(70)));
    assert.deepEqual(gaps, []);
    const read = entries.map(({ id }) => id);
    assert.deepEqual(read, ids);
    for (let i = 1; i < ids.length; i++) assert.ok(compareIds(ids[i - 1] as string, ids[i] as string) < 0);
  });

  test('appends that are started together keep the order of the calls', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await Promise.all(Array.from({ length: 20 }, (_, i) => log.append(channel, numbered(3, i * 3 + 1))));
    const { entries } = await readAll(log, channel, FROM_ZERO);
    assert.deepEqual(texts(entries), texts(numbered(60)));
  });

  test('text, json, binary and empty payloads come back whole', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const given: NewEntry[] = [
      { type: 'text', data: Buffer.from('žluťoučký 🐎\r\n\0') },
      { type: 'json', data: Buffer.from('{"a": [1, 2.50, "é"]}') },
      { type: 'binary', data: bytes },
      { type: 'text', data: Buffer.alloc(0) },
      { type: 'binary', data: Buffer.alloc(0) },
      { type: 'binary', data: Buffer.alloc(300_000, 7) },
      { type: 'text', data: Buffer.from('after the large one') },
    ];
    await log.append(channel, given);
    const { entries } = await readAll(log, channel, FROM_ZERO);
    assert.equal(entries.length, given.length);
    for (const [i, { type, data }] of given.entries()) {
      assert.equal(entries[i]?.type, type);
      assert.ok(entries[i]?.data.equals(data), `entry ${i} is whole`);
    }
  });

  test('data that was read stays as it is while more is read', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(50));
    const first = await log.read(channel, FROM_ZERO, LIMITS);
    await log.append(channel, numbered(500, 51));
    await readAll(log, channel, FROM_ZERO);
    assert.deepEqual(texts(first.entries), texts(numbered(50)));
  });

  test('appending nothing gives nothing', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    assert.deepEqual(await log.append(channel, []), []);
    assert.equal((await log.bounds(channel)).tip, ID_ZERO);
  });

  test('a page holds at most the number of entries asked for, and the next goes on from its end', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(10));
    const limits = { maxEntries: 4, maxBytes: 1024 * 1024 };
    const first = await log.read(channel, FROM_ZERO, limits);
    assert.deepEqual(texts(first.entries), ['1', '2', '3', '4']);
    assert.equal(first.end.id, first.entries[3]?.id);
    const { entries, gaps } = await readAll(log, channel, first.end, limits);
    assert.deepEqual(texts(entries), ['5', '6', '7', '8', '9', '10']);
    assert.deepEqual(gaps, []);
  });

  test('a page holds at most the bytes asked for, but one larger entry is returned alone', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const sizes = [40, 40, 40, 500, 40];
    await log.append(
      channel,
      sizes.map((size) => text('x'.repeat(size))),
    );
    const pages: number[][] = [];
    let after = FROM_ZERO;
    for (;;) {
      const page = await log.read(channel, after, { maxEntries: 100, maxBytes: 100 });
      if (page.entries.length === 0) break;
      pages.push(page.entries.map(({ data }) => data.length));
      after = page.end;
    }
    assert.deepEqual(pages, [[40, 40], [40], [500], [40]]);
  });

  test('a read at the tip is empty and ends where it began', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(3));
    const { end } = await readAll(log, channel, FROM_ZERO);
    const page = await log.read(channel, end, LIMITS);
    assert.deepEqual(page.entries, []);
    assert.deepEqual(page.gaps, []);
    assert.deepEqual(page.end, end);
  });

  test('each entry names the one before it and its ordinal', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(3));
    await log.append(channel, numbered(2, 4));
    const { entries } = await readAll(log, channel, FROM_ZERO);
    assert.deepEqual(
      entries.map(({ ordinal }) => ordinal),
      [1, 2, 3, 4, 5],
    );
    assert.deepEqual(
      entries.map(({ prev }) => prev),
      [ID_ZERO, ...entries.slice(0, -1).map(({ id }) => id)],
    );
  });

  test('bounds tell epoch, floor, tip and counts', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const ids = await appendIds(log, channel, numbered(5));
    const bounds = await log.bounds(channel);
    assert.match(bounds.epoch ?? '', /^[A-Za-z0-9]{1,16}$/);
    const { floor, tip, tipOrdinal, length } = bounds;
    assert.deepEqual(
      { floor, tip, tipOrdinal, length },
      { floor: ids[0], tip: ids[4], tipOrdinal: 5, length: 5 },
    );
  });

  test('many channels written at the same time do not mix', async (t) => {
    const { log } = await openDefault(open, t);
    const channels = Array.from({ length: 20 }, newChannel);
    await Promise.all(
      channels.map(async (channel) => {
        for (let i = 0; i < 10; i++) await log.append(channel, [text(`${channel}/${i}`)]);
      }),
    );
    const epochs = new Set<string | null>();
    for (const channel of channels) {
      const { entries, gaps } = await readAll(log, channel, FROM_ZERO);
      assert.deepEqual(
        texts(entries),
        Array.from({ length: 10 }, (_, i) => `${channel}/${i}`),
      );
      assert.deepEqual(gaps, []);
      epochs.add((await log.bounds(channel)).epoch);
    }
    assert.equal(epochs.size, channels.length);
  });
}
