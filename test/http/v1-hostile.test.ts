/** What a subscriber of `rivercast.v1` may do wrong: it is told, or not read, and its neighbours notice nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { turn } from '../support/followed-log.ts';
import { GatedLog } from '../support/gated-log.ts';
import { clientFrame, handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client, type V1Frame } from '../support/v1-client.ts';
import { until } from '../support/within.ts';

const HEADER = 'Sec-WebSocket-Protocol: rivercast.v1';
const MIB = 1024 * 1024;
/** While a neighbour waits for one message. */
const MOST_WORK_MS = 500;

async function openRaw(server: TestServer, query: string): Promise<RawSocket> {
  const socket = await RawSocket.connect(server.address);
  socket.write(handshake(`/ws/broadcast${query}`, HEADER));
  await socket.head();
  return socket;
}

function ask(frame: object): Buffer {
  return clientFrame(OPCODE.text, JSON.stringify(frame));
}

/** A subscriber and a publisher that must go on as if nothing were. */
class Neighbour implements AsyncDisposable {
  readonly #client: V1Client;
  readonly #publish: (text: string) => void;
  readonly #end: () => Promise<void>;
  #sent = 0;
  /**
   * The most that this process, which is both sides, was at work during one: on a machine that is busy with other
   * things a time would tell nothing.
   */
  mostWorkMs = 0;

  private constructor(client: V1Client, publish: (text: string) => void, end: () => Promise<void>) {
    this.#client = client;
    this.#publish = publish;
    this.#end = end;
  }

  static async of(server: TestServer): Promise<Neighbour> {
    const client = await V1Client.open(server, '?channel=neighbour');
    await client.expect('subscribed');
    const publisher = await server.publisher('?channel=neighbour');
    return new Neighbour(
      client,
      (text) => publisher.send(text),
      async () => {
        await publisher[Symbol.asyncDispose]();
        await client[Symbol.asyncDispose]();
      },
    );
  }

