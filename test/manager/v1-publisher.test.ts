/** A publisher that is answered: who is read when, what is answered when, and what is left when it goes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadConfig, type ManagerConfig } from '../../src/config.ts';
import { RivercastError } from '../../src/errors.ts';
import { ANYBODY } from '../../src/grant.ts';
import { createLogger } from '../../src/logger.ts';
import { Manager } from '../../src/manager/manager.ts';
import { type AnsweredConnection, V1Publisher } from '../../src/manager/v1-publisher.ts';
import { Refusals } from '../../src/refusals.ts';
import { ManualClock } from '../support/clock.ts';
import { GatedLog } from '../support/gated-log.ts';
import { until } from '../support/within.ts';

type Answer = Readonly<Record<string, unknown>>;

/** The other end of the connection, as far as the publisher sees it. */
class Line implements AnsweredConnection {
  readonly changes: string[] = [];
  readonly writes: Buffer[] = [];
  /** What the next writes come to. */
  outcome: 'taken' | 'pending' | 'closed' = 'taken';

  pause(): void {
    this.changes.push('pause');
  }

  resume(): void {
    this.changes.push('resume');
  }

  close(code: number): void {
    this.changes.push(`close ${code}`);
  }

  destroy(): void {
    this.changes.push('destroy');
  }

  write(bytes: Buffer): 'taken' | 'pending' | 'closed' {
    this.writes.push(bytes);
    return this.outcome;
  }

  /** All answers so far, the hello left out. */
  get answers(): readonly Answer[] {
    const texts = this.writes.flatMap(textsOf);
    return texts.map((text) => JSON.parse(text) as Answer).filter(({ type }) => type !== 'hello');
  }

  get refs(): readonly unknown[] {
    return this.answers.map(({ ref }) => ref);
  }
}

function textsOf(frames: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < frames.length; ) {
    const short = frames[at + 1] as number;
    const start = at + (short === 126 ? 4 : 2);
    const end = start + (short === 126 ? frames.readUInt16BE(at + 2) : short);
    texts.push(frames.subarray(start, end).toString());
    at = end;
  }
  return texts;
}

class Scene {
  readonly log: GatedLog = new GatedLog();
  readonly clock: ManualClock = new ManualClock();
  readonly said: string[] = [];
  readonly manager: Manager;

  constructor(config: Partial<ManagerConfig> = {}) {
    const { log, clock } = this;
    const logger = createLogger({
      level: 'info',
      stream: { write: (line: string) => void this.said.push(line) },
    });
    const { manager } = loadConfig({ env: {} });
    this.manager = new Manager({ log, clock, logger, config: { ...manager, ...config } });
  }

  open(): { readonly publisher: V1Publisher; readonly line: Line } {
    const { manager, clock } = this;
    const line = new Line();
    const publisher = new V1Publisher({
      manager,
      clock,
      connection: line,
      channel: 'c',
      caller: ANYBODY,
      rate: null,
      maxMessageBytes: 1_000_000,
      idleTimeoutMs: 60_000,
      hello: { server: 'rivercast/test', heartbeat: 25 },
      refusals: new Refusals(),
    });
    return { publisher, line };
  }

  get storedCount(): Promise<number> {
    return this.log.bounds('c').then(({ length }) => length);
  }
}

function publish(publisher: V1Publisher, ref: number, members: object = {}): void {
  publisher.receive(Buffer.from(JSON.stringify({ type: 'publish', ref, data: `${ref}`, ...members })), false);
}

function range(end: number, start = 0): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

