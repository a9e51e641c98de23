/** What floods a connection is looked at in turns: others are heard in between, and nothing is lost or moved. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Connection, type ConnectionContext } from '../../src/http/ws/connection.ts';
import type { LaneLimits } from '../../src/http/ws/fast-lane.ts';
import { ReadTurns } from '../../src/http/ws/read-turns.ts';
import { WsServer } from '../../src/http/ws/ws-server.ts';
import { Refusals } from '../../src/refusals.ts';
import { ManualClock } from '../support/clock.ts';
import { GatedLog } from '../support/gated-log.ts';
import { limited } from '../support/lane.ts';
import { clientFrame, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { type UpgradedPair, upgradedPair } from '../support/upgraded-pair.ts';
import { until } from '../support/within.ts';

const MAX_BYTES = 64 * 1024;
const FLOOD = 3000;

/** Time passes by being looked at, so that a turn is over after a few hundred frames on any machine. */
class LookedAtClock extends ManualClock {
  override monotonic(): number {
    this.advance(0.3);
    return super.monotonic();
  }
}

class Scene implements AsyncDisposable {
  readonly heard: string[] = [];
  readonly connection: Connection;
  /** Of what it may send a second. */
  readonly clock: ManualClock = new ManualClock();
  /** The limits it crossed. */
  readonly crossed: string[] = [];
  readonly #pair: UpgradedPair;
  /** After so many messages it wants no more for now. */
  pausesAfter = Number.POSITIVE_INFINITY;
  isGone = false;

  private constructor(pair: UpgradedPair, turns: ReadTurns, limits: Partial<LaneLimits>) {
    const shared = limited(MAX_BYTES);
    const server = new WsServer(MAX_BYTES, 5000, new Refusals());
    const context: ConnectionContext = {
      server,
      clock: this.clock,
      heartbeatMs: 1000,
      idleTimeoutMs: 2000,
      ...shared,
      limits: { ...shared.limits, ...limits },
      crossed: (limit) => void this.crossed.push(limit),
      turns,
      gone: () => {
        this.isGone = true;
      },
    };
    this.#pair = pair;
    this.connection = new Connection(pair.socket, context, false);
    this.connection.user = {
      drained: () => undefined,
      detach: () => undefined,
      visit: () => null,
      dismiss: () => undefined,
      closeReason: '',
      receive: (data) => {
        this.heard.push(data.toString());
        if (this.heard.length === this.pausesAfter) this.connection.pause();
      },
    };
    this.connection.wake();
  }

  static async open(turns: ReadTurns, limits: Partial<LaneLimits> = {}): Promise<Scene> {
    return new Scene(await upgradedPair(), turns, limits);
  }

  /** As one read of the socket gives it. */
  gives(messages: readonly string[], ...before: readonly Buffer[]): void {
    const frames = messages.map((text) => clientFrame(OPCODE.text, text));
    this.#pair.socket.emit('data', Buffer.concat([...before, ...frames]));
  }

  /** Comes, and waits in the socket. */
  async sends(...frames: readonly Buffer[]): Promise<void> {
    const bytes = Buffer.concat(frames);
    this.#pair.client.write(bytes);
    await until('it has come', () => this.#pair.socket.readableLength === bytes.length);
  }

  cut(): void {
    this.#pair.socket.destroy();
  }

  get isRead(): boolean {
    return !this.#pair.socket.isPaused();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pair[Symbol.asyncDispose]();
  }
}

function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => `${from + i}`);
}

