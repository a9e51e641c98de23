import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Database, open as openLmdb, type RootDatabase } from 'lmdb';
import { DEFAULT_RETENTION, type Retention } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { StartError } from '../../src/errors.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { LIMITS } from '../contract/log/support.ts';
import { type LogFixture, type LogSettings, logContract } from '../contract/log.contract.ts';
import { ManualClock } from '../support/clock.ts';
import { tempDir } from '../support/temp-dir.ts';

async function openFixture(t: TestContext, { retention, idempotency }: LogSettings): Promise<LogFixture> {
  const clock = new ManualClock();
  const dataDir = await tempDir(t, () => log.close());
  const open = (): Promise<EmbeddedLog> =>
    EmbeddedLog.open({ dataDir, clock, retention, ...(idempotency && { idempotency }) });
  let log = await open();
  const reopen = async (): Promise<EmbeddedLog> => {
    await log.close();
    log = await open();
    return log;
  };
  return { log, clock, reopen };
}

logContract('embedded', openFixture);

function texts(count: number, length = 3): { type: 'text'; data: Buffer }[] {
  return Array.from({ length: count }, () => ({ type: 'text', data: Buffer.alloc(length, 'x') }));
}

interface Opened {
  readonly log: EmbeddedLog;
  readonly dataDir: string;
  readonly failures: Error[];
}

async function openLog(t: TestContext, retention: Partial<Retention> = {}): Promise<Opened> {
  const dataDir = await tempDir(t, () => log.close());
  const failures: Error[] = [];
  const log = await EmbeddedLog.open({
    dataDir,
    clock: systemClock,
    retention: () => ({ ...DEFAULT_RETENTION, ...retention }),
    onFailure: (error) => failures.push(error),
  });
  return { log, dataDir, failures };
}

/** The control table of the store, as a stranger would open it. */
function openControl(dataDir: string): {
  root: RootDatabase<Buffer, Buffer>;
  control: Database<Buffer, Buffer>;
} {
  const root = openLmdb<Buffer, Buffer>({
    path: dataDir,
    noSubdir: false,
    overlappingSync: false,
    maxDbs: 4,
  });
  const control = root.openDB<Buffer, Buffer>({
    name: 'control',
    encoding: 'binary',
    keyEncoding: 'binary',
    useVersions: true,
  });
  return { root, control };
}

function isStartError(pattern: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof StartError && pattern.test(error.message) && !error.message.includes('\n');
}

const open = (dataDir: string): Promise<EmbeddedLog> =>
  EmbeddedLog.open({ dataDir, clock: systemClock, retention: () => DEFAULT_RETENTION });

test('the data directory is made when it is missing', async (t) => {
  const dataDir = join(await tempDir(t), 'deeper', 'still');
  const log = await open(dataDir);
  await log.append('c', texts(1));
  await log.close();
});

test('a data directory that is a file, or not writable, is refused with one line', async (t) => {
  const parent = await tempDir(t);
  const file = join(parent, 'file');
  await writeFile(file, '');
  await assert.rejects(open(file), isStartError(/not writable/));
  if (process.getuid?.() === 0) return;
  const locked = join(parent, 'locked');
  await mkdir(locked, { mode: 0o500 });
  await assert.rejects(open(locked), isStartError(/not writable/));
});

test('a directory is held by one log at a time, within a process too', async (t) => {
  const { dataDir } = await openLog(t);
  await assert.rejects(open(dataDir), isStartError(/another server is using/));
});

test('a directory whose path is too long for a socket works all the same', async (t) => {
  const dataDir = join(await tempDir(t), 'd'.repeat(120));
  const log = await open(dataDir);
  await assert.rejects(open(dataDir), StartError);
  await log.close();
  const again = await open(dataDir);
  await again.close();
});

test('a store of an unknown format is refused, and not touched', async (t) => {
  const { log, dataDir } = await openLog(t);
  await log.append('c', texts(1));
  await log.close();
  const { root, control } = openControl(dataDir);
  await control.put(Buffer.from('format'), Buffer.from('77'), 1);
  await root.close();
  await assert.rejects(open(dataDir), isStartError(/format 77/));
  await assert.rejects(open(dataDir), isStartError(/format 77/));
});