describe('answers', () => {
  test('of what one append stored go out in one write', async () => {
    const scene = new Scene();
    const { publisher, line } = scene.open();
    for (const ref of range(100)) publish(publisher, ref);
    await until('all are answered', () => line.refs.length === 100);
    assert.deepEqual(line.refs, range(100));
    assert.equal(line.writes.length, 2);
  });

  test('have the error of the log, with when to try again and the channel', async () => {
    const scene = new Scene();
    const { publisher, line } = scene.open();
    const errors = [
      new RivercastError('not_replicated', 'replicas are late'),
      new RivercastError('not_synced', 'the disk is late'),
      new RivercastError('log_unavailable', 'the log is closed'),
      new Error('secret'),
    ];
    for (const [ref, error] of errors.entries()) {
      scene.log.failNext('append', error);
      publish(publisher, ref, { channel: `c${ref}` });
    }
    await until('all are answered', () => line.answers.length === 4);
    const common = { type: 'error', retry: true, retryAfter: 1 };
    assert.deepEqual(line.answers, [
      { ...common, code: 'not_replicated', message: 'replicas are late', ref: 0, channel: 'c0' },
      { ...common, code: 'not_synced', message: 'the disk is late', ref: 1, channel: 'c1' },
      { ...common, code: 'log_unavailable', message: 'the log is closed', ref: 2, channel: 'c2' },
      { ...common, code: 'internal', message: 'the server failed to store this', ref: 3, channel: 'c3' },
    ]);
    assert.deepEqual(line.changes, []);
  });

  test('wait while the client does not take them; it is then not read, and nothing is written beyond one write', async () => {
    const scene = new Scene();
    const { publisher, line } = scene.open();
    line.outcome = 'pending';
    publish(publisher, 0);
    await until('one is answered', () => line.refs.length === 1);
    for (const ref of range(3000, 1)) publish(publisher, ref);
    assert.deepEqual(line.changes, ['pause']);
    await until('all are stored', () => scene.manager.unstoredBytes === 0);
    assert.deepEqual(line.refs, [0]);
    publisher.drained();
    assert.ok((line.writes.at(-1)?.length ?? 0) <= 65 * 1024);
    assert.ok(line.refs.length < 3000);
    line.outcome = 'taken';
    publisher.drained();
    assert.deepEqual(line.refs, range(3000));
    assert.deepEqual(line.changes, ['pause', 'resume']);
  });

  test('that are not taken for the idle time-out cut the connection', async () => {
    const scene = new Scene();
    const { publisher, line } = scene.open();
    line.outcome = 'pending';
    scene.clock.advance(60_000);
    publisher.visit();
    publish(publisher, 0);
    await until('one is answered', () => line.refs.length === 1);
    scene.clock.advance(59_999);
    publisher.visit();
    assert.deepEqual(line.changes, []);
    scene.clock.advance(1);
    publisher.visit();
    assert.deepEqual(line.changes, ['destroy']);
  });
});

describe('a publisher is not read', () => {
  test('while too many of its asks are not answered, however small they are', async () => {
    const scene = new Scene({ publisherBufferBytes: 1e9 });
    const { publisher, line } = scene.open();
    scene.log.hold('append');
    for (const ref of range(4096)) publish(publisher, ref);
    assert.deepEqual(line.changes, ['pause']);
    publish(publisher, 4096);
    scene.log.release('append');
    await until('all are answered', () => line.refs.length === 4097);
    assert.deepEqual(line.refs, range(4097));
    assert.deepEqual(line.changes, ['pause', 'resume']);
  });

  test('while too many of its bytes are not stored', async () => {
    const scene = new Scene({ publisherBufferBytes: 10_000 });
    const { publisher, line } = scene.open();
    scene.log.hold('append');
    for (const ref of range(10)) publish(publisher, ref, { data: 'x'.repeat(1000) });
    assert.deepEqual(line.changes, ['pause']);
    scene.log.release('append');
    await until('all are answered', () => line.refs.length === 10);
    assert.deepEqual(line.changes, ['pause', 'resume']);
    assert.equal(publisher.unstoredBytes, 0);
  });

  test('until the log has stood still for too long: then it is read, told, and what it sends is refused at once', async () => {
    const scene = new Scene({ publisherBufferBytes: 10_000, overloadedAfterMs: 5000 });
    const { publisher, line } = scene.open();
    scene.log.hold('append');
    publish(publisher, 0);
    await until('it is in flight', () => scene.log.running('append') === 1);
    for (const ref of range(20, 1)) publish(publisher, ref, { data: 'x'.repeat(1000) });
    scene.clock.advance(4999);
    scene.manager.tick();
    assert.deepEqual([line.refs, line.changes], [[], ['pause']]);
    scene.clock.advance(1);
    scene.manager.tick();
    await until('all are answered', () => line.refs.length === 20);
    assert.deepEqual(line.changes, ['pause', 'resume']);
    publish(publisher, 20);
    await until('this one too', () => line.refs.length === 21);
    assert.deepEqual(
      line.answers.map(({ ref, code, retry }) => [ref, code, retry]),
      range(21).map((ref) => [ref, ref === 0 ? 'log_unavailable' : 'overloaded', true]),
    );
    scene.log.release('append');
    await until('the append has settled', () => scene.manager.unstoredBytes === 0);
    publish(publisher, 21);
    await until('it is stored', () => line.refs.length === 22);
    assert.equal(line.answers.at(-1)?.['type'], 'ack');
    assert.equal(await scene.storedCount, 2);
  });
});

