/** Idempotency keys in the embedded log: where they lie, when they go, and what is acknowledged when. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Database, open as openLmdb } from 'lmdb';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import type { Idempotency } from '../../src/config/shape.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import type { NewEntry } from '../../src/log/log.ts';
import { ManualClock } from '../support/clock.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/within.ts';

const WINDOW_MS = 60_000;

interface Opened {
  readonly log: EmbeddedLog;
  readonly clock: ManualClock;
  readonly dataDir: string;
  readonly warnings: object[];
  readonly reopen: () => Promise<EmbeddedLog>;
}

async function openLog(t: TestContext, idempotency: Partial<Idempotency> = {}): Promise<Opened> {
  const clock = new ManualClock();
  const dataDir = await tempDir(t, () => log.close());
  const warnings: object[] = [];
  const open = (): Promise<EmbeddedLog> =>
    EmbeddedLog.open({
      dataDir,
      clock,
      retention: () => DEFAULT_RETENTION,
      idempotency: { windowMs: WINDOW_MS, maxKeys: 1000, ...idempotency },
      logger: { warn: (fields) => warnings.push(fields) },
    });
  let log = await open();
  const reopen = async (): Promise<EmbeddedLog> => {
    await log.close();
    log = await open();
    return log;
  };
  return { log, clock, dataDir, warnings, reopen };
}

function keyed(...keys: string[]): NewEntry[] {
  return keys.map((key) => ({ type: 'text', data: Buffer.from(`of ${key}`), key }));
}

function manyKeys(count: number, prefix = 'k'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

async function isKnown(log: EmbeddedLog, key: string, channel = 'c'): Promise<boolean> {
  const [result] = await log.append(channel, keyed(key));
  return result?.duplicate === true;
}

/** How many rows the table of keys has: the keys, and one for each generation. */
async function rowsOf(dataDir: string): Promise<number> {
  const root = openLmdb({ path: dataDir, noSubdir: false, overlappingSync: false, maxDbs: 8 });
  const keys: Database<Buffer, Buffer> = root.openDB({
    name: 'keys',
    encoding: 'binary',
    keyEncoding: 'binary',
  });
  const { entryCount } = keys.getStats() as { entryCount: number };
  await root.close();
  return entryCount;
}

test('an entry with a known key is not stored again and is given the first id', async (t) => {
  const { log } = await openLog(t);
  const [first] = await log.append('c', keyed('a'));
  const again = await log.append('c', keyed('b', 'a', 'b'));
  assert.equal(first?.duplicate, false);
  assert.deepEqual(again[1], { id: first?.id, duplicate: true });
  assert.deepEqual(again[2], { id: again[0]?.id, duplicate: true });
  assert.equal((await log.bounds('c')).length, 2);
  assert.equal(await isKnown(log, 'a', 'other'), false);
});

test('a batch of nothing but repetitions stores nothing and wakes nobody', async (t) => {
  const { log } = await openLog(t);
  await log.append('c', keyed('a', 'b'));
  const before = await log.bounds('c');
  const again = await log.append('c', keyed('b', 'a'));
  assert.ok(again.every(({ duplicate }) => duplicate));
  assert.deepEqual(await log.bounds('c'), before);
  const [next] = await log.append('c', keyed('c'));
  const page = await log.read(
    'c',
    { id: before.tip, epoch: before.epoch, ordinal: 2 },
    {
      maxEntries: 10,
      maxBytes: 1000,
    },
  );
  assert.deepEqual([page.entries.map(({ id }) => id), page.gaps], [[next?.id], []]);
});

test('a repetition of an entry in flight is answered after it, not before', async (t) => {
  const { log } = await openLog(t);
  for (let round = 0; round < 50; round++) {
    const settled: string[] = [];
    const first = log.append('c', keyed(`k${round}`)).then(([result]) => {
      settled.push('first');
      return result;
    });
    // One in the same transaction, one that comes while it is being flushed.
    const twin = log.append('c', keyed(`k${round}`)).then(([result]) => {
      settled.push('repetition');
      return result;
    });
    await new Promise((resolve) => setImmediate(resolve));
    const late = log.append('c', keyed(`k${round}`)).then(([result]) => {
      settled.push('repetition');
      return result;
    });
    const expected = { id: (await first)?.id, duplicate: true };
    assert.deepEqual([await twin, await late], [expected, expected]);
    assert.equal(settled[0], 'first');
  }
  assert.equal((await log.bounds('c')).length, 50);
});

test('keys outlive a restart, and the entry they belong to', async (t) => {
  const { log, reopen } = await openLog(t);
  const stored = await log.append('c', keyed('a', 'b'));
  await log.trim('c', { maxEntries: 0 });
  const again = await reopen();
  assert.deepEqual(
    await again.append('c', keyed('b', 'a')),
    [stored[1], stored[0]].map((result) => ({ id: result?.id, duplicate: true })),
  );
});

