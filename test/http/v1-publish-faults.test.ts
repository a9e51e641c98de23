/** Publishers of `rivercast.v1` that break the rules, do not read, vanish or are stopped; and a log that is slow. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { type Message, page } from '../support/history.ts';
import { clientFrame, closeOf, handshake, OPCODE, parseFrame, RawSocket } from '../support/raw-socket.ts';
import { ServerProcess, TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import type { V1Frame } from '../support/v1-client.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { until, within } from '../support/within.ts';

const HEADER = 'Sec-WebSocket-Protocol: rivercast.v1';
const MIB = 1024 * 1024;

async function openRaw(server: TestServer): Promise<RawSocket> {
  const socket = await RawSocket.connect(server.address);
  socket.write(handshake('/ws/manager', HEADER));
  await socket.head();
  assert.match((await socket.frame()).payload.toString(), /"hello"/);
  return socket;
}

function publishFrame(ref: number, data: string = String(ref)): Buffer {
  return clientFrame(OPCODE.text, JSON.stringify({ type: 'publish', ref, data }));
}

async function answer(socket: RawSocket): Promise<V1Frame> {
  return JSON.parse((await socket.frame()).payload.toString()) as V1Frame;
}

/** Writes until the server takes no more; returns how many messages that took. */
async function flood(socket: RawSocket): Promise<number> {
  let sent = 0;
  for (let stuck = 0; stuck < 20; ) {
    while (socket.socket.writableLength < 64 * 1024) socket.write(publishFrame(sent++, ''));
    const before = socket.socket.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 10));
    stuck = socket.socket.writableLength === before ? stuck + 1 : 0;
    assert.ok(sent < 5_000_000, 'the server reads without end');
  }
  return sent;
}

/** Frames that a test reads in bulk. */
function framesIn(bytes: Buffer): V1Frame[] {
  const frames: V1Frame[] = [];
  let at = 0;
  for (let next = parseFrame(bytes); next !== null; next = parseFrame(bytes.subarray(at))) {
    frames.push(JSON.parse(next.frame.payload.toString()) as V1Frame);
    at += next.end;
  }
  assert.equal(at, bytes.length);
  return frames;
}

async function stored(server: { readonly address: string }): Promise<Message[]> {
  const messages: Message[] = [];
  for (let after = 'earliest'; ; ) {
    const found = await page(server, { after, limit: 1000 });
    if (found.messages.length === 0) return messages;
    messages.push(...found.messages);
    after = found.cursor;
  }
}

describe('hostile frames', () => {
  const deep = 100_000;
  const frames: readonly (readonly [name: string, text: string, answer: string])[] = [
    ['nested deeply', `{"type":"publish","data":${'['.repeat(deep)}${']'.repeat(deep)}}`, 'bad_request'],
    ['nested deeply beside', `{"type":"publish","x":${'['.repeat(deep)}${']'.repeat(deep)},"data":1}`, 'ack'],
    ['not closed', '{"type":"publish","data":'.repeat(10_000), 'bad_request'],
    ['a huge number', `{"type":"publish","data":1${'0'.repeat(100_000)}}`, 'ack'],
    ['a huge exponent', '{"type":"publish","data":1e999999999}', 'ack'],
    ['a long ref', `{"type":"publish","data":1,"ref":"${'r'.repeat(100_000)}"}`, 'bad_request'],
    ['a long key', `{"type":"publish","data":1,"key":"${'k'.repeat(100_000)}"}`, 'bad_request'],
    ['a long channel', `{"type":"publish","data":1,"channel":"${'c'.repeat(100_000)}"}`, 'bad_channel'],
    ['a channel of others', '{"type":"publish","data":1,"channel":"a/../b"}', 'bad_channel'],
    ['the channel .', '{"type":"publish","data":1,"channel":"."}', 'bad_channel'],
    ['the channel ..', '{"type":"publish","data":1,"channel":".."}', 'bad_channel'],
    ['__proto__', '{"__proto__":{"type":"publish","data":1}}', 'bad_request'],
    [
      'many members',
      `{"type":"publish","data":1,${Array.from({ length: 20_000 }, (_, i) => `"m${i}":${i}`).join()}}`,
      'ack',
    ],
    ['the same members again', `{${'"type":"publish","data":1,'.repeat(5000)}"data":2}`, 'ack'],
  ];

  test('are answered each, and hurt nobody', async () => {
    await using server = await TestServer.start();
    await using bystander = await V1PublisherClient.open(server, '?channel=bystander');
    await using publisher = await V1PublisherClient.open(server);
    for (const [name, text, code] of frames) {
      publisher.send(text);
      const told = await publisher.next();
      assert.equal(told['type'] === 'ack' ? 'ack' : told['code'], code, name);
      await bystander.published(name);
    }
    const numbers = (await stored(server)).map(({ data }) => data);
    assert.deepEqual(numbers, [1, null, null, 1, 2]);
    assert.deepEqual(Object.keys(Object.prototype), []);
  });

  test('a message as large as may be is stored however it is written, and one byte more is an error', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    const bytes = Buffer.alloc(MIB, 1);
    const member = `"${'\\u0001'.repeat(MIB)}"`;
    publisher.send(`{"type":"publish","data":${member}}`);
    publisher.send({ type: 'publish', data64: bytes.toString('base64') });
    publisher.publish(['x'.repeat(MIB - 4)]);
    for (let n = 0; n < 3; n++) await publisher.expect('ack');
    publisher.publish('x'.repeat(MIB + 1));
    publisher.publish('é'.repeat(MIB / 2 + 1));
    publisher.publish(['x'.repeat(MIB - 3)]);
    publisher.send({ type: 'publish', data64: Buffer.alloc(MIB + 1).toString('base64') });
    for (let n = 0; n < 4; n++) assert.equal((await publisher.expect('error'))['code'], 'too_large');
    assert.deepEqual(
      (await stored(server)).map(({ data, data64 }) => JSON.stringify(data ?? data64).length),
      [6 * MIB + 2, 4 * Math.ceil(MIB / 3) + 2, MIB],
    );
  });

  test('bytes that are no text close the connection, and what came before is stored', async () => {
    await using server = await TestServer.start();
    await using socket = await openRaw(server);
    socket.write(publishFrame(1));
    assert.equal((await answer(socket))['type'], 'ack');
    socket.write(clientFrame(OPCODE.text, Buffer.from([0x22, 0xff, 0x22])));
    assert.equal(closeOf(await socket.frame()).code, 1007);
    assert.equal((await stored(server)).length, 1);
  });
});

