/** Pings for idle connections, an end for dead ones, and neither for those that only wait for us. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { GatedLog } from '../support/gated-log.ts';
import { clientFrame, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';

const QUICK = { HEARTBEAT_MS: '100', IDLE_TIMEOUT_MS: '300' };
/** Longer than any of the times above, for showing that nothing happens. */
const LONG_MS = 700;

describe('an idle connection', () => {
  test('is pinged, and one that answers stays', async () => {
    await using server = await TestServer.start(QUICK);
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    await Promise.all([subscriber.pinged(5), publisher.pinged(5)]);
    publisher.send('still here');
    assert.equal(await subscriber.text(), 'still here');
  });

  test('that does not answer is ended, at both doors', async () => {
    await using server = await TestServer.start(QUICK);
    for (const path of ['/ws/broadcast', '/ws/manager']) {
      await using socket = await RawSocket.open(server.address, path);
      assert.equal((await socket.frame()).opcode, OPCODE.ping);
      await within('the end', socket.closed);
    }
    await until('both are forgotten', () => server.stats.connections === 0);
  });

  test('that sends anything at all, even half a frame, is not dead', async () => {
    await using server = await TestServer.start(QUICK);
    await using socket = await RawSocket.open(server.address, '/ws/manager');
    const frame = clientFrame(OPCODE.text, 'slowly');
    for (const byte of frame) {
      await delay(80);
      socket.write(Buffer.from([byte]));
    }
    assert.equal(socket.socket.destroyed, false);
    await using subscriber = await server.subscriber('?after=earliest');
    assert.equal(await subscriber.text(), 'slowly');
  });

  test('that is sent messages is not pinged, since taking them is a sign of life', async () => {
    await using server = await TestServer.start({ HEARTBEAT_MS: '300', IDLE_TIMEOUT_MS: '600' });
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    await using publisher = await server.publisher();
    for (let n = 0; n < 20; n++) {
      publisher.send(String(n));
      await delay(50);
    }
    for (const { opcode } of socket.framesHere()) assert.equal(opcode, OPCODE.text);
    assert.equal(socket.socket.destroyed, false);
  });
});

describe('one that waits for us', () => {
  test('as a paused publisher is neither pinged nor ended', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({ ...QUICK, PUBLISHER_BUFFER_BYTES: '1kib' }, log);
    log.hold('append');
    await using socket = await RawSocket.open(server.address, '/ws/manager');
    socket.write(clientFrame(OPCODE.text, 'x'.repeat(2000)));
    await until('it is paused', () => server.stats.unstoredBytes > 1024);
    await delay(LONG_MS);
    assert.deepEqual(socket.framesHere(), []);
    assert.equal(server.stats.publishers, 1);
    log.release('append');
    assert.equal((await socket.frame()).opcode, OPCODE.ping);
  });

  test('with bytes pending is neither pinged nor ended', async () => {
    await using server = await TestServer.start(QUICK);
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    await using publisher = await server.publisher();
    for (let i = 0; i < 100; i++) await publisher.flushed(Buffer.alloc(128 * 1024, i));
    await until('the socket pushes back', () => server.stats.stalled === 1);
    await delay(LONG_MS);
    assert.equal(server.stats.stalled, 1);
    socket.readOn();
    for (let n = 0; n < 100; n++) assert.equal((await socket.frame()).payload[0], n);
  });
});
