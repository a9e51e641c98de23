/** Group commit: order, one append at a time, the size of a batch, and what a failure does. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NewEntry } from '../../src/log/log.ts';
import { Batcher, type BatchLimits, NO_APPEND_MEASURES, type Submitter } from '../../src/manager/batcher.ts';
import { Intake } from '../../src/manager/intake.ts';
import { type Pausable, Pressure, type PressureBounds, type Share } from '../../src/manager/pressure.ts';
import { NO_TRACING } from '../../src/tracing.ts';
import { ManualClock } from '../support/clock.ts';
import { GatedLog } from '../support/gated-log.ts';
import { until } from '../support/within.ts';

const WIDE: BatchLimits = { maxEntries: 1000, maxBytes: 1_000_000, waitMs: 0 };

const BOUNDS: PressureBounds = { publisherBufferBytes: 1_000_000, bufferBytes: 1_000_000 };

class Recorder implements Submitter {
  readonly origin = 'v1';
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

interface Parts {
  readonly clock?: ManualClock;
  readonly pressure?: Pressure;
}

const ended = (): void => undefined;

function batcherOf(log: GatedLog, limits: BatchLimits, parts: Parts = {}): Batcher {
  const { clock = new ManualClock(), pressure = new Pressure(BOUNDS) } = parts;
  return new Batcher('c', {
    log,
    clock,
    limits,
    pressure,
    intake: new Intake(),
    measures: NO_APPEND_MEASURES,
    tracing: NO_TRACING,
    ended,
  });
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
    origin: 'v1',
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

test('a large backlog is stored in order, each entry once', async () => {
  const log = new CountingLog();
  const batcher = batcherOf(log, { ...WIDE, maxEntries: 7 });
  const recorder = new Recorder();
  const sent = Array.from({ length: 5000 }, (_, i) => String(i));
  for (const data of sent) batcher.add(text(data), recorder);
  await batcher.settled;
  assert.deepEqual(await storedTexts(log), sent);
  assert.deepEqual(
    recorder.told,
    sent.map((data) => `stored ${data}`),
  );
  assert.equal(Math.max(...log.sizes), 7);
});

describe('a busy channel lets its next batch gather', () => {
  const GATHERING: BatchLimits = { ...WIDE, maxEntries: 3, waitMs: 1000 };

  test('until it is full, and one that was idle stores at once', async () => {
    const log = new CountingLog();
    const batcher = batcherOf(log, GATHERING);
    const recorder = new Recorder();
    batcher.add(text('1'), recorder);
    await until('the first is stored', () => recorder.told.length === 1);
    batcher.add(text('2'), recorder);
    batcher.add(text('3'), recorder);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(log.sizes, [1]);
    batcher.add(text('4'), recorder);
    await until('the second batch is stored', () => recorder.told.length === 4);
    assert.deepEqual(log.sizes, [1, 3]);
  });

  test('until its bytes are full', async () => {
    const log = new CountingLog();
    const batcher = batcherOf(log, { ...GATHERING, maxBytes: 10 });
    const recorder = new Recorder();
    batcher.add(text('1'), recorder);
    await until('the first is stored', () => recorder.told.length === 1);
    batcher.add(text('1234567890'), recorder);
    await until('the second is stored', () => recorder.told.length === 2);
  });

  test('for so long at most, and is idle when nothing came', async () => {
    const log = new CountingLog();
    const batcher = batcherOf(log, { ...GATHERING, waitMs: 5 });
    const recorder = new Recorder();
    batcher.add(text('1'), recorder);
    await until('the first is stored', () => recorder.told.length === 1);
    batcher.add(text('2'), recorder);
    await batcher.settled;
    assert.deepEqual([log.sizes, batcher.isIdle], [[1, 1], true]);
  });
});

describe('a log that stands still', () => {
  interface Scene {
    readonly log: CountingLog;
    readonly clock: ManualClock;
    readonly pressure: Pressure;
    readonly batcher: Batcher;
    readonly answered: Recorder;
    readonly raw: Recorder;
  }

  /** "a1" and "r1" are in flight, "a2" and "r2" wait. */
  async function scene(bounds: PressureBounds = BOUNDS): Promise<Scene> {
    const log = new CountingLog();
    const clock = new ManualClock();
    const pressure = new Pressure(bounds);
    const batcher = batcherOf(log, WIDE, { clock, pressure });
    const [answered, raw] = [new Recorder(true), new Recorder()];
    log.hold('append');
    batcher.add(text('a1'), answered);
    batcher.add(text('r1'), raw);
    await until('the append is under way', () => log.running('append') === 1);
    batcher.add(text('a2'), answered);
    batcher.add(text('r2'), raw);
    return { log, clock, pressure, batcher, answered, raw };
  }

  test('for less than the time says nothing to anybody', async () => {
    const { log, clock, batcher, answered, raw } = await scene();
    clock.advance(99);
    batcher.check(100);
    assert.deepEqual([answered.told, raw.told], [[], []]);
    log.release('append');
    await batcher.settled;
    assert.deepEqual(
      [answered.told, raw.told],
      [
        ['stored a1', 'stored a2'],
        ['stored r1', 'stored r2'],
      ],
    );
  });

  test('tells those who are answered, once, and the others wait; nothing is stored that was refused', async () => {
    const { log, clock, pressure, batcher, answered, raw } = await scene();
    clock.advance(100);
    batcher.check(100);
    batcher.check(100);
    assert.match(answered.told[0] ?? '', /^failed a1: .*not known/);
    assert.match(answered.told[1] ?? '', /^failed a2: .*not stored/);
    batcher.add(text('a3'), answered);
    batcher.add(text('r3'), raw);
    assert.match(answered.told[2] ?? '', /^failed a3: .*not stored/);
    assert.equal(answered.told.length, 3);
    assert.deepEqual(raw.told, []);
    log.release('append');
    await batcher.settled;
    assert.equal(answered.told.length, 3);
    assert.deepEqual(raw.told, ['stored r1', 'stored r2', 'stored r3']);
    assert.deepEqual(await storedTexts(log), ['a1', 'r1', 'r2', 'r3']);
    assert.equal(pressure.unstoredBytes, 0);
  });

  test('and goes on again: who is answered is stored again', async () => {
    const { log, clock, batcher, answered } = await scene();
    clock.advance(100);
    batcher.check(100);
    log.release('append');
    await batcher.settled;
    batcher.add(text('a3'), answered);
    await batcher.settled;
    assert.equal(answered.told.at(-1), 'stored a3');
    clock.advance(1000);
    batcher.check(100);
    assert.equal(answered.told.at(-1), 'stored a3');
  });

  test('keeps counting what is in flight, also of those who were told', async () => {
    const { log, clock, pressure, batcher } = await scene();
    const all = pressure.unstoredBytes;
    clock.advance(100);
    batcher.check(100);
    assert.equal(pressure.unstoredBytes, (all / 4) * 3);
    log.release('append');
    await batcher.settled;
    assert.equal(pressure.unstoredBytes, 0);
  });

  test('refuses who is answered in every channel once there is no room, and reads on to do so', async () => {
    const bounds = { publisherBufferBytes: 1000, bufferBytes: 400 };
    const { log, clock, pressure, batcher, raw } = await scene(bounds);
    let resumed = 0;
    const publisher: Pausable = { isAnswered: true, unstoredBytes: 0, resume: () => void (resumed += 1) };
    assert.equal(pressure.mustPause(publisher), true);
    clock.advance(100);
    batcher.check(100);
    assert.equal(resumed, 1);
    // What the channel holds is set aside; beyond that it takes room again.
    for (let n = 0; n < 6; n++) batcher.add(text(`more ${n}`), raw);
    assert.equal(pressure.mustPause(publisher), false);
    const other = batcherOf(log, WIDE, { clock, pressure });
    const late = new Recorder(true);
    other.add(text('x'), late);
    assert.match(late.told[0] ?? '', /^failed x: .*not stored/);
    assert.equal(other.isIdle, true);
    log.release('append');
    await batcher.settled;
    other.add(text('y'), late);
    await other.settled;
    assert.equal(late.told[1], 'stored y');
  });

  test('gives the others their room back, and its own raw publishers wait', async () => {
    const bounds = { publisherBufferBytes: 1000, bufferBytes: 400 };
    const { log, clock, pressure, batcher, raw } = await scene(bounds);
    const resumed: string[] = [];
    const rawOf = (name: string, share: Share): Pausable => ({
      isAnswered: false,
      share,
      unstoredBytes: 0,
      resume: () => void resumed.push(name),
    });
    const own = rawOf('own', batcher.share);
    const other = rawOf('other', { bytes: 0, isStalled: false });
    assert.deepEqual([pressure.mustPause(own), pressure.mustPause(other)], [true, true]);
    clock.advance(100);
    batcher.check(100);
    assert.deepEqual(resumed, ['other']);
    batcher.add(text('r3'), raw);
    pressure.tick();
    assert.deepEqual([pressure.mustPause(own), pressure.mustPause(other)], [true, false]);
    log.release('append');
    await batcher.settled;
    assert.deepEqual(resumed, ['other', 'own']);
    assert.equal(pressure.unstoredBytes, 0);
  });

  test('what two hold beyond their room fits into it once one of them goes on', () => {
    const pressure = new Pressure({ publisherBufferBytes: 1000, bufferBytes: 400 });
    const [first, second, busy]: Share[] = [0, 0, 0].map(() => ({ bytes: 0, isStalled: false }));
    assert.ok(first && second && busy);
    pressure.add(first, 400);
    pressure.stallBegan(first);
    pressure.add(second, 400);
    pressure.stallBegan(second);
    const answered: Pausable = { isAnswered: true, unstoredBytes: 0, resume: () => undefined };
    assert.equal(pressure.isHopeless, false);
    pressure.add(busy, 1);
    assert.deepEqual([pressure.isHopeless, pressure.mustPause(answered)], [true, false]);
    pressure.stallEnded(first);
    pressure.release(first, 400);
    assert.deepEqual([pressure.isHopeless, pressure.mustPause(answered)], [false, false]);
    // What is full by those that go on makes whoever is answered wait, whatever else stands still.
    pressure.add(busy, 400);
    assert.deepEqual([pressure.isHopeless, pressure.mustPause(answered)], [false, true]);
    pressure.release(busy, 401);
    pressure.stallEnded(second);
    pressure.release(second, 400);
    assert.equal(pressure.unstoredBytes, 0);
  });

  test('tells any number of those who wait at once, with one error', async () => {
    const { log, clock, batcher } = await scene();
    const told = new Set<unknown>();
    const many: Submitter = {
      origin: 'v1',
      isAnswered: true,
      stored: () => assert.fail(),
      failed: (_entry, error) => void told.add(error),
    };
    for (let n = 0; n < 1000; n++) batcher.add(text(`${n}`), many);
    clock.advance(100);
    batcher.check(100);
    assert.equal(told.size, 1);
    log.release('append');
    await batcher.settled;
  });
});
