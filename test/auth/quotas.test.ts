/** How much one may have of what all share: connections, channels, messages a second. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventStream } from '../support/event-stream.ts';
import { GatedLog } from '../support/gated-log.ts';
import { NDJSON } from '../support/history.ts';
import { post } from '../support/posts.ts';
import { clientFrame, type Frame, handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { tlsFiles } from '../support/tls-server.ts';
import { REQUIRED, seconds, token } from '../support/tokens.ts';
import { V1Client } from '../support/v1-client.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { until, within } from '../support/within.ts';

const FULL = [429, 'limit_reached'];

async function refusal(
  server: TestServer,
  path: string,
  headers: Record<string, string> = {},
): Promise<unknown[]> {
  const { status, body } = await WebSocketClient.refused(server.url(path), { headers });
  return [status, body['code']];
}

describe('connections', () => {
  test('in all: one more is refused at every door, and let in once another is gone', async () => {
    await using server = await TestServer.start({ MAX_CONNECTIONS: '2' });
    await using first = await server.subscriber();
    await using stream = await EventStream.open(`${server.address}/sse`);
    assert.deepEqual(await refusal(server, '/ws/manager'), FULL);
    assert.deepEqual(await refusal(server, '/ws/broadcast'), FULL);
    // A browser too is told over HTTP: there is no room to tell it in another way.
    const page = await WebSocketClient.refused(server.url('/ws/broadcast'), { origin: 'http://localhost' });
    assert.equal(page.status, 429);
    // A browser's EventSource would give up for good on any other status.
    await using late = await EventStream.open(`${server.address}/sse`);
    await late.ended;
    assert.equal(late.status, 200);
    assert.equal((await post(server, 'x')).status, 201);
    await stream[Symbol.asyncDispose]();
    await until('it is gone', () => server.stats.connections === 1);
    await using second = await server.publisher();
    assert.ok(first.isOpen && second.isOpen);
  });

  test('of an address, which a trusted proxy names', async () => {
    await using server = await TestServer.start({ MAX_CONNECTIONS_PER_IP: '2', TRUST_PROXY: 'loopback' });
    const from = (address: string): Record<string, string> => ({ 'X-Forwarded-For': address });
    await using one = await server.subscriber('', { headers: from('203.0.113.9') });
    await using two = await server.publisher('', { headers: from('198.51.100.1, 203.0.113.9') });
    assert.deepEqual(await refusal(server, '/ws/broadcast', from('203.0.113.9')), FULL);
    await using other = await server.subscriber('', { headers: from('203.0.113.8') });
    await using six = await server.subscriber('', { headers: from('2001:db8::1') });
    await using neighbour = await server.subscriber('', { headers: from('2001:DB8:0:0:ffff::2') });
    assert.deepEqual(await refusal(server, '/ws/broadcast', from('2001:db8:0:0:1:2:3:4')), FULL);
    await using elsewhere = await server.subscriber('', { headers: from('2001:db8:0:1::1') });
    await two[Symbol.asyncDispose]();
    await until('there is room again', async () => {
      try {
        await using again = await server.subscriber('', { headers: from('203.0.113.9') });
        return again.isOpen;
      } catch {
        return false;
      }
    });
    for (const client of [one, other, six, neighbour, elsewhere]) assert.ok(client.isOpen);
  });

  test('a proxy that is not trusted names nobody', async () => {
    await using server = await TestServer.start({ MAX_CONNECTIONS_PER_IP: '1' });
    await using one = await server.subscriber('', { headers: { 'X-Forwarded-For': '203.0.113.9' } });
    assert.deepEqual(await refusal(server, '/ws/broadcast', { 'X-Forwarded-For': '203.0.113.8' }), FULL);
    assert.ok(one.isOpen);
  });

  test('of a subject', async () => {
    await using server = await TestServer.start({ ...REQUIRED, MAX_CONNECTIONS_PER_SUBJECT: '1' });
    const shown = async (sub: string): Promise<Record<string, string>> => ({
      Authorization: `Bearer ${await token({ sub, subscribe: ['*'] })}`,
    });
    await using ann = await server.subscriber('', { headers: await shown('ann') });
    assert.deepEqual(await refusal(server, '/ws/broadcast', await shown('ann')), FULL);
    await using bob = await server.subscriber('', { headers: await shown('bob') });
    assert.ok(ann.isOpen && bob.isOpen);
  });

  test('a handshake that fails gives its place back', async () => {
    await using server = await TestServer.start({ MAX_CONNECTIONS_PER_IP: '1' });
    for (let i = 0; i < 3; i++) {
      await using raw = await RawSocket.connect(server.address);
      raw.write(handshake('/ws/broadcast', 'Sec-WebSocket-Protocol: rivercast.raw,,'));
      assert.match(await raw.head(), /^HTTP\/1\.1 4\d\d /);
    }
    await using one = await server.subscriber();
    assert.ok(one.isOpen);
  });
});

test('channels of one connection, by the query and one by one', async () => {
  await using server = await TestServer.start({ MAX_CHANNELS_PER_CONNECTION: '2' });
  const options = { protocols: ['rivercast.v1'] };
  const path = '/ws/broadcast?channel=a&channel=b&channel=c';
  assert.equal((await WebSocketClient.refused(server.url(path), options)).status, 400);
  await using client = await V1Client.open(server);
  await client.subscribe('a');
  await client.subscribe('b');
  client.send({ type: 'subscribe', channel: 'c' });
  assert.equal((await client.expect('error'))['code'], 'limit_reached');
});

describe('the rate of publishing', () => {
  test('v1 is refused beyond it, and stores the rest', async () => {
    await using server = await TestServer.start({ MAX_PUBLISHES_PER_SECOND: '10' });
    await using publisher = await V1PublisherClient.open(server);
    for (let i = 0; i < 15; i++) publisher.publish(i, { ref: i });
    const answers = await publisher.take(15);
    const acks = answers.filter(({ type }) => type === 'ack').length;
    assert.ok(acks >= 10 && acks < 15, `${acks} acknowledged`);
    const refused = answers.find(({ type }) => type === 'error');
    assert.deepEqual(
      [refused?.['code'], refused?.['retry'], refused?.['retryAfter']],
      ['rate_limited', true, 1],
    );
    await until('it may again', async () => {
      publisher.publish('again');
      return (await publisher.next())['type'] === 'ack';
    });
  });

  test('raw is made to wait, and loses nothing', async () => {
    await using server = await TestServer.start({ MAX_PUBLISHES_PER_SECOND: '50' });
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    const began = performance.now();
    // The first 50 are free; the others take a second, at the rate of 50.
    for (let i = 0; i < 100; i++) await publisher.flushed(`${i}`);
    publisher.send('last');
    const received = await subscriber.take(101);
    assert.equal(received.at(-1)?.data.toString(), 'last');
    const second = await server.publisher();
    second.send('at once');
    assert.equal((await subscriber.next()).data.toString(), 'at once');
    await second[Symbol.asyncDispose]();
    for (let i = 0; i < 20; i++) {
      publisher.send('more');
      await subscriber.next();
    }
    assert.ok(performance.now() - began > 1000, `${performance.now() - began} ms`);
  });

  test('raw: what was sent when it has to go is stored, whatever it would have to wait', async () => {
    const going = {
      'the server stops': (server: TestServer) => void server.stop(),
      'its token is over': () => undefined,
    };
    for (const [why, go] of Object.entries(going)) {
      const log = new GatedLog();
      // Within the grace, so that it is over soon.
      const exp = seconds(why === 'its token is over' ? -3 : 60);
      const headers = { Authorization: `Bearer ${await token({ publish: ['*'], exp })}` };
      await using server = await TestServer.start({ ...REQUIRED, MAX_PUBLISHES_PER_SECOND: '10' }, log);
      await using publisher = await server.publisher('', { headers });
      const sent = Array.from({ length: 20_000 }, (_, n) => publisher.flushed(`${n}`));
      await Promise.all(sent);
      go(server);
      await within(`the close as ${why}`, publisher.closed);
      await until(`all is stored as ${why}`, () => log.stored === 20_000);
    }
  });

  test('raw: connecting again does not help a subject that has been too fast', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start(
      { ...REQUIRED, MAX_PUBLISHES_PER_SECOND_PER_SUBJECT: '10' },
      log,
    );
    const shown = await token({ sub: 'ann', publish: ['*'] });
    const many = Buffer.concat(Array.from({ length: 200 }, () => clientFrame(OPCODE.text, 'x')));
    const begin = async (): Promise<RawSocket> => {
      const raw = await RawSocket.connect(server.address);
      raw.write(handshake('/ws/manager', `Authorization: Bearer ${shown}`));
      await raw.head();
      raw.write(many);
      return raw;
    };
    await using first = await begin();
    await until(
      'what one read brings is taken',
      async () => (await log.inner.bounds('local-q')).length >= 200,
    );
    await using second = await begin();
    await using third = await begin();
    await until('they are there', () => server.stats.publishers === 3);
    // Whoever is read is done with it by the time that another has been answered.
    const headers = { Authorization: `Bearer ${shown}` };
    assert.equal((await post(server, 'x', { headers })).status, 429);
    const { length } = await log.inner.bounds('local-q');
    assert.ok(length < 300, `${length} stored`);
    assert.ok(!first.socket.destroyed && !second.socket.destroyed && !third.socket.destroyed);
  });

  test('raw: one that goes while it has to wait gives its place back soon, and what had come is stored', async (t) => {
    const settings = { MAX_CONNECTIONS: '1', MAX_PUBLISHES_PER_SECOND: '1', HEARTBEAT_MS: '400ms' };
    const secure = (await tlsFiles(t)).settings;
    // The end of what came is read, has been seen by Node, or lies in the kernel behind what was not read.
    for (const [count, more] of [[5], [9000], [14_000], [20_000], [20_000, secure]] as const) {
      const log = new GatedLog();
      await using server = await TestServer.start({ ...settings, ...more }, log);
      const stored = async (): Promise<number> => (await log.inner.bounds('local-q')).length;
      await using raw = await RawSocket.open(server.address, '/ws/manager');
      const frames = Array.from({ length: count }, () => clientFrame(OPCODE.text, 'x'));
      // Behind what is read at first: an answer to one of these would end the socket before the rest is read.
      for (let at = 10_000; at < count; at += 1000) frames.splice(at, 0, clientFrame(OPCODE.ping, 'there?'));
      await new Promise((resolve) => raw.socket.write(Buffer.concat(frames), resolve));
      await until('it is in debt', async () => (await stored()) > 1);
      assert.equal(server.stats.publishers, 1);
      raw.socket.destroy();
      await until(`its place is free after ${count}`, () => server.stats.connections === 0);
      await until(`all ${count} are stored`, async () => (await stored()) === count);
      await using next = await server.publisher();
      assert.ok(next.isOpen);
    }
  });

  test('raw: one that is reset while it has to wait, too; one that stays is told nothing', async () => {
    const settings = { MAX_PUBLISHES_PER_SECOND: '1', HEARTBEAT_MS: '400ms' };
    const log = new GatedLog();
    await using server = await TestServer.start(settings, log);
    const many = Buffer.concat(Array.from({ length: 60_000 }, () => clientFrame(OPCODE.text, 'x')));
    const begin = async (): Promise<RawSocket> => {
      const { length } = await log.inner.bounds('local-q');
      const raw = await RawSocket.open(server.address, '/ws/manager');
      raw.write(many);
      await until('it is read', async () => (await log.inner.bounds('local-q')).length > length);
      return raw;
    };
    await using staying = await begin();
    await using going = await begin();
    going.reset();
    await until('the place of the one that went is free', () => server.stats.publishers === 1);
    const probes = await within('some probes', probesOf(staying, 5));
    assert.ok(probes.every(({ opcode, payload }) => opcode === OPCODE.pong && payload.length === 0));
    assert.ok(!staying.socket.destroyed);
    assert.equal(server.stats.publishers, 1);
  });

  test('HTTP: a post, and each line of a batch', async () => {
    await using server = await TestServer.start({ ...REQUIRED, MAX_PUBLISHES_PER_SECOND_PER_SUBJECT: '3' });
    const headers = { Authorization: `Bearer ${await token({ sub: 'ann', publish: ['*'] })}` };
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await post(server, 'x', { headers })).status);
    assert.deepEqual(statuses.slice(0, 3), [201, 201, 201]);
    assert.ok(statuses.includes(429), statuses.join());
    const others = { Authorization: `Bearer ${await token({ sub: 'bob', publish: ['*'] })}` };
    const lines = '{"data":1}\n'.repeat(5);
    const { text } = await post(server, lines, { headers: { ...others, 'Content-Type': NDJSON } });
    assert.equal(text.match(/"id"/g)?.length, 3);
    assert.equal(text.match(/"rate_limited"/g)?.length, 2);
  });
});

async function probesOf(raw: RawSocket, count: number): Promise<Frame[]> {
  const frames: Frame[] = [];
  while (frames.length < count) frames.push(await raw.frame());
  return frames;
}
