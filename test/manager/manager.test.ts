/** Back-pressure: who is paused when the log is slow, and who goes on when. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ManagerConfig } from '../../src/config.ts';
import { RivercastError } from '../../src/errors.ts';
import { createLogger, type Logger } from '../../src/logger.ts';
import { Manager } from '../../src/manager/manager.ts';
import { type Pausable, Pressure } from '../../src/manager/pressure.ts';
import { Publisher } from '../../src/manager/publisher.ts';
import { ManualClock } from '../support/clock.ts';
import { GatedLog } from '../support/gated-log.ts';
import { until } from '../support/within.ts';

/** Each message of 872 bytes costs 1,000. */
const MESSAGE: Buffer = Buffer.alloc(872);
const CONFIG: ManagerConfig = {
  maxMessageBytes: 100_000,
  publisherBufferBytes: 10_000,
  bufferBytes: 40_000,
  batchMaxEntries: 1,
  batchMaxBytes: 1_000_000,
  batchWaitMs: 0,
  overloadedAfterMs: 5000,
};

class Faucet {
  readonly changes: string[] = [];

  pause(): void {
    this.changes.push('pause');
  }

  resume(): void {
    this.changes.push('resume');
  }

  close(code: number): void {
    this.changes.push(`close ${code}`);
  }
}

class Desk {
  readonly log: GatedLog = new GatedLog();
  readonly clock: ManualClock = new ManualClock();
  readonly manager: Manager;
  readonly said: string[] = [];
  readonly logger: Logger = createLogger({
    level: 'error',
    stream: { write: (line: string) => void this.said.push(line) },
  });

  constructor(config: Partial<ManagerConfig> = {}) {
    const { log, clock, logger } = this;
    this.manager = new Manager({ log, clock, logger, config: { ...CONFIG, ...config } });
  }

  publisher(channel = 'c'): { readonly publisher: Publisher; readonly faucet: Faucet } {
    const faucet = new Faucet();
    return { faucet, publisher: new Publisher(this.manager, channel, faucet) };
  }
}

function publish(publisher: Publisher, count: number): void {
  for (let i = 0; i < count; i++) publisher.publish('binary', MESSAGE);
}

describe('one publisher', () => {
  test('is read up to its bound, paused once above it, and not told twice', () => {
    const desk = new Desk();
    desk.log.hold('append');
    const { publisher, faucet } = desk.publisher();
    publish(publisher, 10);
    assert.deepEqual(faucet.changes, []);
    publish(publisher, 1);
    assert.deepEqual(faucet.changes, ['pause']);
    publish(publisher, 5);
    assert.deepEqual(faucet.changes, ['pause']);
    assert.equal(desk.manager.unstoredBytes, 16_000);
  });

  test('goes on once half of its bound is free again, not with every batch', async () => {
    const desk = new Desk();
    desk.log.hold('append');
    const { publisher, faucet } = desk.publisher();
    publish(publisher, 11);
    let unstoredAtResume = -1;
    faucet.resume = () => {
      unstoredAtResume = publisher.unstoredBytes;
    };
    desk.log.release('append');
    await until('all is stored', () => desk.manager.unstoredBytes === 0);
    assert.equal(unstoredAtResume, 5000);
  });

  test('is bounded also by empty messages', () => {
    const desk = new Desk();
    desk.log.hold('append');
    const { publisher, faucet } = desk.publisher();
    for (let i = 0; i < 100; i++) publisher.publish('text', Buffer.alloc(0));
    assert.deepEqual(faucet.changes, ['pause']);
  });

  test('is told by the end of its connection that the log has failed for good, and so is whoever stops the server', async () => {
    const desk = new Desk();
    for (let i = 0; i < 20; i++) desk.log.failNext('append', new RivercastError('log_unavailable', 'broken'));
    const { publisher, faucet } = desk.publisher();
    publish(publisher, 20);
    await until('all have failed', () => desk.manager.unstoredBytes === 0);
    assert.deepEqual([...new Set(faucet.changes)].toSorted(), ['close 1013', 'pause', 'resume']);
    assert.equal(await desk.manager.drain(AbortSignal.timeout(1000)), false);
    assert.equal(desk.said.length, 1);
    assert.match(desk.said[0] ?? '', /could not be stored/);
  });
});

