/** A log that is slow or stopped: publishers wait in TCP, memory stays bounded, and nothing sent is lost. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { GatedLog } from '../support/gated-log.ts';
import { clientFrame, handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';

const CHANNEL = 'local-q';
/** What one read from a socket holds at most: it comes on top of the bound. */
const CHUNK_BYTES = 64 * 1024;

/** 8 KiB each, beginning with its number. */
function message(n: number): Buffer {
  return clientFrame(OPCODE.text, `${n}.`.padEnd(8 * 1024, '.'));
}

/** Writes until nothing more goes out: both sides' buffers are full. Returns how many messages that took. */
async function fill(socket: RawSocket): Promise<number> {
  let count = 0;
  for (let stuck = 0; stuck < 10; ) {
    while (socket.socket.writableLength < 256 * 1024) socket.write(message(count++));
    const before = socket.socket.writableLength;
    await delay(10);
    stuck = socket.socket.writableLength === before ? stuck + 1 : 0;
  }
  return count;
}

async function stored(log: GatedLog): Promise<number[]> {
  const numbers: number[] = [];
  let after = await log.inner.locate(CHANNEL, { at: 'earliest' });
  for (;;) {
    const page = await log.inner.read(CHANNEL, after, { maxEntries: 1000, maxBytes: 1 << 24 });
    if (page.entries.length === 0) return numbers;
    numbers.push(...page.entries.map(({ data }) => Number.parseInt(data.toString(), 10)));
    after = page.end;
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

test('while the log stands still a publisher is not read beyond its bound, and then all of it is stored', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({ PUBLISHER_BUFFER_BYTES: '128kib' }, log);
  log.hold('append');
  await using socket = await RawSocket.open(server.address, '/ws/manager');
  const sent = await fill(socket);
  assert.ok(server.stats.unstoredBytes <= 128 * 1024 + 2 * CHUNK_BYTES, `${server.stats.unstoredBytes}`);
  log.release('append');
  await until('all is stored', () => socket.socket.writableLength === 0 && server.stats.unstoredBytes === 0);
  await until('all was read', () => log.running('append') === 0 && server.stats.unstoredBytes === 0);
  await until('all is in the log', async () => (await stored(log)).length >= sent);
  assert.deepEqual(await stored(log), range(sent));
});

test('all publishers together stay within the bound of all, a chunk each on top', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({ MANAGER_BUFFER_BYTES: '256kib' }, log);
  log.hold('append');
  const sockets = await Promise.all(
    Array.from({ length: 8 }, () => RawSocket.open(server.address, '/ws/manager')),
  );
  const sent = await Promise.all(sockets.map((socket) => fill(socket)));
  const total = sent.reduce((sum, count) => sum + count, 0);
  assert.ok(server.stats.unstoredBytes <= 256 * 1024 + 8 * 2 * CHUNK_BYTES, `${server.stats.unstoredBytes}`);
  assert.ok(total * 8 * 1024 > 2 * 256 * 1024);
  log.release('append');
  const length = async (): Promise<number> => (await log.inner.bounds(CHANNEL)).length;
  await until('all is in the log', async () => (await length()) >= total);
  assert.equal(await length(), total);
  for (const socket of sockets) socket.reset();
});

test('what a publisher sent before it closed is stored, also when it was paused', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({ PUBLISHER_BUFFER_BYTES: '16kib' }, log);
  log.hold('append');
  await using socket = await RawSocket.open(server.address, '/ws/manager');
  for (let n = 0; n < 100; n++) socket.write(message(n));
  socket.write(clientFrame(OPCODE.close, Buffer.from([0x03, 0xe8])));
  const ended = once(socket.socket, 'finish');
  socket.socket.end();
  await within('all of it, and the end, to be on its way', ended);
  await until('it is paused', () => server.stats.unstoredBytes > 16 * 1024);
  log.release('append');
  await until('it is gone', () => server.stats.publishers === 0 && server.stats.unstoredBytes === 0);
  assert.deepEqual(await stored(log), range(100));
});

test('a publisher is accepted while the log stands still, and stored when it goes on', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({}, log);
  log.hold('append');
  await using publisher = await server.publisher();
  publisher.send('patience');
  await until('it is here', () => server.stats.unstoredBytes > 0);
  assert.equal((await publisher.close()).code, 1000);
  log.release('append');
  await using subscriber = await server.subscriber('?after=earliest');
  assert.equal(await subscriber.text(), 'patience');
});

test('one channel that stands still does not hold up another publisher below the bounds', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({ PUBLISHER_BUFFER_BYTES: '16kib' }, log);
  await using subscriber = await server.subscriber('?channel=quick');
  log.hold('append');
  await using slow = await RawSocket.open(server.address, '/ws/manager?channel=slow');
  await fill(slow);
  log.release('append');
  await using quick = await server.publisher('?channel=quick');
  quick.send('now');
  assert.equal(await subscriber.text(), 'now');
});

test('one that comes when there is no room is not read before there is, not even what it sent with its request', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({ MANAGER_BUFFER_BYTES: '256kib' }, log);
  log.hold('append');
  const full = await Promise.all(
    Array.from({ length: 6 }, () => RawSocket.open(server.address, '/ws/manager')),
  );
  const sent = await Promise.all(full.map((socket) => fill(socket)));
  const held = server.stats.unstoredBytes;
  const late = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const socket = await RawSocket.connect(server.address);
      const request = [Buffer.from(handshake('/ws/manager')), message(0), message(1)];
      socket.write(Buffer.concat(request));
      assert.match(await socket.head(), /^HTTP\/1\.1 101 /);
      socket.write(message(2));
      return socket;
    }),
  );
  await until('they are here', () => server.stats.publishers === 12);
  assert.equal(server.stats.unstoredBytes, held);
  log.release('append');
  const total = sent.reduce((sum, count) => sum + count, 6 * 3);
  await until('all is in the log', async () => (await log.inner.bounds(CHANNEL)).length === total);
  for (const socket of [...full, ...late]) socket.reset();
});