  /** A message to and fro. */
  async isWell(): Promise<void> {
    const text = String(this.#sent++);
    const start = process.cpuUsage();
    this.#publish(text);
    assert.deepEqual(await this.#client.data('neighbour', 1), [text]);
    const { user, system } = process.cpuUsage(start);
    this.mostWorkMs = Math.max(this.mostWorkMs, (user + system) / 1000);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end();
  }
}

describe('frames that mean nothing', () => {
  test('are answered each, and the connection goes on', async () => {
    await using server = await TestServer.start();
    await using neighbour = await Neighbour.of(server);
    await using client = await V1Client.open(server);
    const frames: readonly string[] = [
      '',
      '{',
      'null',
      '[]',
      '7',
      '{"type":"subscribe"}',
      '{"type":"subscribe","channel":{}}',
      '{"type":"__proto__","channel":"c"}',
      '{"__proto__":{"type":"subscribe","channel":"c"}}',
      '{"type":"constructor","constructor":1}',
      `{"type":"subscribe","channel":"c","ref":"${'r'.repeat(60_000)}"}`,
      `{"type":"subscribe","channel":"${'c'.repeat(60_000)}"}`,
      `{"type":"subscribe","channel":"c","after":"${'5'.repeat(60_000)}"}`,
      `${'['.repeat(32_000)}${']'.repeat(32_000)}`,
      `{"type":"publish","channel":"c","data":1}`,
    ];
    for (const frame of frames) client.send(frame);
    client.socket.send(Buffer.from('{"type":"subscribe","channel":"c"}'));
    for (let i = 0; i <= frames.length; i++) {
      const { retry, message } = await client.expect('error');
      assert.equal(retry, false);
      assert.ok(String(message).length < 200);
    }
    await client.subscribe('c', { ref: '\u0000"\ud800😀' });
    await neighbour.isWell();
  });

  test('give their ref back when it can be one, and none otherwise', async () => {
    await using server = await TestServer.start();
    await using client = await V1Client.open(server);
    const refs: readonly (readonly [json: string, told: unknown])[] = [
      ['1', 1],
      ['-1.5', -1.5],
      ['"x"', 'x'],
      ['""', ''],
      ['null', undefined],
      ['true', undefined],
      ['[1]', undefined],
      ['{"a":1}', undefined],
      ['1e999', undefined],
      ['18446744073709551615', undefined],
    ];
    for (const [json, told] of refs) {
      client.send(`{"type":"unsubscribe","channel":"c","ref":${json}}`);
      assert.deepEqual((await client.expect('error'))['ref'], told, json);
    }
  });
});

describe('floods', () => {
  test('of asks by one who does not read the answers stop at TCP, and are answered when it reads', async () => {
    await using server = await TestServer.start({ MAX_SUBSCRIBER_FRAMES_PER_SECOND: '100000' });
    await using neighbour = await Neighbour.of(server);
    await using socket = await openRaw(server, '?channel=');
    socket.stopReading();
    // The answer to each has about 700 bytes: together far more than the buffers of both sides.
    const channel = 'c'.repeat(128);
    let asked = 0;
    for (let i = 0; i < 40; i++) {
      const frames = Array.from({ length: 1000 }, () =>
        ask({ type: 'unsubscribe', channel, ref: `${asked++}.`.padEnd(128, '€') }),
      );
      socket.write(Buffer.concat(frames));
      await neighbour.isWell();
    }
    await until('it is stalled', () => server.stats.stalled === 1);
    for (let i = 0; i < 20; i++) await neighbour.isWell();
    assert.ok(socket.socket.writableLength > MIB, `it is not read: ${socket.socket.writableLength}`);
    assert.ok((server.stats.stalledBytes ?? 0) < 64 * 1024, `${server.stats.stalledBytes}`);
    assert.ok(neighbour.mostWorkMs < MOST_WORK_MS, `${neighbour.mostWorkMs} ms`);
    socket.readOn();
    assert.equal(JSON.parse((await socket.frame()).payload.toString()).type, 'hello');
    for (let next = 0; next < asked; ) {
      for (const { payload } of [await socket.frame(), ...socket.framesHere()]) {
        const { type, ref } = JSON.parse(payload.toString()) as V1Frame;
        assert.deepEqual([type, Number.parseInt(String(ref), 10)], ['error', next]);
        next += 1;
      }
    }
  });

  test('of 10,000 subscriptions at once are answered in order, at most 100 of them kept', async () => {
    await using server = await TestServer.start({ MAX_SUBSCRIBER_FRAMES_PER_SECOND: '100000' });
    await using neighbour = await Neighbour.of(server);
    await using client = await V1Client.open(server);
    for (let i = 0; i < 10_000; i++) client.send({ type: 'subscribe', channel: `c${i}`, ref: i });
    for (let i = 0; i < 5; i++) await neighbour.isWell();
    for (let i = 0; i < 10_000; i++) {
      const { type, ref } = await client.next();
      assert.deepEqual([type, ref], [i < 100 ? 'subscribed' : 'error', i]);
    }
    assert.equal(server.stats.subscriptions, 101);
    client.socket.terminate();
    await until('it is forgotten', () => server.stats.subscriptions === 1);
    assert.ok(neighbour.mostWorkMs < MOST_WORK_MS, `${neighbour.mostWorkMs} ms`);
    await neighbour.isWell();
  });

  test('of leaving and coming back to one channel are answered, and messages go on', async () => {
    await using server = await TestServer.start({ MAX_SUBSCRIBER_FRAMES_PER_SECOND: '100000' });
    await using neighbour = await Neighbour.of(server);
    await using client = await V1Client.open(server);
    for (let i = 0; i < 1000; i++) {
      client.send({ type: 'subscribe', channel: 'neighbour', ref: i });
      client.send({ type: 'unsubscribe', channel: 'neighbour', ref: i });
      if (i % 100 === 0) await neighbour.isWell();
    }
    let followed = false;
    for (let answers = 0; answers < 2000; ) {
      const { type } = await client.next();
      if (type === 'messages') {
        assert.ok(followed, 'nothing after unsubscribed');
        continue;
      }
      assert.equal(type, followed ? 'unsubscribed' : 'subscribed');
      followed = !followed;
      answers += 1;
    }
    assert.equal(server.stats.subscriptions, 1);
  });
});

describe('connections that are lost', () => {
  test('in the middle of an admission, of a range, of a flood leave nothing behind', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using neighbour = await Neighbour.of(server);
    await log.append(
      'c',
      Array.from({ length: 200 }, () => ({ type: 'text' as const, data: Buffer.alloc(16 * 1024, 'x') })),
    );
    for (const operation of ['locate', 'read', null] as const) {
      const sockets = await Promise.all(Array.from({ length: 10 }, () => openRaw(server, '?channel=')));
      if (operation !== null) log.hold(operation);
      for (const socket of sockets) {
        socket.write(ask({ type: 'subscribe', channel: 'c', after: 'earliest' }));
        socket.write(ask({ type: 'subscribe', channel: 'd' }));
        socket.write(ask({ type: 'unsubscribe', channel: 'c' }).subarray(0, 11));
      }
      if (operation !== null) await until(`${operation} is asked`, () => log.running(operation) > 0);
      for (const socket of sockets) socket.reset();
      await Promise.all(sockets.map(({ closed }) => closed));
      if (operation !== null) log.release(operation);
      await until('they are forgotten', () => server.stats.subscribers === 1);
      await neighbour.isWell();
    }
    await until('nothing is left', () => server.stats.subscriptions === 1);
    assert.deepEqual([server.stats.stalled, server.stats.stalledBytes], [0, 0]);
    assert.equal(server.stats.catchingUp, 0);
  });
});

describe('a slow reader', () => {
  test('of a flooded channel and a quiet one is sent the quiet one long before the end of the flood', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({ RING_BYTES: '1mib', WRITE_BYTES: '64kib' }, log);
    const flood = Array.from({ length: 2000 }, (_, i) => ({
      type: 'text' as const,
      data: Buffer.from(`${i}.`.padEnd(16 * 1024, '.')),
    }));
    for (let at = 0; at < flood.length; at += 50) await log.append('flood', flood.slice(at, at + 50));
    await using client = await V1Client.open(server);
    await client.subscribe('quiet');
    await client.subscribe('flood', { after: 'earliest' });
    client.socket.pause();
    await until('it is stalled', () => server.stats.stalled === 1);
    await log.append('quiet', [{ type: 'text', data: Buffer.from('here') }]);
    client.send({ type: 'unsubscribe', channel: 'nothing', ref: 'asked late' });
    client.socket.resume();
    let flooded = 0;
    const met = new Map<string, number>();
    while (flooded < 2000) {
      const frame = await client.next();
      if (frame['type'] === 'error') met.set('answer', flooded);
      else if (frame['channel'] === 'quiet') met.set('quiet', flooded);
      else {
        for (const { data } of frame['messages'] as { data: string }[]) {
          assert.equal(Number.parseInt(data, 10), flooded);
          flooded += 1;
        }
      }
    }
    // What lay in the buffers of both sides when it stalled comes first.
    assert.ok((met.get('quiet') ?? 2000) < 1500, `after ${met.get('quiet')} of 2000`);
    assert.ok((met.get('answer') ?? 2000) < 1500, `after ${met.get('answer')} of 2000`);
  });

  test('that left a flooded channel while it was stalled gets no more of it than was under way', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({ WRITE_BYTES: '64kib' }, log);
    const entry = { type: 'text' as const, data: Buffer.alloc(64 * 1024, 'x') };
    await using client = await V1Client.open(server);
    await client.subscribe('flood');
    client.socket.pause();
    while ((server.stats.stalled ?? 0) === 0) {
      await log.append('flood', [entry, entry, entry, entry]);
      await turn();
    }
    for (let i = 0; i < 100; i++) await log.append('flood', [entry]);
    client.send({ type: 'unsubscribe', channel: 'flood' });
    client.socket.resume();
    let received = 0;
    for (;;) {
      const frame = await client.next();
      if (frame['type'] === 'unsubscribed') break;
      received += 1;
    }
    const { tipOrdinal } = await log.bounds('flood');
    assert.ok(received < tipOrdinal - 50, `${received} of ${tipOrdinal}`);
  });
});