describe('all publishers together', () => {
  test('whoever sends above the bound of all is paused, however little it sent itself', () => {
    const desk = new Desk();
    desk.log.hold('append');
    const busy = Array.from({ length: 4 }, (_, i) => desk.publisher(`c${i}`));
    for (const { publisher } of busy) publish(publisher, 10);
    const late = desk.publisher();
    publish(late.publisher, 1);
    assert.deepEqual(late.faucet.changes, ['pause']);
    assert.deepEqual(busy[0]?.faucet.changes, []);
  });

  test('all who were paused go on once half of the bound is free, also one with nothing left to store', async () => {
    const desk = new Desk({ publisherBufferBytes: 1_000_000 });
    desk.log.hold('append');
    const all = Array.from({ length: 4 }, (_, i) => desk.publisher(`c${i}`));
    for (const { publisher } of all) publish(publisher, 11);
    const quick = desk.publisher('quick');
    publish(quick.publisher, 1);
    assert.deepEqual(quick.faucet.changes, ['pause']);
    desk.log.release('append');
    await until('all is stored', () => desk.manager.unstoredBytes === 0);
    assert.deepEqual(quick.faucet.changes, ['pause', 'resume']);
    for (const { publisher } of all) assert.equal(publisher.isPaused, false);
  });

  test('whoever is paused goes on after a while below the bound, also if half of it is never free', () => {
    const desk = new Desk();
    desk.log.hold('append');
    const busy = Array.from({ length: 4 }, (_, i) => desk.publisher(`c${i}`));
    for (const { publisher } of busy) publish(publisher, 10);
    const late = desk.publisher();
    publish(late.publisher, 1);
    desk.manager.tick();
    assert.deepEqual(late.faucet.changes, ['pause']);
    const pressure = new Pressure({ publisherBufferBytes: 10, bufferBytes: 100 });
    let resumed = 0;
    const one: Pausable = { isAnswered: false, unstoredBytes: 0, resume: () => void (resumed += 1) };
    const share = { bytes: 0, isStalled: false };
    pressure.add(share, 101);
    assert.equal(pressure.mustPause(one), true);
    pressure.release(share, 2);
    assert.equal(resumed, 0);
    pressure.tick();
    pressure.tick();
    assert.equal(resumed, 1);
  });

  test('one channel has a quarter of the room, and its publishers go on once half of that is free', async () => {
    const desk = new Desk({ publisherBufferBytes: 1_000_000 });
    desk.log.hold('append');
    const [first, second] = [desk.publisher('flooded'), desk.publisher('flooded')];
    publish(first.publisher, 11);
    publish(second.publisher, 1);
    const quiet = desk.publisher('quiet');
    publish(quiet.publisher, 1);
    const late = desk.publisher('flooded');
    assert.deepEqual(
      [first, second, late, quiet].map(({ faucet }) => faucet.changes),
      [['pause'], ['pause'], ['pause'], []],
    );
    desk.log.release('append');
    await until('all is stored', () => desk.manager.unstoredBytes === 0);
    assert.deepEqual(late.faucet.changes, ['pause', 'resume']);
  });

  test('one paused for its own bound is not woken by the bound of all', async () => {
    const desk = new Desk({ bufferBytes: 14_000 });
    desk.log.hold('append');
    const heavy = desk.publisher('heavy');
    const light = desk.publisher('light');
    publish(heavy.publisher, 11);
    publish(light.publisher, 4);
    assert.deepEqual([heavy.faucet.changes, light.faucet.changes], [['pause'], ['pause']]);
    let unstored = -1;
    heavy.faucet.resume = () => {
      unstored = heavy.publisher.unstoredBytes;
    };
    desk.log.release('append');
    await until('all is stored', () => desk.manager.unstoredBytes === 0);
    assert.ok(unstored >= 0 && unstored <= 5000, `${unstored}`);
    assert.deepEqual(light.faucet.changes, ['pause', 'resume']);
  });
});

describe('draining', () => {
  test('resolves once all is stored, what is added meanwhile included', async () => {
    const desk = new Desk();
    const { publisher } = desk.publisher();
    desk.log.hold('append');
    publish(publisher, 5);
    const drained = desk.manager.drain(new AbortController().signal);
    publish(publisher, 5);
    desk.log.release('append');
    assert.equal(await drained, true);
    assert.equal(desk.manager.unstoredBytes, 0);
    assert.equal((await desk.log.bounds('c')).length, 10);
  });

  test('gives up when it is told to, and says so', async () => {
    const desk = new Desk();
    const { publisher } = desk.publisher();
    desk.log.hold('append');
    publish(publisher, 5);
    const abort = new AbortController();
    const drained = desk.manager.drain(abort.signal);
    abort.abort();
    assert.equal(await drained, false);
    assert.equal(await desk.manager.drain(abort.signal), false);
    desk.log.release('append');
    assert.equal(await desk.manager.drain(new AbortController().signal), true);
  });

  test('with nothing to store is done at once', async () => {
    assert.equal(await new Desk().manager.drain(AbortSignal.abort()), true);
  });
});

test('a channel nobody publishes to is forgotten, and works again', async () => {
  const desk = new Desk();
  const { publisher } = desk.publisher();
  for (let round = 1; round <= 3; round++) {
    publish(publisher, 2);
    desk.manager.tick();
    assert.equal(await desk.manager.drain(new AbortController().signal), true);
    desk.manager.tick();
    assert.equal((await desk.log.bounds('c')).length, 2 * round);
  }
});

test('a fault of ours that fails appends is said once, and again when it is back', async () => {
  const desk = new Desk();
  const { publisher } = desk.publisher();
  const publishOne = async (): Promise<void> => {
    publish(publisher, 1);
    await desk.manager.drain(new AbortController().signal);
  };
  const faults = (): number => desk.said.filter((line) => line.includes('fault of the server')).length;
  for (const expected of [1, 1]) {
    desk.log.failNext('append', new TypeError('ours'));
    await publishOne();
    assert.equal(faults(), expected);
  }
  await publishOne();
  desk.log.failNext('append', new TypeError('ours'));
  await publishOne();
  assert.equal(faults(), 2);
});
