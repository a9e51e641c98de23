/** One connection, looked at from inside: what wakes it and what does not, and that it ends exactly once. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { Connection, type ConnectionContext, type ConnectionUser } from '../../src/http/ws/connection.ts';
import type { Inflater } from '../../src/http/ws/deflate.ts';
import { type ReasonedSocket, WsServer } from '../../src/http/ws/ws-server.ts';
import { Refusals } from '../../src/refusals.ts';
import { ManualClock } from '../support/clock.ts';
import { limited } from '../support/lane.ts';
import { clientFrame, closeOf, OPCODE, type RawSocket } from '../support/raw-socket.ts';
import { upgradedPair } from '../support/upgraded-pair.ts';
import { until, within } from '../support/within.ts';

const HEARTBEAT_MS = 25_000;
const IDLE_MS = 60_000;
const KIB = 1024;

/** Counts how often a socket of `ws` is made, which is what a sleeping connection does without. */
class CountingServer extends WsServer {
  made = 0;

  override socket(socket: Socket, head: Buffer, inflater: Inflater | null): ReasonedSocket {
    this.made += 1;
    return super.socket(socket, head, inflater);
  }
}

class Scene implements ConnectionUser, AsyncDisposable {
  readonly clock = new ManualClock();
  readonly server = new CountingServer(64 * KIB, 60_000, new Refusals());
  readonly received: string[] = [];
  readonly closeReason = 'cursor=1-0';
  drains = 0;
  gone = 0;
  #pair: Awaited<ReturnType<typeof upgradedPair>> | null = null;
  #connection: Connection | null = null;

  static async open(behind?: Buffer): Promise<Scene> {
    const scene = new Scene();
    const pair = await upgradedPair([], behind);
    scene.#pair = pair;
    const context: ConnectionContext = {
      server: scene.server,
      clock: scene.clock,
      heartbeatMs: HEARTBEAT_MS,
      idleTimeoutMs: IDLE_MS,
      ...limited(64 * KIB),
      gone: () => {
        scene.gone += 1;
      },
    };
    scene.server.accept(pair, { protocol: null, deflate: false }, () => {
      scene.#connection = new Connection(pair.socket, context, false);
      scene.#connection.user = scene;
    });
    await pair.client.head();
    return scene;
  }

  dismiss(): void {}

  get client(): RawSocket {
    return this.#pair?.client ?? assert.fail();
  }

  get socket(): Socket {
    return this.#pair?.socket ?? assert.fail();
  }

  get head(): Buffer {
    return this.#pair?.head ?? assert.fail();
  }

  get connection(): Connection {
    return this.#connection ?? assert.fail();
  }

  get isAsleep(): boolean {
    return this.server.made === 0;
  }

  drained(): void {
    this.drains += 1;
  }

  detach(): void {}

  visit(): null {
    return null;
  }

  receive(data: Buffer): void {
    this.received.push(data.toString());
  }

  /** Sends bytes and resolves once the server's end has read them. */
  async say(...bytes: readonly Buffer[]): Promise<void> {
    for (const some of bytes) {
      const end = this.socket.bytesRead + some.length;
      this.client.write(some);
      await until('they are read', () => this.socket.bytesRead >= end);
    }
  }

  /** Lets time pass, with a look at the connection as often as the timer wheel gives it one. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += HEARTBEAT_MS / 4) {
      this.clock.advance(HEARTBEAT_MS / 4);
      this.connection.visit();
    }
  }

  /** Writes to a client that reads nothing until the socket pushes back. Returns how many bytes that took. */
  stall(): number {
    this.client.stopReading();
    const chunk = Buffer.alloc(1024 * KIB, 7);
    const frame = Buffer.concat([Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0]), chunk]);
    let bytes = 0;
    for (;;) {
      bytes += frame.length;
      if (this.connection.write(frame) === 'pending') return bytes;
    }
  }

  async ended(): Promise<void> {
    await until('it is gone', () => this.gone === 1);
    await within('the end', this.client.closed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pair?.[Symbol.asyncDispose]();
  }
}

