/** Subscribers that were silent until now: whatever they say or do first is handled as if they had always talked. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { turn } from '../support/followed-log.ts';
import { GatedLog } from '../support/gated-log.ts';
import { clientFrame, closeOf, type Frame, handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';

const KIB = 1024;
const V1 = 'Sec-WebSocket-Protocol: rivercast.v1';
const CLOSE_4001 = clientFrame(OPCODE.close, Buffer.concat([Buffer.from([0x0f, 0xa1]), Buffer.from('bye')]));
const SUBSCRIBE = clientFrame(OPCODE.text, '{"type":"subscribe","channel":"a","ref":1}');

async function closeFrame(socket: RawSocket): Promise<{ readonly code: number; readonly reason: string }> {
  for (;;) {
    const frame = await socket.frame();
    if (frame.opcode === OPCODE.close) return closeOf(frame);
  }
}

async function typeOf(socket: RawSocket): Promise<unknown> {
  const { payload } = await socket.frame();
  return (JSON.parse(payload.toString()) as { type: unknown }).type;
}

/** All that was opened has ended, and nothing of it is kept. */
async function isEmpty(server: TestServer): Promise<void> {
  await until('all are forgotten', () => server.stats.connections === 0);
  const { subscribers, stalled, stalledBytes } = server.stats;
  assert.deepEqual([subscribers, stalled, stalledBytes], [0, 0, 0]);
}

describe('the first thing a subscriber says', () => {
  const BROKEN: readonly (readonly [what: string, code: number, frame: Buffer])[] = [
    ['an unmasked frame', 1002, clientFrame(OPCODE.text, 'x', { masked: false })],
    ['an unmasked pong', 1002, clientFrame(OPCODE.pong, '', { masked: false })],
    ['a reserved opcode', 1002, clientFrame(11, 'x')],
    ['a compressed message, not agreed', 1002, clientFrame(OPCODE.text, 'x', { rsv: 4 })],
    ['a pong with a reserved bit', 1002, clientFrame(OPCODE.pong, '', { rsv: 4 })],
    ['a pong of 126 bytes', 1002, clientFrame(OPCODE.pong, 'x'.repeat(126))],
    ['a fragmented pong', 1002, clientFrame(OPCODE.pong, '', { fin: false })],
    ['text that is not UTF-8', 1007, clientFrame(OPCODE.text, Buffer.from([0xc3, 0x28]))],
    ['more than 64 KiB', 1009, clientFrame(OPCODE.binary, Buffer.alloc(64 * KIB + 1))],
  ];

  test('may break the protocol: it is closed with the code of the RFC, and told where to resume', async () => {
    await using server = await TestServer.start();
    for (const [what, code, frame] of BROKEN) {
      await using socket = await RawSocket.open(server.address, '/ws/broadcast');
      socket.write(frame);
      const closed = await closeFrame(socket);
      assert.equal(closed.code, code, what);
      assert.match(closed.reason, /^cursor=\S+$/, what);
      await within('the end', socket.closed);
    }
    await isEmpty(server);
  });

  test('may be a close: its code and reason come back, in bytes or in pieces', async () => {
    await using server = await TestServer.start();
    for (const pieces of [[CLOSE_4001], [...CLOSE_4001].map((byte) => Buffer.from([byte]))]) {
      await using socket = await RawSocket.open(server.address, '/ws/broadcast');
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(await closeFrame(socket), { code: 4001, reason: 'bye' });
      await within('the end', socket.closed);
    }
    await isEmpty(server);
  });

  test('may be the largest message there is, and does no harm', async () => {
    await using server = await TestServer.start();
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.write(clientFrame(OPCODE.binary, Buffer.alloc(64 * KIB)));
    socket.write(clientFrame(OPCODE.ping, 'here'));
    assert.equal((await socket.frame()).payload.toString(), 'here');
    publisher.send('on it goes');
    assert.equal((await socket.frame()).payload.toString(), 'on it goes');
  });

  test('may come with the bytes of the handshake, whole or half', async () => {
    await using server = await TestServer.start();
    const request = Buffer.from(handshake('/ws/broadcast?channel=b', V1));
    for (const cut of [SUBSCRIBE.length, 1, 20]) {
      await using socket = await RawSocket.connect(server.address);
      socket.write(Buffer.concat([request, SUBSCRIBE.subarray(0, cut)]));
      await socket.head();
      assert.deepEqual([await typeOf(socket), await typeOf(socket)], ['hello', 'subscribed']);
      socket.write(SUBSCRIBE.subarray(cut));
      assert.equal(await typeOf(socket), 'subscribed');
    }
    await using socket = await RawSocket.connect(server.address);
    socket.write(Buffer.concat([Buffer.from(handshake('/ws/broadcast')), CLOSE_4001]));
    await socket.head();
    assert.equal((await closeFrame(socket)).code, 4001);
  });

  test('may come while the log is asked where to start', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.hold('locate');
    await using socket = await RawSocket.connect(server.address);
    socket.write(handshake('/ws/broadcast?channel=b&after=earliest', V1));
    await until('the log is asked', () => log.running('locate') === 1);
    const half = SUBSCRIBE.length / 2;
    socket.write(SUBSCRIBE.subarray(0, half));
    await until('it is sent', () => socket.socket.writableLength === 0);
    log.release('locate');
    await socket.head();
    assert.deepEqual([await typeOf(socket), await typeOf(socket)], ['hello', 'subscribed']);
    socket.write(SUBSCRIBE.subarray(half));
    assert.equal(await typeOf(socket), 'subscribed');
  });

  test('may be an end of its side while the log is asked', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.hold('locate');
    await using socket = await RawSocket.connect(server.address);
    socket.write(handshake('/ws/broadcast?after=earliest'));
    await until('the log is asked', () => log.running('locate') === 1);
    socket.socket.end();
    log.release('locate');
    await within('the end', socket.closed);
    await isEmpty(server);
  });
});