describe('a connection that floods', () => {
  test('is heard whole and in order, over several turns, in which others are heard at once', async () => {
    const turns = new ReadTurns(new LookedAtClock());
    await using flooding = await Scene.open(turns);
    await using other = await Scene.open(turns);
    flooding.gives(numbered(FLOOD));
    const heardAtFirst = flooding.heard.length;
    other.gives(['small']);
    assert.ok(heardAtFirst > 0 && heardAtFirst < FLOOD / 2, `${heardAtFirst} of ${FLOOD} at once`);
    assert.deepEqual(other.heard, ['small']);
    assert.equal(flooding.isRead, false);
    await until('all is heard', () => flooding.heard.length === FLOOD);
    assert.deepEqual(flooding.heard, numbered(FLOOD));
    await until('it is read again', () => flooding.isRead);
  });

  test('takes turns with those who flood beside it', async () => {
    const turns = new ReadTurns(new LookedAtClock());
    await using first = await Scene.open(turns);
    await using second = await Scene.open(turns);
    first.gives(numbered(FLOOD));
    second.gives(numbered(FLOOD));
    let most = 0;
    while (first.heard.length < FLOOD && second.heard.length < FLOOD) {
      most = Math.max(most, Math.abs(first.heard.length - second.heard.length));
      await nextTurn();
    }
    await until('all is heard', () => first.heard.length === FLOOD && second.heard.length === FLOOD);
    assert.ok(most < FLOOD / 3, `one was ${most} ahead`);
  });

  test('is not heard on while its user wants nothing, and then goes on where it was', async () => {
    await using scene = await Scene.open(new ReadTurns(new LookedAtClock()));
    scene.pausesAfter = 100;
    scene.gives(numbered(FLOOD));
    const heard = scene.heard.length;
    for (let i = 0; i < 50; i++) await nextTurn();
    assert.equal(scene.heard.length, heard);
    assert.ok(heard < FLOOD / 2);
    scene.connection.resume();
    // What the socket gives before its turn waits behind what is held.
    scene.gives(numbered(10, FLOOD));
    await until('all is heard', () => scene.heard.length === FLOOD + 10);
    assert.deepEqual(scene.heard, numbered(FLOOD + 10));
    await until('it is read again', () => scene.isRead);
  });

  test('holds no turn for long, also where all that it sends is stored at once', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using raw = await RawSocket.open(server.address, '/ws/manager');
    const empties = 200_000;
    raw.write(Buffer.concat(Array.from({ length: empties }, () => clientFrame(OPCODE.binary))));
    let [stored, most] = [0, 0];
    const endsMs = performance.now() + 20_000;
    while (stored < empties) {
      assert.ok(performance.now() < endsMs, `${stored} are stored`);
      await nextTurn();
      const { length } = await log.inner.bounds('local-q');
      most = Math.max(most, length - stored);
      stored = length;
    }
    // Twice what one read of the socket holds.
    assert.ok(most < 20_000, `${most} in a turn`);
  });

  test('is not read on when its user wants nothing more than what was held', async () => {
    await using scene = await Scene.open(new ReadTurns(new LookedAtClock()));
    scene.pausesAfter = FLOOD;
    scene.gives(numbered(FLOOD));
    await until('all is heard', () => scene.heard.length === FLOOD);
    for (let i = 0; i < 50; i++) await nextTurn();
    assert.equal(scene.isRead, false);
    scene.connection.resume();
    assert.equal(scene.isRead, true);
  });

  test('is heard to the end when it is cut', async () => {
    await using scene = await Scene.open(new ReadTurns(new LookedAtClock()));
    scene.gives(numbered(FLOOD));
    assert.ok(scene.heard.length < FLOOD);
    scene.cut();
    await until('it is gone', () => scene.isGone);
    assert.deepEqual(scene.heard, numbered(FLOOD));
  });
});

describe('what came while it was not read', () => {
  const RATE = 20;
  const AWAY_MS = 10_000;
  /** Of the time while it was not read, and of one second in which it is. */
  const ALLOWED = RATE * (AWAY_MS / 1000) + RATE;
  const FIRST = ['first'];

  /** It has sent one message, and its user wants no more for now. */
  async function paused(limits: Partial<LaneLimits>): Promise<Scene> {
    const scene = await Scene.open(new ReadTurns(new ManualClock()), limits);
    scene.pausesAfter = FIRST.length;
    scene.gives(FIRST);
    scene.clock.advance(AWAY_MS);
    return scene;
  }

  function pings(count: number): Buffer[] {
    return Array.from({ length: count }, () => clientFrame(OPCODE.ping, 'there?'));
  }

  test('pings, as many as it may send in that time, cost nothing of what lies behind them', async () => {
    await using scene = await paused({ maxControlFrames: RATE });
    scene.connection.resume();
    scene.gives(['behind'], ...pings(ALLOWED));
    assert.deepEqual(scene.heard, ['first', 'behind']);
    assert.deepEqual(scene.crossed, []);
  });

  test('messages of a subscriber, too', async () => {
    await using scene = await paused({ maxFrames: RATE });
    scene.connection.resume();
    scene.gives(numbered(ALLOWED - FIRST.length));
    assert.deepEqual(scene.heard, [...FIRST, ...numbered(ALLOWED - FIRST.length)]);
    assert.deepEqual(scene.crossed, []);
  });

  test('is refused when there is more than that, and used up once it is', async () => {
    for (const rest of [[1], [0, 1]]) {
      await using scene = await paused({ maxControlFrames: RATE });
      scene.connection.resume();
      scene.gives([], ...pings(ALLOWED));
      assert.deepEqual(scene.crossed, []);
      for (const count of rest) scene.gives(['behind'], ...pings(count));
      assert.deepEqual(scene.crossed, ['control_frames']);
      assert.deepEqual(scene.heard, rest.length === 1 ? FIRST : [...FIRST, 'behind']);
    }
  });

  test('counts only the time of pauses, not that in which nothing came', async () => {
    await using scene = await paused({ maxControlFrames: RATE });
    scene.connection.resume();
    scene.clock.advance(100 * AWAY_MS);
    scene.gives([], ...pings(ALLOWED + RATE));
    assert.deepEqual(scene.crossed, []);
    scene.gives([], ...pings(1));
    assert.deepEqual(scene.crossed, ['control_frames']);
  });

  test('counts the time in which it had to wait for its turn', async () => {
    await using scene = await Scene.open(new ReadTurns(new LookedAtClock()), { maxControlFrames: RATE });
    scene.gives(numbered(FLOOD));
    scene.clock.advance(AWAY_MS);
    scene.gives(['behind'], ...pings(ALLOWED));
    await until('all is heard', () => scene.heard.length === FLOOD + 1);
    assert.deepEqual(scene.crossed, []);
  });

  test('is read to the end when it has gone meanwhile', async () => {
    await using scene = await paused({ maxControlFrames: RATE });
    await scene.sends(...pings(ALLOWED), clientFrame(OPCODE.text, 'last'));
    scene.cut();
    await until('it is gone', () => scene.isGone);
    assert.deepEqual(scene.heard, ['first', 'last']);
  });
});
