/** TLS without a proxy: everything there is works over it, and what is not TLS, or never becomes it, gets nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as secureConnect, type TLSSocket } from 'node:tls';
import { createSecureServer, cutAll } from '../../src/http/listen/secure-server.ts';
import { EventStream } from '../support/event-stream.ts';
import { GatedLog } from '../support/gated-log.ts';
import { answerOn, post, postText } from '../support/posts.ts';
import { clientFrame, OPCODE, RawSocket } from '../support/raw-socket.ts';
import type { TestServer } from '../support/running-server.ts';
import { trusted } from '../support/secure.ts';
import { startTls, tlsFiles } from '../support/tls-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { until, within } from '../support/within.ts';

function portOf(server: TestServer): number {
  return Number(new URL(server.address).port);
}

/** Resolves with what a connection was sent until it ended. */
async function allOf(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  // A byte that comes after the end is answered with a reset.
  socket.on('error', () => undefined);
  await within('the end of the connection', new Promise((resolve) => socket.once('close', resolve)));
  return text;
}

function range(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i));
}

describe('over TLS', () => {
  test('raw messages go from a publisher to a subscriber, text and binary, small and large', async (t) => {
    await using server = await startTls(t, { PORT: '0,0' });
    assert.deepEqual(
      server.server.addresses.map((address) => new URL(address).protocol),
      ['https:', 'https:'],
    );
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    const large = Buffer.alloc(900 * 1024, 7);
    const sent = ['', 'Grüße', Buffer.from([0, 255]), large, 'z'.repeat(700_000)];
    for (const message of sent) publisher.send(message);
    const received = await subscriber.take(sent.length);
    assert.deepEqual(
      received.map(({ type, data }) => (type === 'text' ? data.toString() : data)),
      sent,
    );
  });

  test('v1 acknowledges, subscribes and resumes', async (t) => {
    await using server = await startTls(t);
    await using publisher = await server.publisher('', { protocols: ['rivercast.v1'] });
    for (let ref = 0; ref < 300; ref++) publisher.send(`{"type":"publish","ref":${ref},"data":"${ref}"}`);
    const answers = (await publisher.texts(301)).map((text) => JSON.parse(text) as { ref?: number });
    assert.deepEqual(
      answers.slice(1).map(({ ref }) => String(ref)),
      range(300),
    );
    await using client = await V1Client.open(server);
    await client.subscribe('local-q', { after: 'earliest' });
    assert.deepEqual(await client.data('local-q', 300), range(300));
  });

  test('events stream, posts are stored, and a page of history is read', async (t) => {
    await using server = await startTls(t);
    await using stream = await EventStream.open(`${server.address}/sse`);
    for (const text of range(5)) assert.equal((await post(server, text)).status, 201);
    assert.deepEqual(await stream.data(5), range(5));
    await using page = await RawSocket.connect(server.address);
    page.write('GET /api/channels/local-q/messages?after=earliest HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    assert.match(await page.until('"cursor"'), /"data":"4"/);
  });

  test('a post that offers to go on in HTTP/2 is read with its body', async (t) => {
    await using server = await startTls(t);
    await using socket = await RawSocket.connect(server.address);
    socket.write(
      postText('hello', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AA'),
    );
    assert.match((await answerOn(socket)).head, /^HTTP\/1.1 201 /);
  });

  test('old messages come in order, and then what is live', async (t) => {
    await using server = await startTls(t, { RING_BYTES: '64kib' });
    await using publisher = await server.publisher();
    for (const text of range(20_000)) publisher.send(text);
    await using live = await server.subscriber();
    await using replay = await server.subscriber('?after=earliest');
    const texts = await replay.texts(20_000);
    assert.deepEqual(texts, range(20_000));
    publisher.send('now');
    assert.equal((await live.take(1 + live.receivedCount)).length > 0, true);
    assert.equal(await replay.text(), 'now');
  });
});

describe('back-pressure over TLS', () => {
  test('subscribers that read are never stalled, however little may be, and get everything', async (t) => {
    await using server = await startTls(t, { STALLED_BYTES: '64kib', MAX_MESSAGE_BYTES: '64kib' });
    const subscribers = await Promise.all(Array.from({ length: 20 }, () => server.subscriber()));
    await using publisher = await server.publisher();
    let stalled = 0;
    let looking = true;
    const look = (): void => {
      stalled = Math.max(stalled, server.stats.stalled ?? 0);
      if (looking) setImmediate(look);
    };
    look();
    const sent = range(200).map((text) => text.padEnd(4096, '.'));
    for (const [index, text] of sent.entries()) {
      publisher.send(text);
      const received = await Promise.all(subscribers.map((subscriber) => subscriber.text()));
      assert.ok(received.every((one) => one === sent[index]));
    }
    looking = false;
    assert.equal(stalled, 0);
    await Promise.all(subscribers.map((subscriber) => subscriber[Symbol.asyncDispose]()));
  });

  test('those that do not read are, each with bytes of its own, and the longest stalled is cut', async (t) => {
    await using server = await startTls(t, {
      STALLED_BYTES: '2mib',
      WRITE_BYTES: '1mib',
      RING_BYTES: '16mib',
    });
    await using publisher = await server.publisher();
    const sockets = await Promise.all(
      Array.from({ length: 12 }, () => RawSocket.open(server.address, '/ws/broadcast')),
    );
    for (const socket of sockets) socket.stopReading();
    await until('all are there', () => server.stats.subscribers === 12);
    const message = Buffer.alloc(512 * 1024, 1);
    for (let n = 0; n < 40; n++) {
      await publisher.flushed(message);
      assert.ok((server.stats.stalledBytes ?? 0) <= 2 * 1024 * 1024, `${server.stats.stalledBytes}`);
    }
    await until('some are cut', () => (server.stats.subscribers ?? 0) < 12);
    await Promise.all(sockets.map((socket) => socket[Symbol.asyncDispose]()));
  });

  test('a publisher is not read while the log stands still, and then all of it is stored', async (t) => {
    const log = new GatedLog();
    await using server = await startTls(t, { PUBLISHER_BUFFER_BYTES: '128kib' }, log);
    log.hold('append');
    await using socket = await RawSocket.open(server.address, '/ws/manager');
    const count = 2000;
    for (let n = 0; n < count; n++) socket.write(clientFrame(OPCODE.text, `${n}.`.padEnd(8192, '.')));
    await until('it is full', () => server.stats.unstoredBytes >= 128 * 1024);
    await delay(50);
    assert.ok(server.stats.unstoredBytes <= 256 * 1024, `${server.stats.unstoredBytes}`);
    log.release('append');
    await using subscriber = await server.subscriber('?after=earliest');
    const texts = await subscriber.texts(count);
    assert.deepEqual(
      texts.map((text) => String(Number.parseInt(text, 10))),
      range(count),
    );
  });
});

describe('liveness over TLS', () => {
  test('an idle connection is pinged and stays; one that does not answer is ended', async (t) => {
    await using server = await startTls(t, { HEARTBEAT_MS: '100', IDLE_TIMEOUT_MS: '300' });
    await using subscriber = await server.subscriber();
    await using silent = await RawSocket.open(server.address, '/ws/broadcast');
    await Promise.all([subscriber.pinged(5), within('the end of the silent one', silent.closed)]);
    assert.equal((await silent.frames())[0]?.opcode, OPCODE.ping);
    assert.equal(subscriber.isOpen, true);
  });

  test('a close is answered, and a stop tells where to resume', async (t) => {
    await using server = await startTls(t);
    const leaving = await server.subscriber();
    assert.equal((await leaving.close()).code, 1000);
    const staying = await server.subscriber();
    await using stream = await EventStream.open(`${server.address}/sse`);
    assert.equal(await server.stop(), true);
    const { code, reason } = await within('the close', staying.closed);
    assert.deepEqual([code, reason.startsWith('cursor=')], [1012, true]);
    await within('the end of the stream', stream.ended);
    assert.equal(server.stats.connections, 0);
  });
});

describe('what is not TLS', () => {
  test('gets no answer, and neither does TLS before 1.2', async (t) => {
    await using server = await startTls(t);
    const plain = connect(portOf(server), '127.0.0.1');
    plain.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    const answer = await allOf(plain);
    assert.ok(!answer.includes('HTTP'), answer);
    const options = { host: '127.0.0.1', port: portOf(server), ...trusted(), ciphers: 'DEFAULT@SECLEVEL=0' };
    const old = secureConnect({ ...options, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' });
    const [error] = (await within('a refusal', once(old, 'error'))) as [NodeJS.ErrnoException];
    assert.match(error.code ?? '', /PROTOCOL_VERSION/);
    const modern = secureConnect({ ...options, maxVersion: 'TLSv1.2' });
    await within('a handshake', once(modern, 'secureConnect'));
    modern.destroy();
  });

  test('a handshake that is not done in time ends its connection, also when a byte comes now and then', async (t) => {
    const { cert, key } = await tlsFiles(t);
    const pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
    const server = createSecureServer({ pair, handshakeTimeout: 300 }, () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as { port: number };
    const silent = connect(port, '127.0.0.1');
    const dawdling = connect(port, '127.0.0.1');
    const hello = Buffer.from([
      0x16,
      3,
      1,
      1,
      0,
      1,
      0,
      0,
      0xfc,
      3,
      3,
      ...Array.from({ length: 100 }, () => 1),
    ]);
    let at = 0;
    const timer = setInterval(() => dawdling.write(hello.subarray(at, ++at)), 30);
    t.after(() => clearInterval(timer));
    const began = performance.now();
    assert.deepEqual(await Promise.all([allOf(silent), allOf(dawdling)]), ['', '']);
    clearInterval(timer);
    assert.ok(performance.now() - began >= 290);
    const third = connect(port, '127.0.0.1');
    await once(server, 'connection');
    cutAll(server);
    assert.equal(await allOf(third), '');
  });

  test('nobody can have a handshake done again and again on one connection', async (t) => {
    await using server = await startTls(t);
    const options = { host: '127.0.0.1', port: portOf(server), ...trusted() };
    const socket: TLSSocket = secureConnect({ ...options, maxVersion: 'TLSv1.2' });
    await within('a handshake', once(socket, 'secureConnect'));
    const failed = new Promise<Error | null>((resolve) => {
      socket.on('error', resolve);
      socket.renegotiate({}, resolve);
    });
    assert.match(String(await within('a refusal', failed)), /renegotiation/i);
    socket.destroy();
  });
});