const PONG = clientFrame(OPCODE.pong);
const TEXT = clientFrame(OPCODE.text, 'hello');
const CLOSE_1000 = clientFrame(OPCODE.close, Buffer.from([0x03, 0xe8]));

describe('a sleeping connection', () => {
  test('sleeps on through pongs, alone, with payloads and many in one chunk', async () => {
    await using scene = await Scene.open();
    const full = clientFrame(OPCODE.pong, 'x'.repeat(125));
    await scene.say(PONG, full, Buffer.concat([PONG, full, PONG]), Buffer.alloc(500 * PONG.length, PONG));
    assert.equal(scene.isAsleep, true);
    await scene.say(TEXT);
    assert.deepEqual([scene.received, scene.server.made], [['hello'], 1]);
  });

  test('wakes for more pongs than anybody was asked for, so that they are counted', async () => {
    await using slow = await Scene.open();
    for (let visit = 0; visit < 10; visit++) {
      await slow.say(PONG, PONG, PONG, PONG);
      slow.connection.visit();
    }
    assert.equal(slow.isAsleep, true);
    for (let i = 0; i < 20; i++) await slow.say(PONG);
    assert.equal(slow.isAsleep, false);
    await using fast = await Scene.open();
    await fast.say(Buffer.alloc(5000 * PONG.length, PONG));
    assert.equal(fast.isAsleep, false);
  });

  test('wakes for what is no whole pong, and takes none of it for something else', async () => {
    const oddPong = clientFrame(OPCODE.pong, 'abc');
    const cases: readonly (readonly Buffer[])[] = [
      [TEXT],
      [clientFrame(OPCODE.binary, 'hello')],
      [Buffer.concat([PONG, TEXT])],
      [Buffer.concat([TEXT, PONG])],
      [...TEXT].map((byte) => Buffer.from([byte])),
      [...[...oddPong].map((byte) => Buffer.from([byte])), TEXT],
      [oddPong.subarray(0, 7), Buffer.concat([oddPong.subarray(7), TEXT])],
      [Buffer.concat([PONG, TEXT.subarray(0, 3)]), TEXT.subarray(3)],
      [clientFrame(OPCODE.text, 'hel', { fin: false }), clientFrame(OPCODE.continuation, 'lo')],
    ];
    for (const [i, chunks] of cases.entries()) {
      await using scene = await Scene.open();
      await scene.say(...chunks);
      assert.deepEqual([scene.received, scene.server.made], [['hello'], 1], `case ${i}`);
    }
  });

  test('that is closed wakes for the handshake of the close, and ends', async () => {
    await using scene = await Scene.open();
    scene.connection.close(1012, 'cursor=9-0');
    assert.deepEqual(closeOf(await scene.client.frame()), { code: 1012, reason: 'cursor=9-0' });
    assert.equal(scene.connection.write(Buffer.from([0x81, 0])), 'closed');
    scene.client.write(Buffer.concat([TEXT, CLOSE_1000]));
    await scene.ended();
    assert.equal(scene.gone, 1);
  });

  test('is pinged while it is silent, stays for a pong, and ends without one', async () => {
    await using scene = await Scene.open();
    scene.connection.visit();
    for (let round = 0; round < 5; round++) {
      scene.pass(HEARTBEAT_MS);
      assert.equal((await scene.client.frame()).opcode, OPCODE.ping);
      await scene.say(PONG);
      scene.connection.visit();
    }
    assert.deepEqual([scene.isAsleep, scene.gone], [true, 0]);
    scene.pass(IDLE_MS);
    await scene.ended();
    assert.equal(scene.isAsleep, true);
  });

  test('with bytes pending is told when they are gone, and reads a message meanwhile', async () => {
    await using scene = await Scene.open();
    const bytes = scene.stall();
    await scene.say(Buffer.concat([PONG, TEXT, clientFrame(OPCODE.ping, 'p')]));
    assert.deepEqual([scene.received, scene.drains], [['hello'], 0]);
    scene.client.readOn();
    let read = 0;
    while (read < bytes) read += (await scene.client.frame()).payload.length + 10;
    await until('it is told', () => scene.drains === 1);
    const { opcode, payload } = await scene.client.frame();
    assert.deepEqual([opcode, payload.toString()], [OPCODE.pong, 'p']);
  });

  test('with bytes pending that is closed delivers them, then its close', async () => {
    await using scene = await Scene.open();
    const bytes = scene.stall();
    scene.connection.close(4408, 'cursor=9-0');
    scene.client.readOn();
    let read = 0;
    while (read < bytes) {
      const { opcode, payload } = await scene.client.frame();
      assert.equal(opcode, OPCODE.binary);
      read += payload.length + 10;
    }
    assert.deepEqual(closeOf(await scene.client.frame()), { code: 4408, reason: 'cursor=9-0' });
    scene.client.write(CLOSE_1000);
    await scene.ended();
  });

  test('whose client ends its side delivers what is pending, and ends', async () => {
    await using scene = await Scene.open();
    const bytes = scene.stall();
    scene.client.socket.end();
    await until('the end is read', () => scene.socket.readableEnded);
    assert.equal(scene.connection.write(Buffer.from([0x81, 0])), 'closed');
    scene.client.readOn();
    let read = 0;
    while (read < bytes) read += (await scene.client.frame()).payload.length + 10;
    await scene.ended();
    assert.equal(scene.isAsleep, true);
  });

  test('whose client ends its side and takes nothing more is cut after the idle time, asleep or awake', async () => {
    for (const wakes of [false, true]) {
      await using scene = await Scene.open();
      if (wakes) await scene.say(TEXT);
      scene.stall();
      scene.client.socket.end();
      await until('the end is read', () => scene.socket.readableEnded);
      scene.pass(IDLE_MS - HEARTBEAT_MS);
      assert.equal(scene.socket.destroyed, false);
      scene.pass(2 * HEARTBEAT_MS);
      await until('it is gone', () => scene.gone === 1);
    }
  });

  test('that stalled, but did not end its side, is not cut for its silence', async () => {
    await using scene = await Scene.open();
    scene.stall();
    scene.pass(10 * IDLE_MS);
    assert.deepEqual([scene.socket.destroyed, scene.gone], [false, 0]);
  });

  test('closed before what came with its handshake was read still reads it', async () => {
    await using scene = await Scene.open(CLOSE_1000);
    assert.equal(scene.head.length, CLOSE_1000.length);
    scene.connection.close(4410, 'cursor=9-0');
    scene.connection.wake(scene.head);
    assert.equal(closeOf(await scene.client.frame()).code, 4410);
    await scene.ended();
  });

  test('is gone exactly once, however it ends, asleep or awake', async () => {
    const ends: readonly ((scene: Scene) => void)[] = [
      ({ client }) => client.socket.end(),
      ({ client }) => client.reset(),
      ({ client }) => client.write(CLOSE_1000),
      ({ connection }) => connection.destroy(),
      ({ connection }) => {
        connection.close(1012, '');
        connection.destroy();
      },
      ({ connection, client }) => {
        client.reset();
        connection.close(1012, '');
      },
      ({ connection }) => {
        connection.destroy();
        connection.close(1012, '');
      },
    ];
    for (const [i, end] of ends.entries()) {
      for (const wakes of [false, true]) {
        await using scene = await Scene.open();
        if (wakes) await scene.say(TEXT);
        end(scene);
        await scene.ended();
        scene.connection.destroy();
        scene.connection.close(1000, '');
        assert.equal(scene.connection.write(Buffer.from([0x81, 0])), 'closed');
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(scene.gone, 1, `end ${i}, awake: ${wakes}`);
      }
    }
  });
});
