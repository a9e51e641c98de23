/** The list of channels, and the sweep: retention for channels that get no entries, and their end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETENTION } from '../../../src/channels.ts';
import type { ChannelBounds, Log, Swept } from '../../../src/log/log.ts';
import type { Cursor } from '../../../src/protocol/cursor.ts';
import type { OpenLog } from './fixture.ts';
import {
  appendIds,
  FROM_ZERO,
  LIMITS,
  newChannel,
  numbered,
  onlyGap,
  openDefault,
  openKeeping,
  passTime,
  readAll,
  text,
  texts,
  WAITS,
} from './support.ts';

/** Short enough to be waited for where time passes by itself. */
const TTL_MS = 600;
const FORGETTING = {
  retention: () => ({ ...DEFAULT_RETENTION, maxAgeMs: TTL_MS / 2 }),
  channelTtlMs: TTL_MS,
};

async function swept(log: Log): Promise<Swept> {
  const done = await log.sweep(new AbortController().signal);
  assert.ok(done !== null, 'nobody else sweeps');
  return done;
}

async function listed(log: Log, prefix: string, limit: number): Promise<ChannelBounds[]> {
  const found: ChannelBounds[] = [];
  for (let after: string | null = prefix.slice(0, -1); after !== null; ) {
    const page = await log.channels({ after, limit });
    assert.ok(page.channels.length <= limit);
    found.push(...page.channels);
    after = page.cursor;
  }
  return found.filter(({ channel }) => channel.startsWith(prefix));
}

async function endOf(log: Log, channel: string): Promise<Cursor> {
  return (await readAll(log, channel, FROM_ZERO)).end;
}

export function listingTests(open: OpenLog): void {
  test('channels are listed in the order of their names, page by page, with their bounds', async (t) => {
    const { log } = await openDefault(open, t);
    const prefix = newChannel();
    const names = ['.b', '-', ':z', ':Z', 'a', '_', '0', 'B', '.a'].map((end) => prefix + end);
    for (const name of names) await log.append(name, numbered(3));
    await log.trim(`${prefix}a`, { maxEntries: 0 });
    for (const limit of [1, 2, 4, 1000]) {
      const found = await listed(log, prefix, limit);
      assert.deepEqual(
        found.map(({ channel }) => channel),
        names.toSorted(),
      );
      for (const { channel, ...bounds } of found) assert.deepEqual(bounds, await log.bounds(channel));
    }
  });

  test('a channel that was only asked for is not listed', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.bounds(channel);
    await log.read(channel, FROM_ZERO, LIMITS);
    await log.trim(channel, { maxEntries: 1 });
    assert.deepEqual(await listed(log, channel, 10), []);
  });
}

