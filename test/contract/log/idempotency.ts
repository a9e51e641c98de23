/**
 * Idempotency keys: an entry whose key the channel knows is not stored again, and is told as the first one.
 * A key is known for a window; no test says when exactly it is forgotten, only when it must and must not be.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DEFAULT_RETENTION } from '../../../src/channels.ts';
import type { AppendResult, Log, NewEntry } from '../../../src/log/log.ts';
import { type EntryId, ID_ZERO } from '../../../src/protocol/id.ts';
import { MAX_KEY_BYTES } from '../../../src/protocol/key.ts';
import type { LogFixture, OpenLog } from './fixture.ts';
import { FROM_ZERO, LIMITS, newChannel, openDefault, passTime, readAll, text, texts } from './support.ts';

const ODD_KEYS = [
  ' ',
  '0',
  '-1',
  'key',
  'Key',
  'a b',
  'a\nb',
  'a\r\nb',
  'a\0b',
  '\0',
  '+',
  '|',
  '1:2|3',
  '{x}',
  '*',
  'constructor',
  '__proto__',
  'é',
  'e\u0301',
  '🦀',
  'x'.repeat(MAX_KEY_BYTES),
  `${'x'.repeat(MAX_KEY_BYTES - 1)}y`,
];

function keyed(key: string, data: string = key): NewEntry {
  return { ...text(data), key };
}

async function appendOne(log: Log, channel: string, entry: NewEntry): Promise<AppendResult> {
  const results = await log.append(channel, [entry]);
  assert.equal(results.length, 1);
  return results[0] as AppendResult;
}

async function stored(log: Log, channel: string): Promise<string[]> {
  const { entries, gaps } = await readAll(log, channel, FROM_ZERO);
  assert.deepEqual(gaps, []);
  return texts(entries);
}

function openKnowing(open: OpenLog, t: TestContext, windowMs: number, maxKeys: number): Promise<LogFixture> {
  return open(t, { retention: () => DEFAULT_RETENTION, idempotency: { windowMs, maxKeys } });
}

export function idempotencyTests(open: OpenLog): void {
  knownTests(open);
  batchTests(open);
  reopenedTests(open);
  forgettingTests(open);
}

function knownTests(open: OpenLog): void {
  test('an entry with a known key is not stored again, and bears the id of the first', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const first = await appendOne(log, channel, keyed('k', 'first'));
    assert.equal(first.duplicate, false);
    const before = await log.bounds(channel);
    assert.equal(first.id, before.tip);
    const again = { id: first.id, duplicate: true };
    assert.deepEqual(await appendOne(log, channel, keyed('k', 'again')), again);
    assert.deepEqual(await log.bounds(channel), before);
    await log.append(channel, [text('other')]);
    assert.deepEqual(await appendOne(log, channel, keyed('k', 'once more')), again);
    assert.deepEqual(await stored(log, channel), ['first', 'other']);
  });

  test('entries without a key are never duplicates, whatever they hold', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    for (let i = 0; i < 3; i++) {
      const results = await log.append(channel, [text('same'), text('same')]);
      assert.deepEqual(
        results.map(({ duplicate }) => duplicate),
        [false, false],
      );
    }
    assert.equal((await log.bounds(channel)).length, 6);
  });

  test('a key is known in its channel alone', async (t) => {
    const { log } = await openDefault(open, t);
    const channels = [newChannel(), newChannel(), newChannel()];
    const results = await Promise.all(
      channels.map((channel) => appendOne(log, channel, keyed('k', channel))),
    );
    assert.ok(results.every(({ duplicate }) => !duplicate));
    for (const channel of channels) assert.deepEqual(await stored(log, channel), [channel]);
  });

  test('keys are bytes: odd ones are kept apart', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const firsts = await log.append(
      channel,
      ODD_KEYS.map((key) => keyed(key)),
    );
    assert.ok(firsts.every(({ duplicate }) => !duplicate));
    assert.equal(new Set(firsts.map(({ id }) => id)).size, ODD_KEYS.length);
    for (const [i, key] of ODD_KEYS.entries()) {
      const again = await appendOne(log, channel, keyed(key, 'again'));
      assert.deepEqual(again, { id: firsts[i]?.id, duplicate: true }, JSON.stringify(key));
    }
    assert.deepEqual(await stored(log, channel), ODD_KEYS);
  });

  test('appends to many channels at once know each their own keys', async (t) => {
    const { log } = await openDefault(open, t);
    const channels = Array.from({ length: 20 }, newChannel);
    const once = (): Promise<AppendResult[]> =>
      Promise.all(channels.map((channel) => appendOne(log, channel, keyed('k', channel))));
    const firsts = await once();
    const seconds = await once();
    assert.deepEqual(
      seconds,
      firsts.map(({ id }) => ({ id, duplicate: true })),
    );
    assert.ok(firsts.every(({ duplicate }) => !duplicate));
  });

  test('a key outlives its entry', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const first = await appendOne(log, channel, keyed('k'));
    await log.trim(channel, { maxEntries: 0 });
    assert.deepEqual(await appendOne(log, channel, keyed('k')), { id: first.id, duplicate: true });
    assert.equal((await log.bounds(channel)).length, 0);
  });

  test('a wait is woken by what is stored, never by a duplicate', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await appendOne(log, channel, keyed('k', 'first'));
    const { tip, epoch, tipOrdinal } = await log.bounds(channel);
    const after = new Map([[channel, { id: tip, epoch, ordinal: tipOrdinal }]]);
    const waiting = log.wait(after, LIMITS, AbortSignal.timeout(10_000));
    await appendOne(log, channel, keyed('k', 'again'));
    await appendOne(log, channel, keyed('l', 'second'));
    const page = (await waiting).get(channel);
    assert.deepEqual([texts(page?.entries ?? []), page?.gaps], [['second'], []]);
  });
}

function batchTests(open: OpenLog): void {
  test('the same key twice in one batch is stored once', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const [a, again, b, once] = await log.append(channel, [
      keyed('a', '1'),
      keyed('a', '2'),
      keyed('b', '3'),
      keyed('a', '4'),
    ]);
    assert.deepEqual([a?.duplicate, b?.duplicate], [false, false]);
    assert.deepEqual(
      [again, once],
      [
        { ...a, duplicate: true },
        { ...a, duplicate: true },
      ],
    );
    assert.deepEqual(await stored(log, channel), ['1', '3']);
  });

  test('a batch of new entries, known keys and none keeps its order', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const [a, b] = await log.append(channel, [keyed('a', '1'), keyed('b', '2')]);
    const results = await log.append(channel, [
      text('3'),
      keyed('b', 'again'),
      keyed('c', '4'),
      keyed('c', 'again'),
      { type: 'json', data: Buffer.from('5') },
      keyed('a', 'again'),
      { ...keyed('d'), type: 'binary', data: Buffer.from([54]) },
    ]);
    assert.deepEqual(
      results.map(({ duplicate }) => duplicate),
      [false, true, false, true, false, true, false],
    );
    assert.deepEqual([results[1]?.id, results[5]?.id], [b?.id, a?.id]);
    assert.equal(results[3]?.id, results[2]?.id);
    const { entries, gaps } = await readAll(log, channel, FROM_ZERO);
    assert.deepEqual([texts(entries), gaps], [['1', '2', '3', '4', '5', '6'], []]);
    assert.deepEqual(
      entries.map(({ type }) => type),
      ['text', 'text', 'text', 'text', 'json', 'binary'],
    );
    const fresh = [a, b, ...results.filter(({ duplicate }) => !duplicate)];
    assert.deepEqual(
      entries.map(({ id }) => id),
      fresh.map((result) => result?.id),
    );
    assert.deepEqual(
      entries.map(({ prev, ordinal }) => [prev, ordinal]),
      entries.map((_, i) => [entries[i - 1]?.id ?? ID_ZERO, i + 1]),
    );
  });

  test('a batch of duplicates alone changes nothing', async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const entries = Array.from({ length: 3000 }, (_, i) => keyed(`key ${i}`));
    const firsts = await log.append(channel, entries);
    const before = await log.bounds(channel);
    const again = firsts.map(({ id }) => ({ id, duplicate: true }));
    assert.deepEqual(await log.append(channel, entries), again);
    assert.deepEqual(await log.append(channel, entries.toReversed()), again.toReversed());
    assert.deepEqual(await log.bounds(channel), before);
    const { id } = await appendOne(log, channel, text('after'));
    assert.equal((await log.bounds(channel)).tip, id);
    assert.equal((await log.bounds(channel)).tipOrdinal, 3001);
  });
}

function reopenedTests(open: OpenLog): void {
  test('a key is known after the log was closed and opened again', async (t) => {
    const { log, reopen } = await openDefault(open, t);
    if (reopen === undefined) return t.skip('nothing of this store outlives the log');
    const [channel, other] = [newChannel(), newChannel()];
    const entries = Array.from({ length: 100 }, (_, i) => keyed(`key ${i}`));
    const firsts = await log.append(channel, entries);
    const again = await reopen();
    const results = await again.append(channel, [...entries, keyed('new')]);
    assert.deepEqual(
      results.slice(0, -1),
      firsts.map(({ id }) => ({ id, duplicate: true })),
    );
    assert.equal(results.at(-1)?.duplicate, false);
    assert.equal((await again.bounds(channel)).length, 101);
    assert.equal((await appendOne(again, other, keyed('key 1'))).duplicate, false);
  });
}

function forgettingTests(open: OpenLog): void {
  test('a key is known for the window, and forgotten before two are over', async (t) => {
    const windowMs = 800;
    const fixture = await openKnowing(open, t, windowMs, 1_000_000);
    const { log } = fixture;
    const now = (): number => fixture.clock?.monotonic() ?? performance.now();
    const channel = newChannel();
    // Earliest and latest moment at which each key can have been stored.
    const keys = new Map<string, { from: number; to: number; id: EntryId }>();
    let [known, forgotten] = [0, 0];
    for (const end = now() + 4 * windowMs; now() < end; ) {
      for (const [key, first] of keys) {
        const asked = now();
        const { id, duplicate } = await appendOne(log, channel, keyed(key));
        const answered = now();
        const age = `${key} was stored ${asked - first.to} to ${answered - first.from} ms ago`;
        if (answered - first.from < windowMs) assert.ok(duplicate, age);
        if (asked - first.to > 2 * windowMs) assert.ok(!duplicate, age);
        if (duplicate) {
          assert.equal(id, first.id);
          known += 1;
          continue;
        }
        assert.notEqual(id, first.id);
        keys.delete(key);
        forgotten += 1;
      }
      const from = now();
      const { id } = await appendOne(log, channel, keyed(`at ${from}`));
      keys.set(`at ${from}`, { from, to: now(), id });
      await passTime(fixture, windowMs / 16);
    }
    assert.ok(known > 0 && forgotten > 0, `${known} known, ${forgotten} forgotten`);
  });

  test('keys of a channel where nothing else comes are forgotten after the window', async (t) => {
    const fixture = await openKnowing(open, t, 100, 1_000_000);
    const channel = newChannel();
    const first = await appendOne(fixture.log, channel, keyed('k', '1'));
    await passTime(fixture, 200);
    const second = await appendOne(fixture.log, channel, keyed('k', '2'));
    assert.equal(second.duplicate, false);
    assert.notEqual(second.id, first.id);
    assert.deepEqual(await stored(fixture.log, channel), ['1', '2']);
  });

  test('of too many keys the newest are known, and the oldest are forgotten', async (t) => {
    const { log } = await openKnowing(open, t, 3_600_000, 1000);
    const channel = newChannel();
    const batches = Array.from({ length: 103 }, (_, i) =>
      Array.from({ length: 50 }, (_unused, j) => keyed(`key ${i} ${j}`)),
    );
    const firsts: AppendResult[] = [];
    for (const batch of batches) firsts.push(...(await log.append(channel, batch)));
    assert.ok(firsts.every(({ duplicate }) => !duplicate));
    const again = (await log.append(channel, batches.slice(-20).flat())).map(({ id }) => id);
    assert.deepEqual(
      again,
      firsts.slice(-1000).map(({ id }) => id),
    );
    const oldest = await log.append(channel, batches[0] as NewEntry[]);
    assert.ok(oldest.every(({ duplicate }) => !duplicate));
  });
}