describe('a publisher that is gone', () => {
  test('leaves what it sent to be stored, and nothing else', async () => {
    const scene = new Scene({ publisherBufferBytes: 1000 });
    const { publisher, line } = scene.open();
    scene.log.hold('append');
    for (const ref of range(20)) publish(publisher, ref);
    publisher.detach();
    scene.log.release('append');
    await until('all is stored', () => scene.manager.unstoredBytes === 0);
    assert.equal(await scene.storedCount, 20);
    assert.deepEqual([line.refs, line.changes, publisher.unstoredBytes], [[], ['pause'], 0]);
  });

  test('is not written to, and asks nothing more', async () => {
    const scene = new Scene();
    const { publisher, line } = scene.open();
    line.outcome = 'closed';
    publish(publisher, 0);
    await until('it is stored', () => scene.manager.unstoredBytes === 0);
    publish(publisher, 1);
    assert.equal(scene.manager.unstoredBytes, 0);
    assert.equal(publisher.isAnsweredInFull, true);
  });
});

describe('at a stop', () => {
  test('what was asked is answered, what comes is refused, and then it is closed', async () => {
    const scene = new Scene();
    const { publisher, line } = scene.open();
    scene.log.hold('append');
    publish(publisher, 0);
    publisher.dismiss('draining', 'the server is stopping');
    publish(publisher, 1);
    assert.deepEqual(line.changes, []);
    scene.log.release('append');
    await until('it is closed', () => line.changes.length === 1);
    assert.deepEqual(
      line.answers.map(({ type, ref, code, retry }) => [type, ref, code, retry]),
      [
        ['ack', 0, undefined, undefined],
        ['error', 1, 'draining', true],
      ],
    );
    assert.deepEqual(line.changes, ['close 1012']);
    publish(publisher, 2);
    assert.equal(await scene.storedCount, 1);
  });

  test('one that asked nothing is closed at once, and once', () => {
    const { publisher, line } = new Scene().open();
    publisher.dismiss('draining', 'the server is stopping');
    publisher.end();
    assert.deepEqual(line.changes, ['close 1012']);
  });

  test('that does not wait any longer each ask is told that nobody knows', async () => {
    const scene = new Scene();
    const { publisher, line } = scene.open();
    scene.log.hold('append');
    publish(publisher, 0);
    publish(publisher, 1);
    publisher.dismiss('draining', 'the server is stopping');
    publisher.end();
    assert.deepEqual(
      line.answers.map(({ ref, code }) => [ref, code]),
      [
        [0, 'log_unavailable'],
        [1, 'log_unavailable'],
      ],
    );
    assert.deepEqual(line.changes, ['close 1012']);
    scene.log.release('append');
    await until('all is stored', () => scene.manager.unstoredBytes === 0);
    assert.equal(line.answers.length, 2);
  });
});

test('that entries are stored less safely than asked is said once per change, not for each', async () => {
  const scene = new Scene({ batchMaxEntries: 1 });
  const { publisher, line } = scene.open();
  const late = new RivercastError('not_replicated', 'replicas are late');
  const round = async (count: number, isLate: boolean): Promise<void> => {
    if (isLate) for (const _ of range(count)) scene.log.failNext('append', late);
    const end = line.answers.length + count;
    for (const ref of range(count)) publish(publisher, ref);
    await until('all are answered', () => line.answers.length === end);
    scene.manager.tick();
  };
  await round(5, false);
  assert.deepEqual(scene.said, []);
  for (const isLate of [true, true, false, false, true]) await round(5, isLate);
  assert.deepEqual(
    scene.said.map((line) => (JSON.parse(line) as { level: unknown }).level),
    ['warn', 'info', 'warn'],
  );
});
