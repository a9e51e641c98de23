/** What floods a connection is looked at in turns: others are heard in between, and nothing is lost or moved. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Connection, type ConnectionContext } from '../../src/http/ws/connection.ts';
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
  readonly #pair: UpgradedPair;
  /** After so many messages it wants no more for now. */
  pausesAfter = Number.POSITIVE_INFINITY;
  isGone = false;

  private constructor(pair: UpgradedPair, turns: ReadTurns) {
    const server = new WsServer(MAX_BYTES, 5000, new Refusals());
    const context: ConnectionContext = {
      server,
      clock: new ManualClock(),
      heartbeatMs: 1000,
      idleTimeoutMs: 2000,
      ...limited(MAX_BYTES),
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

  static async open(turns: ReadTurns): Promise<Scene> {
    return new Scene(await upgradedPair(), turns);
  }

  /** As one read of the socket gives it. */
  gives(messages: readonly string[]): void {
    this.#pair.socket.emit('data', Buffer.concat(messages.map((text) => clientFrame(OPCODE.text, text))));
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