describe('a publisher that does not read its answers', () => {
  test('is not read, costs bounded memory, and has all its answers in order when it reads', async () => {
    await using server = await TestServer.start();
    await using socket = await openRaw(server);
    const chunks: Buffer[] = [];
    socket.stopReading();
    const sent = await flood(socket);
    await until('what was read is stored', () => server.stats.unstoredBytes === 0);
    await using bystander = await V1PublisherClient.open(server, '?channel=bystander');
    await bystander.published('well');
    let bytes = 0;
    socket.socket.removeAllListeners('data');
    socket.socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
    });
    socket.readOn();
    await until('nothing more is to be sent', () => socket.socket.writableLength === 0);
    socket.write(publishFrame(-1, ''));
    await until('the last is answered', () => bytes > 0 && (chunks.at(-1) as Buffer).includes('"ref":-1,'));
    const answers = framesIn(Buffer.concat(chunks));
    assert.equal(answers.length, sent + 1);
    for (const [n, { type, ref }] of answers.slice(0, -1).entries())
      assert.deepEqual([type, ref], ['ack', n]);
  });

  test('is cut off after the idle time-out', async () => {
    await using server = await TestServer.start({ HEARTBEAT_MS: '100ms', IDLE_TIMEOUT_MS: '300ms' });
    await using socket = await openRaw(server);
    socket.stopReading();
    const flooding = setInterval(() => {
      while (socket.socket.writable && socket.socket.writableLength < 64 * 1024) {
        socket.write(publishFrame(1, ''));
      }
    }, 1);
    try {
      await until('it is cut off', () => server.stats.publishers === 0);
    } finally {
      clearInterval(flooding);
    }
  });
});

describe('a publisher that vanishes', () => {
  test('leaves what was received stored, and nothing else behind', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.hold('append');
    await using socket = await openRaw(server);
    for (let ref = 0; ref < 100; ref++) socket.write(publishFrame(ref));
    await until('all are here', () => server.stats.unstoredBytes >= 100 * 128);
    socket.reset();
    await until('it is gone', () => server.stats.publishers === 0 && server.stats.connections === 0);
    log.release('append');
    await until('all is stored', () => server.stats.unstoredBytes === 0);
    assert.deepEqual(
      (await stored(server)).map(({ data }) => data),
      Array.from({ length: 100 }, (_, n) => String(n)),
    );
  });

  test('with a close right behind its messages, while it was not being read, has them stored too', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({ PUBLISHER_BUFFER_BYTES: '4kib' }, log);
    log.hold('append');
    await using socket = await openRaw(server);
    for (let ref = 0; ref < 100; ref++) socket.write(publishFrame(ref, String(ref).padEnd(1000)));
    socket.write(clientFrame(OPCODE.close, Buffer.from([0x03, 0xe8])));
    socket.socket.end();
    await until('it is full', () => server.stats.unstoredBytes > 4096);
    log.release('append');
    await until('it is gone', () => server.stats.publishers === 0 && server.stats.unstoredBytes === 0);
    assert.equal((await stored(server)).length, 100);
  });
});

