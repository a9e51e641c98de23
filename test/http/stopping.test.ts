/** A graceful stop: what was accepted is stored, what is stored is delivered, and everybody is told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { clientFrame, handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { cursorOf } from '../support/websocket-client.ts';
import { until } from '../support/within.ts';

function range(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i));
}

describe('a stop', () => {
  test('stores what publishers sent, delivers it, and tells each subscriber where to resume', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using first = await server.subscriber();
    await using second = await server.subscriber();
    await using publisher = await server.publisher();
    for (const text of range(3000)) publisher.send(text);
    await publisher.flushed('3000');
    assert.equal(await server.stop(), true);
    const stored = await log.inner.bounds('local-q').catch(() => null);
    assert.equal(stored, null, 'the log is closed');
    assert.equal((await publisher.closed).code, 1012);
    for (const subscriber of [first, second]) {
      const closed = await subscriber.closed;
      assert.equal(closed.code, 1012);
      assert.match(cursorOf(closed), /\.3001$/);
      assert.deepEqual(
        (await subscriber.rest()).map(({ data }) => data.toString()),
        range(3001),
      );
    }
  });

  test('waits for a log that is slow, and still stores and delivers everything', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    log.hold('append');
    for (const text of range(10)) publisher.send(text);
    await until('they are here', () => server.stats.unstoredBytes > 1280);
    const stopping = server.stop();
    assert.equal((await publisher.closed).code, 1012);
    log.release('append');
    assert.equal(await stopping, true);
    assert.deepEqual(
      (await subscriber.rest()).map(({ data }) => data.toString()),
      range(10),
    );
  });

  test('says false, in bounded time, when the log does not take what was accepted', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({ DRAIN_TIMEOUT_MS: '500ms' }, log);
    await using publisher = await server.publisher();
    await using subscriber = await server.subscriber();
    log.hold('append');
    publisher.send('lost');
    await until('it is here', () => server.stats.unstoredBytes > 0);
    const start = performance.now();
    assert.equal(await server.stop(), false);
    assert.ok(performance.now() - start < 1500);
    assert.equal((await subscriber.closed).code, 1012);
  });

  test('is one stop, however often it is asked for', async () => {
    await using server = await TestServer.start();
    const [first, second] = [server.server.stop(), server.server.stop()];
    assert.equal(first, second);
    assert.equal(await first, true);
    assert.equal(await server.stop(), true);
  });

  test('refuses new upgrades with 503, on a connection that was open before', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using publisher = await server.publisher();
    log.hold('append');
    publisher.send('holds up the stop');
    await until('it is here', () => server.stats.unstoredBytes > 0);
    const sockets = await Promise.all([0, 1].map(() => RawSocket.connect(server.address)));
    const [door, ready] = sockets as [RawSocket, RawSocket];
    const request = handshake('/ws/broadcast');
    door.write(request.slice(0, 20));
    ready.write('GET /readyz HT');
    await using other = await server.subscriber();
    const stopping = server.stop();
    door.write(request.slice(20));
    ready.write('TP/1.1\r\nHost: x\r\n\r\n');
    const head = await door.head();
    assert.match(head, /^HTTP\/1\.1 503 /);
    assert.match(head, /retry-after: 1/i);
    await door.closed;
    assert.match(await ready.head(), /^HTTP\/1\.1 503 /);
    await assert.rejects(server.subscriber());
    log.release('append');
    assert.equal(await stopping, true);
    assert.equal((await other.closed).code, 1012);
    for (const socket of sockets) socket.reset();
  });

  test('turns away one whose start was being looked up', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.hold('locate');
    await using socket = await RawSocket.connect(server.address);
    socket.write(handshake('/ws/broadcast?after=earliest'));
    await until('the log is asked', () => log.running('locate') === 1);
    const stopping = server.stop();
    log.release('locate');
    assert.match(await socket.head(), /^HTTP\/1\.1 503 /);
    assert.equal(await stopping, true);
  });

  test('does not wait for one that does not read, beyond the drain time', async () => {
    await using server = await TestServer.start({ DRAIN_TIMEOUT_MS: '1s' });
    await using publisher = await server.publisher();
    await using reader = await server.subscriber();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    for (let i = 0; i < 100; i++) await publisher.flushed(Buffer.alloc(128 * 1024));
    await until('it is stalled', () => server.stats.stalled === 1);
    const start = performance.now();
    assert.equal(await server.stop(), true);
    assert.ok(performance.now() - start < 2500);
    assert.equal((await reader.closed).code, 1012);
    assert.equal((await reader.rest()).length, 100);
  });

  test('does not let one that began to close, and never ends, delay the others', async () => {
    await using server = await TestServer.start({ DRAIN_TIMEOUT_MS: '3s' });
    await using publisher = await server.publisher();
    await using reader = await server.subscriber();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    socket.write(clientFrame(OPCODE.close, Buffer.from([0x03, 0xe8])));
    publisher.send('after its close');
    assert.equal(await reader.text(), 'after its close');
    const start = performance.now();
    const stopping = server.stop();
    assert.equal((await reader.closed).code, 1012);
    assert.ok(performance.now() - start < 1000, `${performance.now() - start} ms`);
    assert.equal(await stopping, true);
  });

  test('ends connections that are half-way through a request', async () => {
    await using server = await TestServer.start({ DRAIN_TIMEOUT_MS: '500ms' });
    await using socket = await RawSocket.connect(server.address);
    socket.write('GET / HTTP/1.1\r\nHost');
    await using other = await server.subscriber();
    await server.stop();
    await Promise.all([socket.closed, other.closed]);
  });
});