test('once another server owns the store, nothing is acknowledged or written any more', async (t) => {
  const { log, dataDir, failures } = await openLog(t);
  await log.append('c', texts(1));
  const { root, control } = openControl(dataDir);
  await control.put(Buffer.from('owner'), Buffer.from('thief'), 5);
  await assert.rejects(log.probe(), /another server has taken over/);
  await assert.rejects(log.append('c', texts(1)), /another server has taken over/);
  await assert.rejects(log.append('c', texts(1)), /another server has taken over/);
  assert.equal(failures.length, 1);
  assert.equal((await log.bounds('c')).tipOrdinal, 1);
  await log.close();
  await root.close();
  const again = await open(dataDir);
  assert.equal((await again.bounds('c')).tipOrdinal, 1);
  await again.close();
});

test('appends of several channels in one turn share a transaction', async (t) => {
  const { log, dataDir } = await openLog(t);
  const { root } = openControl(dataDir);
  const transactions = (): number => (root.getStats() as { lastTxnId: number }).lastTxnId;
  const before = transactions();
  await Promise.all(Array.from({ length: 50 }, (_, i) => log.append(`c${i}`, texts(2))));
  assert.equal(transactions(), before + 1);
  await root.close();
});

test('readers see nothing of an append before it is on disk', async (t) => {
  const { log } = await openLog(t);
  for (let i = 0; i < 40; i++) {
    // Every channel twice: unknown at first, then with entries of its own.
    const channel = `c${i % 20}`;
    const before = await log.bounds(channel);
    const after: Cursor = { id: before.tip, epoch: null, ordinal: null };
    const appended = { isResolved: false };
    const appending = log.append(channel, texts(500)).then(() => {
      appended.isResolved = true;
    });
    while (!appended.isResolved) {
      const bounds = await log.bounds(channel);
      const page = await log.read(channel, after, LIMITS);
      if (!appended.isResolved) assert.deepEqual([bounds, page.entries.length], [before, 0]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await appending;
    assert.equal((await log.bounds(channel)).length, before.length + 500);
  }
});

test('one batch larger than the retention is cut to it soon', async (t) => {
  const { log } = await openLog(t, { maxEntries: 100 });
  await log.append('c', texts(5000));
  const deadline = Date.now() + 10_000;
  while ((await log.bounds('c')).length > 100 && Date.now() < deadline) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { length, tipOrdinal } = await log.bounds('c');
  assert.deepEqual([length, tipOrdinal], [100, 5000]);
});

test('a page ends at one mebibyte, whatever was asked for', async (t) => {
  const { log } = await openLog(t);
  await log.append('c', texts(30, 100_000));
  const start = await log.locate('c', { at: 'earliest' });
  const page = await log.read('c', start, { maxEntries: 1000, maxBytes: 1e9 });
  assert.equal(page.entries.length, 10);
});

/** Time flies: every look at the clock finds the turn over. */
class HurriedClock extends ManualClock {
  override monotonic(): number {
    this.advance(5);
    return super.monotonic();
  }
}

test('channels take turns when a wait can not serve all of them at once', async (t) => {
  const dataDir = await tempDir(t, () => log.close());
  const clock = new HurriedClock();
  const log = await EmbeddedLog.open({ dataDir, clock, retention: () => DEFAULT_RETENTION });
  const start: Cursor = { id: '0-0', epoch: null, ordinal: null };
  const after = new Map(['a', 'b', 'c'].map((channel) => [channel, start]));
  for (const channel of after.keys()) await log.append(channel, texts(1));
  const served: string[] = [];
  const { signal } = new AbortController();
  for (let i = 0; i < 3; i++) served.push(...(await log.wait(after, LIMITS, signal)).keys());
  assert.deepEqual(served, ['a', 'b', 'c']);
});

test('waits over more than fits into one turn serve every channel in time', async (t) => {
  const { log } = await openLog(t);
  const channels = Array.from({ length: 40 }, (_, i) => `c${i}`);
  for (const channel of channels) await log.append(channel, texts(2000, 200));
  const start: Cursor = { id: '0-0', epoch: null, ordinal: null };
  const after = new Map(channels.map((channel) => [channel, start]));
  const counts = new Map<string, number>();
  const { signal } = new AbortController();
  let total = 0;
  while (total < 40 * 2000) {
    for (const [channel, page] of await log.wait(after, LIMITS, signal)) {
      counts.set(channel, (counts.get(channel) ?? 0) + page.entries.length);
      total += page.entries.length;
      after.set(channel, page.end);
    }
  }
  assert.deepEqual([...new Set(counts.values())], [2000]);
});