test('while the log stands still publishers are not read beyond their bound, and then all is acknowledged', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start(
    { PUBLISHER_BUFFER_BYTES: '128kib', MANAGER_BUFFER_BYTES: '256kib', OVERLOADED_AFTER_MS: '1m' },
    log,
  );
  log.hold('append');
  const publishers = await Promise.all(Array.from({ length: 4 }, () => V1PublisherClient.open(server)));
  for (let ref = 0; ref < 300; ref++) {
    for (const publisher of publishers) publisher.publish('x'.repeat(8000), { ref });
  }
  await until('they are full', () => server.stats.unstoredBytes > 256 * 1024);
  const bound = 256 * 1024 + 4 * 2 * 64 * 1024;
  for (let n = 0; n < 20; n++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(server.stats.unstoredBytes <= bound, `${server.stats.unstoredBytes}`);
  }
  log.release('append');
  for (const publisher of publishers) {
    const acks = await publisher.take(300);
    assert.deepEqual(
      acks.map(({ type, ref }) => [type, ref]),
      Array.from({ length: 300 }, (_, ref) => ['ack', ref]),
    );
    await publisher[Symbol.asyncDispose]();
  }
});

test('when the log has stood still for too long every publish fails in bounded time, and is stored once it goes on', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start(
    { OVERLOADED_AFTER_MS: '200ms', PUBLISHER_BUFFER_BYTES: '16kib', MANAGER_BUFFER_BYTES: '64kib' },
    log,
  );
  log.hold('append');
  await using raw = await server.publisher();
  for (let n = 0; n < 100; n++) raw.send('x'.repeat(1000));
  await using publisher = await V1PublisherClient.open(server);
  const startedMs = performance.now();
  for (let ref = 0; ref < 100; ref++) publisher.publish('x'.repeat(1000), { ref, channel: `c${ref % 3}` });
  const errors = await publisher.take(100);
  assert.ok(performance.now() - startedMs < 200 + 2 * 1000);
  assert.deepEqual(
    errors.map(({ type, ref }) => [type, ref]),
    Array.from({ length: 100 }, (_, ref) => ['error', ref]),
  );
  for (const { code, retry, retryAfter } of errors) {
    assert.match(String(code), /^(?:overloaded|log_unavailable)$/);
    assert.deepEqual([retry, retryAfter], [true, 1]);
  }
  log.release('append');
  await until('it goes on', () => server.stats.unstoredBytes === 0);
  await publisher.published('again');
  await until('the raw ones are all stored', async () => (await stored(server)).length === 101);
});

describe('a stop', () => {
  test('settles what is in flight, refuses what comes, and then says 1012', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using publisher = await V1PublisherClient.open(server);
    log.hold('append');
    for (let ref = 0; ref < 10; ref++) publisher.publish('in flight', { ref });
    await until('they are here', () => server.stats.unstoredBytes >= 10 * 128);
    const stopping = server.stop();
    publisher.publish('too late', { ref: 10 });
    await publisher.socket.flushed('{"type":"publish","data":"too late","ref":11}');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(publisher.socket.isOpen, true);
    log.release('append');
    const answers = await publisher.take(12);
    assert.deepEqual(
      answers.map(({ type, ref, code }) => [type, ref, code]),
      [
        ...Array.from({ length: 10 }, (_, ref) => ['ack', ref, undefined]),
        ['error', 10, 'draining'],
        ['error', 11, 'draining'],
      ],
    );
    assert.equal((await publisher.socket.closed).code, 1012);
    assert.equal(await stopping, true);
  });

  test('that the log holds up ends in bounded time, and each ask is answered', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({ DRAIN_TIMEOUT_MS: '500ms' }, log);
    await using publisher = await V1PublisherClient.open(server);
    log.hold('append');
    publisher.publish('in flight', { ref: 1 });
    await until('it is here', () => server.stats.unstoredBytes > 0);
    const startedMs = performance.now();
    assert.equal(await server.stop(), false);
    assert.ok(performance.now() - startedMs < 2000);
    assert.equal((await publisher.expect('error'))['code'], 'log_unavailable');
    assert.equal((await publisher.socket.closed).code, 1012);
    log.release('append');
  });

  test('is not held up by one who does not take its answers', async () => {
    await using server = await TestServer.start({ DRAIN_TIMEOUT_MS: '30s' });
    await using socket = await openRaw(server);
    socket.stopReading();
    await flood(socket);
    const startedMs = performance.now();
    assert.equal(await server.stop(), true);
    assert.ok(performance.now() - startedMs < 10_000);
  });

  test('by SIGTERM amid publishing exits 0, and what was acknowledged is there after a restart', async (t) => {
    const process = await ServerProcess.start(t, { STORE: 'embedded', DATA_DIR: await tempDir(t) });
    const publisher = await V1PublisherClient.openAt(process.url('/ws/manager'));
    const acknowledged: unknown[] = [];
    let sent = 0;
    const answers = (async () => {
      for (;;) {
        const { type, id, code } = await publisher.next();
        if (type === 'ack') acknowledged.push(id);
        else assert.equal(code, 'draining');
        if (publisher.socket.isOpen) publisher.publish(sent++);
      }
    })().catch(() => undefined);
    for (; sent < 200; sent++) publisher.publish(sent);
    await until('some are acknowledged', () => acknowledged.length > 2000);
    assert.equal(await process.end('SIGTERM'), 0);
    assert.equal((await within('the close', publisher.socket.closed)).code, 1012);
    await answers;
    await process.restart();
    const ids = (await stored(process)).map(({ id }) => id);
    assert.deepEqual(ids, acknowledged);
    assert.equal(await process.end('SIGTERM'), 0);
  });
});