test('a key is known for the window, whenever it came, and forgotten within one and a half', async (t) => {
  const { log, clock, reopen } = await openLog(t);
  const step = WINDOW_MS / 10;
  for (let i = 0; i <= 10; i++) {
    assert.equal(await isKnown(log, `k${i}`), false);
    if (i < 10) clock.advance(step);
  }
  // k0 is a window old by now, and none may be gone. Looking makes no key younger.
  const again = await reopen();
  for (let i = 0; i <= 10; i++) assert.equal(await isKnown(again, `k${i}`), true);
  for (let i = 0; i <= 10; i++) {
    clock.advance(step);
    for (let younger = i + 1; younger <= 10; younger++) {
      assert.equal(await isKnown(again, `k${younger}`), true, `k${younger} after ${20 - younger + i} steps`);
    }
  }
  clock.advance(WINDOW_MS / 2 + 1);
  for (let i = 0; i <= 10; i++) assert.equal(await isKnown(again, `k${i}`), false, `k${i} is forgotten`);
});

test('beyond the bound the oldest keys are forgotten early, with a warning', async (t) => {
  const { log, warnings } = await openLog(t, { maxKeys: 1000 });
  const keys = manyKeys(3000);
  for (let i = 0; i < 3000; i += 100) {
    await log.append('c', keyed(...keys.slice(i, i + 100)));
    // Every key that has no thousand after it is known.
    for (const back of [0, 99, 500, 999]) {
      const key = keys[i + 99 - back];
      if (key !== undefined) assert.equal(await isKnown(log, key), true, `${key} after ${i + 100} keys`);
    }
  }
  assert.deepEqual(warnings, [{ channel: 'c', windowMs: WINDOW_MS, maxKeys: 1000 }]);
  assert.equal(await isKnown(log, 'k0'), false);
});

test('forgotten keys leave the disk, of a channel that is busy and of one that is idle', async (t) => {
  const { log, clock, dataDir, reopen } = await openLog(t, { windowMs: 1000, maxKeys: 100_000 });
  await log.append('busy', keyed(...manyKeys(3000)));
  await log.append('idle', keyed(...manyKeys(3000)));
  clock.advance(1500);
  const [first] = await log.append('busy', keyed('one'));
  await untilRows(dataDir, 2);
  assert.deepEqual(await log.append('busy', keyed('one')), [{ id: first?.id, duplicate: true }]);
  // What a process had begun to remove when it ended is removed by the next one.
  await log.append('idle', keyed(...manyKeys(5000)));
  clock.advance(1500);
  await reopen();
  await untilRows(dataDir, 0);
});

async function untilRows(dataDir: string, rows: number): Promise<void> {
  await until(`${rows} rows are left`, async () => (await rowsOf(dataDir)) === rows);
}

test('entries without a key leave the table of keys empty', async (t) => {
  const { log, dataDir } = await openLog(t);
  await log.append('c', [{ type: 'text', data: Buffer.from('x') }]);
  assert.equal(await rowsOf(dataDir), 0);
});

test('a store that a version without keys wrote is opened, and takes keys from then on', async (t) => {
  const { log, dataDir, reopen } = await openLog(t);
  const [old] = await log.append('c', [{ type: 'text', data: Buffer.from('old') }]);
  await log.close();
  const root = openLmdb({ path: dataDir, noSubdir: false, overlappingSync: false, maxDbs: 8 });
  await root.openDB({ name: 'keys', encoding: 'binary', keyEncoding: 'binary' }).drop();
  await root.close();
  const again = await reopen();
  assert.equal((await again.bounds('c')).floor, old?.id);
  assert.equal(await isKnown(again, 'a'), false);
  assert.equal(await isKnown(await reopen(), 'a'), true);
});

test('keys are told apart by their bytes, whatever they are', async (t) => {
  const { log } = await openLog(t);
  const keys = ['a', 'A', 'á', 'a\u0301', '\0', '\0\0', ' ', '€', '😀', 'x'.repeat(128), '1', '01'];
  const results = await log.append('c', keyed(...keys));
  assert.ok(results.every(({ duplicate }) => !duplicate));
  const again = await log.append('c', keyed(...keys));
  assert.deepEqual(
    again,
    results.map(({ id }) => ({ id, duplicate: true })),
  );
});

test('appends with the system clock and the default window work', async (t) => {
  const dataDir = await tempDir(t, () => log.close());
  const log = await EmbeddedLog.open({ dataDir, clock: systemClock, retention: () => DEFAULT_RETENTION });
  assert.deepEqual([await isKnown(log, 'a'), await isKnown(log, 'a')], [false, true]);
});
