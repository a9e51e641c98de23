/** The end of a v1 connection: by a stop, by a slow reader, by a fault of the client; the reason resumes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { clientFrame, closeOf, type Frame, handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { cursorOf } from '../support/websocket-client.ts';
import { until, within } from '../support/within.ts';

const HEADER = 'Sec-WebSocket-Protocol: rivercast.v1';

async function openRaw(server: TestServer, query: string): Promise<RawSocket> {
  const socket = await RawSocket.connect(server.address);
  socket.write(handshake(`/ws/broadcast${query}`, HEADER));
  const head = await socket.head();
  assert.match(head, /^HTTP\/1\.1 101 /);
  return socket;
}

describe('a stop', () => {
  test('tells connections of 0, 1 and 5 channels 1012, and one of 1 where to resume', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    const five = ['a', 'b', 'c', 'd', 'e'];
    await using none = await V1Client.open(server, '?channel=');
    await using one = await V1Client.open(server, '?channel=a');
    await using several = await V1Client.open(server, `?channel=${five.join('&channel=')}`);
    await using left = await V1Client.open(server, '?channel=a');
    left.send({ type: 'unsubscribe', channel: 'a' });
    await left.expect('subscribed');
    await left.expect('unsubscribed');
    await one.expect('subscribed');
    for (const _ of five) await several.expect('subscribed');
    await using publisher = await server.publisher('?channel=a');
    for (let n = 0; n < 500; n++) publisher.send(String(n));
    await publisher.flushed('500');
    assert.equal(await server.stop(), true);
    for (const client of [none, several, left]) {
      assert.deepEqual(await client.closed, { code: 1012, reason: '' });
    }
    const closed = await one.closed;
    assert.equal(closed.code, 1012);
    assert.match(cursorOf(closed), /\.501$/);
    for (const client of [one, several]) {
      const frames = (await client.socket.rest()).map(({ data }) => JSON.parse(data.toString()));
      const texts = frames.flatMap(({ messages }) =>
        (messages as { data: string }[]).map(({ data }) => data),
      );
      assert.deepEqual(
        texts,
        Array.from({ length: 501 }, (_, i) => String(i)),
      );
    }
  });

  test('does not wait for one whose subscription is being looked up, nor for one that is not read', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using asking = await V1Client.open(server, '?channel=');
    await using flooding = await V1Client.open(server, '?channel=');
    log.hold('locate');
    asking.send({ type: 'subscribe', channel: 'c', after: 'earliest' });
    await until('the log is asked', () => log.running('locate') === 1);
    for (let i = 0; i < 500; i++) {
      flooding.send({ type: 'subscribe', channel: `c${i}`, after: 'earliest' });
    }
    await until('the log is asked again', () => log.running('locate') === 2);
    const start = performance.now();
    assert.equal(await server.stop(), true);
    assert.ok(performance.now() - start < 1500, `${performance.now() - start} ms`);
    for (const client of [asking, flooding]) {
      assert.deepEqual(await client.closed, { code: 1012, reason: '' });
    }
    log.release('locate');
  });
});

describe('the close of one that follows one channel says where to resume', () => {
  const BREAKING: readonly (readonly [what: string, code: number, frame: Buffer])[] = [
    ['an unmasked frame', 1002, clientFrame(OPCODE.text, 'x', { masked: false })],
    ['text that is not UTF-8', 1007, clientFrame(OPCODE.text, Buffer.from([0xc3, 0x28]))],
    ['a message above 64 KiB', 1009, clientFrame(OPCODE.text, 'x'.repeat(64 * 1024 + 1))],
    ['a binary one above 64 KiB', 1009, clientFrame(OPCODE.binary, Buffer.alloc(64 * 1024 + 1))],
  ];

  for (const [what, code, frame] of BREAKING) {
    test(`after ${what}`, async () => {
      const log = new GatedLog();
      await using server = await TestServer.start({}, log);
      await log.append('c', [{ type: 'text', data: Buffer.from('0') }]);
      await using neighbour = await V1Client.open(server, '?channel=c');
      await neighbour.expect('subscribed');
      await using socket = await openRaw(server, '?channel=c&after=earliest');
      for (const type of ['hello', 'subscribed', 'messages']) {
        assert.equal(JSON.parse((await socket.frame()).payload.toString()).type, type);
      }
      socket.write(frame);
      const closed = closeOf((await socket.frames()).at(-1) as Frame);
      assert.equal(closed.code, code);
      await log.append('c', [{ type: 'text', data: Buffer.from('1') }]);
      assert.deepEqual(await neighbour.data('c', 1), ['1']);
      await using resumed = await V1Client.open(server, '?channel=');
      await resumed.subscribe('c', { after: cursorOf(closed), on_gap: 'fail' });
      assert.deepEqual(await resumed.data('c', 1), ['1']);
    });
  }

  test('after it read too slowly, behind all that it was sent', async () => {
    const settings = { SLOW_AFTER_MS: '150', SLOW_ENTRIES: '50', LINGER_MS: '20s', HEARTBEAT_MS: '400' };
    await using server = await TestServer.start(settings);
    await using publisher = await server.publisher('?channel=c');
    await using client = await V1Client.open(server, '?channel=c');
    await client.expect('subscribed');
    client.socket.pause();
    for (let n = 0; n < 1000; n++) await publisher.flushed(`${n}.`.padEnd(16 * 1024, '.'));
    await until('it is closed', () => server.stats.subscribers === 0);
    client.socket.resume();
    const closed = await within('the close', client.closed);
    assert.equal(closed.code, 4408);
    const seen = (await client.socket.rest())
      .map(({ data }) => JSON.parse(data.toString()))
      .filter(({ type }) => type === 'messages')
      .flatMap(({ messages }) =>
        (messages as { data: string }[]).map(({ data }) => Number.parseInt(data, 10)),
      );
    await using resumed = await V1Client.open(server, '?channel=');
    await resumed.subscribe('c', { after: cursorOf(closed), on_gap: 'fail' });
    const rest = await resumed.data('c', 1000 - seen.length);
    assert.deepEqual(
      [...seen, ...rest.map((text) => Number.parseInt(String(text), 10))],
      Array.from({ length: 1000 }, (_, i) => i),
    );
  });
});