describe('a subscriber that never said anything', () => {
  test('is told where to resume at a stop, and its answer ends the connection', async () => {
    const server = await TestServer.start({ DRAIN_TIMEOUT_MS: '10s' });
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    publisher.send('last');
    assert.equal((await socket.frame()).payload.toString(), 'last');
    const start = performance.now();
    const stopping = server.stop();
    const { code, reason } = await closeFrame(socket);
    assert.equal(code, 1012);
    assert.match(reason, /^cursor=.*\.1$/);
    socket.write(Buffer.concat([clientFrame(OPCODE.text, 'too late'), CLOSE_4001]));
    await within('the end', socket.closed);
    assert.equal(await stopping, true);
    assert.ok(performance.now() - start < 5000, 'nobody waited for the drain time');
  });

  test('is closed with 4408 behind what is pending, and its answer ends the connection', async () => {
    await using server = await TestServer.start({
      SLOW_AFTER_MS: '100',
      SLOW_ENTRIES: '20',
      HEARTBEAT_MS: '200',
    });
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    for (let n = 0; n < 200; n++) await publisher.flushed(Buffer.alloc(64 * KIB, n));
    await until('it is closed', () => server.stats.subscribers === 0);
    socket.readOn();
    const frames: Frame[] = [];
    while (frames.at(-1)?.opcode !== OPCODE.close) frames.push(await socket.frame());
    const { code, reason } = closeOf(frames.at(-1) as Frame);
    assert.deepEqual([code, reason.endsWith(`.${frames.length - 1}`)], [4408, true], reason);
    socket.write(CLOSE_4001);
    await within('the end', socket.closed);
    await until('it is forgotten', () => server.stats.connections === 1);
  });

  test('is closed with 4410 when what it has not read is trimmed', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({ RING_BYTES: '64kib', WRITE_BYTES: '64kib' }, log);
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    for (let n = 0; n < 200; n++) await publisher.flushed(Buffer.alloc(64 * KIB, n));
    await until('it is stalled', () => server.stats.stalled === 1);
    while ((await log.inner.bounds('local-q')).tipOrdinal < 200) await turn();
    await log.trim('local-q', { maxEntries: 1 });
    socket.readOn();
    const { code, reason } = await closeFrame(socket);
    assert.deepEqual([code, /^cursor=.*\.199$/.test(reason)], [4410, true], reason);
    socket.write(CLOSE_4001);
    await within('the end', socket.closed);
  });

  test('and stalled asks for something: it is answered once it reads on', async () => {
    await using server = await TestServer.start();
    await using publisher = await server.publisher('?channel=b');
    await using socket = await RawSocket.connect(server.address);
    socket.write(handshake('/ws/broadcast?channel=b', V1));
    await socket.head();
    assert.deepEqual([await typeOf(socket), await typeOf(socket)], ['hello', 'subscribed']);
    socket.stopReading();
    for (let n = 0; n < 100; n++) await publisher.flushed('x'.repeat(128 * KIB));
    await until('it is stalled', () => server.stats.stalled === 1);
    socket.write(SUBSCRIBE);
    socket.readOn();
    let messages = 0;
    for (let answered = false; messages < 100 || !answered; ) {
      const type = await typeOf(socket);
      if (type === 'messages') messages += 1;
      else answered = type === 'subscribed' || assert.fail(String(type));
    }
  });
});

test('two thousand connections that end in every way leave nothing behind', async () => {
  await using server = await TestServer.start();
  const ENDS: readonly ((socket: RawSocket) => void)[] = [
    (socket) => socket.write(CLOSE_4001),
    (socket) => socket.socket.end(),
    (socket) => socket.reset(),
    (socket) => socket.write(clientFrame(OPCODE.text, 'x', { masked: false })),
    (socket) => socket.write(CLOSE_4001.subarray(0, 3)),
    (socket) => socket.socket.destroy(),
  ];
  const sockets: RawSocket[] = [];
  while (sockets.length < 2000) {
    const opening = Array.from({ length: 200 }, () => RawSocket.open(server.address, '/ws/broadcast'));
    sockets.push(...(await Promise.all(opening)));
  }
  assert.equal(server.stats.connections, 2000);
  for (const [i, socket] of sockets.entries()) {
    if (i % 2 === 0) socket.write(clientFrame(i % 4 === 0 ? OPCODE.text : OPCODE.ping, 'awake'));
    ENDS[i % ENDS.length]?.(socket);
  }
  // Those that sent half a frame are still there.
  const half = sockets.filter((_, i) => i % ENDS.length === 4);
  await until('the others are gone', () => server.stats.connections === half.length);
  assert.equal(server.stats.subscribers, half.length);
  for (const socket of half) socket.socket.end();
  await isEmpty(server);
  await within('the ends', Promise.all(sockets.map(({ closed }) => closed)));
});