export function sweepingTests(open: OpenLog): void {
  test('an idle channel is trimmed by age, exactly, down to nothing; a cursor at its end stays good', async (t) => {
    const fixture = await openKeeping(open, t, { maxAgeMs: 1000 });
    const { log } = fixture;
    const [old, mixed] = [newChannel(), newChannel()];
    await log.append(old, numbered(250));
    await log.append(mixed, numbered(150));
    const [first, end] = [await log.locate(old, { at: 'earliest' }), await endOf(log, old)];
    const before = await log.bounds(old);
    await passTime(fixture, 1200);
    await log.append(mixed, numbered(2, 151));
    assert.ok((await swept(log)).removed >= 250);
    assert.deepEqual(await log.bounds(old), { ...before, floor: null, length: 0 });
    assert.deepEqual(texts((await readAll(log, mixed, FROM_ZERO)).entries), ['151', '152']);
    assert.deepEqual((await log.read(old, end, LIMITS)).gaps, [], 'nothing is missing after the end');
    const gap = onlyGap(await log.read(old, first, LIMITS));
    assert.deepEqual([gap.reason, gap.lost, gap.resumeAt.id], ['trimmed', 250, before.tip]);
    await log.append(old, [text('more')]);
    const { entries, gaps } = await readAll(log, old, end);
    assert.deepEqual([texts(entries), gaps], [['more'], []]);
  });

  test('an idle channel is trimmed to a rule that came later, by entries and by bytes', async (t) => {
    let rule = {};
    const retention = (): typeof DEFAULT_RETENTION => ({ ...DEFAULT_RETENTION, ...rule });
    const { log, retentionSlack = 0 } = await open(t, { retention });
    const channel = newChannel();
    for (let i = 0; i < 6; i++) {
      await log.append(
        channel,
        Array.from({ length: 1000 }, () => text('x'.repeat(100))),
      );
    }
    assert.equal((await swept(log)).removed, 0);
    const limits = [
      { rule: { maxEntries: 3000 }, kept: 3000 },
      { rule: { maxBytes: 50_000 }, kept: 500 },
    ];
    for (const { rule: next, kept } of limits) {
      rule = next;
      await swept(log);
      const { length, tipOrdinal } = await log.bounds(channel);
      assert.ok(length >= kept && length <= kept + retentionSlack, `${length} entries are kept`);
      assert.equal(tipOrdinal, 6000);
    }
  });

  test(
    'a channel without a new entry for long is forgotten, and a new one begins in its place',
    WAITS,
    async (t) => {
      const fixture = await open(t, FORGETTING);
      const { log } = fixture;
      const channel = newChannel();
      await log.append(channel, numbered(5));
      const { epoch } = await log.bounds(channel);
      const [first, end] = [await log.locate(channel, { at: 'earliest' }), await endOf(log, channel)];
      await swept(log);
      assert.equal((await listed(log, channel, 10)).length, 1);
      await passTime(fixture, TTL_MS + 100);
      await swept(log);
      const { tip, length } = await log.bounds(channel);
      assert.deepEqual([tip, length, await listed(log, channel, 10)], ['0-0', 0, []]);
      for (const cursor of [first, end, { ...end, epoch: null, ordinal: null }]) {
        const page = await log.read(channel, cursor, LIMITS);
        if (cursor.id !== '0-0' || cursor.epoch !== null) assert.equal(onlyGap(page).reason, 'reset');
        assert.equal(page.end.id, '0-0');
      }
      const [id] = await appendIds(log, channel, [text('new')]);
      assert.notEqual((await log.bounds(channel)).epoch, epoch);
      const { entries, gaps } = await readAll(log, channel, end);
      assert.deepEqual(
        [texts(entries), entries[0]?.id, gaps.map(({ reason }) => reason)],
        [['new'], id, ['reset']],
      );
      assert.equal((await listed(log, channel, 10)).length, 1);
    },
  );

  test('whoever waits at the end of a channel that is forgotten is told a reset', WAITS, async (t) => {
    const fixture = await open(t, FORGETTING);
    const { log } = fixture;
    const channel = newChannel();
    await log.append(channel, numbered(1));
    const end = await endOf(log, channel);
    await swept(log);
    const waiting = log.wait(new Map([[channel, end]]), LIMITS, t.signal);
    await passTime(fixture, TTL_MS + 100);
    await swept(log);
    const page = (await waiting).get(channel);
    assert.ok(page !== undefined);
    assert.equal(onlyGap(page).reason, 'reset');
  });

  test('a channel whose retention by age is longer keeps its entries that long', WAITS, async (t) => {
    const fixture = await open(t, { retention: () => DEFAULT_RETENTION, channelTtlMs: TTL_MS });
    const { log } = fixture;
    const channel = newChannel();
    await log.append(channel, numbered(1));
    await swept(log);
    await passTime(fixture, TTL_MS + 100);
    await swept(log);
    assert.equal((await log.bounds(channel)).length, 1);
  });

  test('what is appended while a sweep forgets is not lost', WAITS, async (t) => {
    const fixture = await open(t, FORGETTING);
    const { log } = fixture;
    const channels = Array.from({ length: 5 }, newChannel);
    for (const channel of channels) await log.append(channel, numbered(3));
    await swept(log);
    await passTime(fixture, TTL_MS + 100);
    const sweeping = swept(log);
    const ids = new Map<string, string>();
    for (const [i, channel] of channels.entries()) {
      for (let turns = 0; turns < i; turns++) await new Promise((resolve) => setImmediate(resolve));
      const [id] = await appendIds(log, channel, [text('late')]);
      ids.set(channel, id as string);
    }
    await sweeping;
    for (const channel of channels) {
      const { entries } = await readAll(log, channel, FROM_ZERO);
      assert.equal(entries.at(-1)?.id, ids.get(channel), 'what was stored is there');
      assert.equal((await log.bounds(channel)).tip, ids.get(channel));
    }
    assert.equal((await listed(log, 'contract', 1000)).filter(({ channel }) => ids.has(channel)).length, 5);
  });

  test('a sweep ends when it is told to', async (t) => {
    const { log } = await openDefault(open, t);
    await log.append(newChannel(), numbered(1));
    const done = await log.sweep(AbortSignal.abort());
    assert.ok(done !== null && done.removed === 0 && done.forgotten === 0);
    await swept(log);
  });
}
