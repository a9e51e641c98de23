/** Group commit: order, one append at a time, the size of a batch, and what a failure does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEntry } from '../../src/log/log.ts';
import { Batcher, type BatchLimits, type Submitter } from '../../src/manager/batcher.ts';
import { Pressure } from '../../src/manager/pressure.ts';
import { ManualClock } from '../support/clock.ts';
import { GatedLog } from '../support/gated-log.ts';
import { until } from '../support/within.ts';

const WIDE: BatchLimits = { maxEntries: 1000, maxBytes: 1_000_000, waitMs: 0 };

class Recorder implements Submitter {
  readonly isAnswered: boolean;
  readonly told: string[] = [];

  constructor(isAnswered = false) {
    this.isAnswered = isAnswered;
  }

  stored(entry: NewEntry, result: { readonly id: string }): void {
    assert.match(result.id, /^\d+-\d+$/);
    this.told.push(`stored ${entry.data.toString()}`);
  }

  failed(entry: NewEntry, error: unknown): void {
    this.told.push(`failed ${entry.data.toString()}: ${(error as Error).message}`);
  }
}

/** A log that notes how many entries each append had. */
class CountingLog extends GatedLog {
  readonly sizes: number[] = [];

  override append(...args: Parameters<GatedLog['append']>): ReturnType<GatedLog['append']> {
    this.sizes.push(args[1].length);
    return super.append(...args);
  }
}

function batcherOf(log: GatedLog, limits: BatchLimits): Batcher {
  const pressure = new Pressure({ publisherBufferBytes: 1_000_000, bufferBytes: 1_000_000 });
  return new Batcher('c', { log, clock: new ManualClock(), limits, pressure, ended: () => undefined });
}

function text(data: string): NewEntry {
  return { type: 'text', data: Buffer.from(data) };
}

async function storedTexts(log: GatedLog): Promise<string[]> {
  const start = { id: '0-0', epoch: null, ordinal: null };
  const page = await log.read('c', start, { maxEntries: 10_000, maxBytes: 1_000_000 });
  return page.entries.map(({ data }) => data.toString());
}

test('what is added in one turn is stored in one append, in order, each told to its submitter', async () => {
  const log = new CountingLog();
  const batcher = batcherOf(log, WIDE);
  const [a, b] = [new Recorder(), new Recorder()];
  batcher.add(text('1'), a);
  batcher.add(text('2'), b);
  batcher.add(text('3'), a);
  assert.equal(batcher.isIdle, false);
  await batcher.settled;
  assert.deepEqual(log.sizes, [3]);
  assert.deepEqual(await storedTexts(log), ['1', '2', '3']);
  assert.deepEqual([a.told, b.told], [['stored 1', 'stored 3'], ['stored 2']]);
  assert.equal(batcher.isIdle, true);
});

test('while an append is under way the next batch gathers, and there is never a second one', async () => {
  const log = new CountingLog();
  const batcher = batcherOf(log, WIDE);
  const recorder = new Recorder();
  log.hold('append');
  batcher.add(text('0'), recorder);
  await Promise.resolve();
  for (let i = 1; i <= 100; i++) batcher.add(text(String(i)), recorder);
  assert.equal(log.running('append'), 1);
  log.release('append');
  await batcher.settled;
  assert.deepEqual(log.sizes, [1, 100]);
  assert.equal(log.most('append'), 1);
  assert.deepEqual(
    await storedTexts(log),
    Array.from({ length: 101 }, (_, i) => String(i)),
  );
});

test('a batch holds at most its number of entries', async () => {
  const log = new CountingLog();
  const batcher = batcherOf(log, { ...WIDE, maxEntries: 40 });
  const recorder = new Recorder();
  for (let i = 0; i < 100; i++) batcher.add(text(String(i)), recorder);
  await batcher.settled;
  assert.deepEqual(log.sizes, [40, 40, 20]);
  assert.equal(recorder.told.length, 100);
});

test('a batch holds at most its number of bytes, and a larger message goes alone', async () => {
  const log = new CountingLog();
  const batcher = batcherOf(log, { ...WIDE, maxBytes: 10 });
  const recorder = new Recorder();
  for (const data of ['aaaa', 'bbbb', 'cccc', 'x'.repeat(50), 'd', 'e'.repeat(10), '']) {
    batcher.add(text(data), recorder);
  }
  await batcher.settled;
  assert.deepEqual(log.sizes, [2, 1, 1, 1, 2]);
  assert.equal((await storedTexts(log)).length, 7);
});

test('a failure is told to each of the batch that failed, and the next batch is stored', async () => {
  const log = new CountingLog();
  const batcher = batcherOf(log, { ...WIDE, maxEntries: 2 });
  const [a, b] = [new Recorder(), new Recorder()];
  log.failNext('append', new Error('broken'));
  batcher.add(text('1'), a);
  batcher.add(text('2'), b);
  batcher.add(text('3'), a);
  await batcher.settled;
  assert.deepEqual(a.told, ['failed 1: broken', 'stored 3']);
  assert.deepEqual(b.told, ['failed 2: broken']);
  assert.deepEqual(await storedTexts(log), ['3']);
});

test('what is added when told of the last entry is stored too', async () => {
  const log = new CountingLog();
  const batcher = batcherOf(log, WIDE);
  const recorder = new Recorder();
  const echoing: Submitter = {
    isAnswered: false,
    stored: () => batcher.add(text('again'), recorder),
    failed: () => assert.fail(),
  };
  batcher.add(text('once'), echoing);
  await batcher.settled;
  assert.deepEqual(await storedTexts(log), ['once', 'again']);
  assert.equal(batcher.isIdle, true);
});

test('nobody is told of an entry before its append has settled', async () => {
  const log = new CountingLog();
  const batcher = batcherOf(log, WIDE);
  const recorder = new Recorder(true);
  log.hold('append');
  batcher.add(text('1'), recorder);
  await until('the append is under way', () => log.running('append') === 1);
  assert.deepEqual(recorder.told, []);
  log.release('append');
  await batcher.settled;
  assert.deepEqual(recorder.told, ['stored 1']);
});
