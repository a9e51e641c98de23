/** Server-sent events against the real server: what is sent, where it starts, how it resumes and how it ends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import { EventStream } from '../support/event-stream.ts';
import { turn } from '../support/followed-log.ts';
import { GatedLog } from '../support/gated-log.ts';
import { handshake, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';

const CHANNEL = 'local-q';

function sse(server: TestServer, query = '', headers: Readonly<Record<string, string>> = {}) {
  return EventStream.open(`${server.address}/sse${query}`, { headers });
}

async function append(log: GatedLog, ...texts: string[]): Promise<void> {
  await log.append(
    CHANNEL,
    texts.map((text) => ({ type: 'text', data: Buffer.from(text) })),
  );
}

describe('a stream of events', () => {
  test('begins with when to come back and where it stands, and brings every entry with its cursor', async () => {
    await using server = await TestServer.start();
    await using stream = await sse(server);
    assert.equal(stream.status, 200);
    assert.match(String(stream.headers['content-type']), /^text\/event-stream/);
    assert.equal(stream.headers['x-accel-buffering'], 'no');
    assert.match(String(stream.headers['cache-control']), /no-cache/);
    await stream.until('the first id', () => stream.lastEventId === '0-0');
    assert.ok((stream.retryMs ?? 0) >= 500);
    await using publisher = await server.publisher();
    for (const text of ['a', 'b']) publisher.send(text);
    const events = await stream.take(2);
    assert.deepEqual(
      events.map(({ type, data }) => [type, data]),
      [
        ['message', 'a'],
        ['message', 'b'],
      ],
    );
    assert.match(String(events[1]?.lastEventId), /^\d+-\d+@[0-9a-f]+\.2$/);
  });

  test('carries any payload: every kind of line break, fields inside, nothing at all, and binary', async () => {
    await using server = await TestServer.start();
    await using stream = await sse(server, '?after=earliest');
    await using publisher = await server.publisher();
    const texts = [
      '',
      '\n',
      'a\nb',
      'a\r\nb',
      'a\rb',
      '\n\n',
      'data: x',
      ' led',
      'id: 9-9\n\nretry: 1',
      '\u2028é🙂',
      ': c',
      '\ufeffx',
    ];
    for (const text of texts) publisher.send(text);
    publisher.send(Buffer.from([0, 255, 10]));
    const events = await stream.take(texts.length + 1);
    const expected = texts.map((text) => text.replaceAll(/\r\n|\r/g, '\n'));
    assert.deepEqual(
      events.slice(0, -1).map(({ data }) => data),
      expected,
    );
    const last = events.at(-1);
    assert.deepEqual([last?.type, last?.data], ['binary', 'AP8K']);
    assert.ok((stream.retryMs ?? 0) >= 500);
  });

  test('goes on after the last event id, on any node, with nothing missing or repeated', async () => {
    await using server = await TestServer.start();
    await using publisher = await server.publisher();
    for (let n = 0; n < 10; n++) publisher.send(`${n}`);
    let seen: string;
    {
      await using stream = await sse(server, '?after=earliest');
      const events = await stream.take(4);
      seen = events[3]?.lastEventId ?? '';
    }
    await using resumed = await sse(server, '?after=earliest', { 'last-event-id': seen });
    assert.deepEqual(await resumed.data(6), ['4', '5', '6', '7', '8', '9']);
  });

  test('an empty last event id counts as none', async () => {
    await using server = await TestServer.start();
    await using publisher = await server.publisher();
    publisher.send('a');
    await using stream = await sse(server, '?after=earliest', { 'last-event-id': '' });
    assert.deepEqual(await stream.data(1), ['a']);
  });

  test('many streams, WebSockets and formats see the same entries in the same order', async () => {
    await using server = await TestServer.start();
    const streams = await Promise.all(Array.from({ length: 20 }, () => sse(server)));
    await using raw = await server.subscriber();
    await using publisher = await server.publisher();
    const sent = Array.from({ length: 500 }, (_, n) => `${n}`.padEnd(n % 200, '.'));
    for (const text of sent) publisher.send(text);
    assert.deepEqual(await raw.texts(sent.length), sent);
    for (const stream of streams) assert.deepEqual(await stream.data(sent.length), sent);
    for (const stream of streams) await stream[Symbol.asyncDispose]();
    await until('all are gone', () => server.stats.subscribers === 1);
  });

  test('that is idle is sent where it stands, and can resume from there', async () => {
    await using server = await TestServer.start({ HEARTBEAT_MS: '100', IDLE_TIMEOUT_MS: '1000' });
    await using publisher = await server.publisher();
    publisher.send('a');
    await using stream = await sse(server, '?after=earliest');
    const [first] = await stream.take(1);
    const heartbeat = `id: ${first?.lastEventId}\n\n`;
    const before = stream.received;
    await stream.until('two heartbeats', () => stream.received >= before + 2 * heartbeat.length);
    assert.equal(stream.lastEventId, first?.lastEventId);
    assert.equal(stream.count, 1);
  });

  test('to an HTTP/1.0 client is the same bytes', async () => {
    await using server = await TestServer.start();
    await using publisher = await server.publisher();
    publisher.send('a');
    await using socket = await RawSocket.connect(server.address);
    socket.write('GET /sse?after=earliest HTTP/1.0\r\n\r\n');
    const text = await socket.until('data: a\n\n');
    assert.ok(!/transfer-encoding/i.test(text));
  });
});

describe('a gap on a stream of events', () => {
  async function trimmed(): Promise<{ log: GatedLog; server: TestServer; old: string }> {
    const log = new GatedLog();
    const server = await TestServer.start({}, log);
    await append(log, ...Array.from({ length: 10 }, (_, n) => `${n}`));
    const { id, epoch, ordinal } = await log.inner.locate(CHANNEL, { at: 'last', count: 8 });
    await log.trim(CHANNEL, { maxEntries: 3 });
    return { log, server, old: `${id}@${epoch}.${ordinal}` };
  }

  test('is an event with what is lost, and delivery goes on after it', async () => {
    const { server, old } = await trimmed();
    await using _ = server;
    await using stream = await sse(server, '', { 'last-event-id': old });
    assert.equal(stream.status, 200);
    const [gap, ...rest] = await stream.take(4);
    assert.equal(gap?.type, 'gap');
    const told = JSON.parse(gap?.data ?? '') as Record<string, unknown>;
    assert.deepEqual([told['reason'], told['lost'], told['requested']], ['trimmed', 5, old]);
    assert.equal(told['cursor'], gap?.lastEventId);
    assert.deepEqual(
      rest.map(({ data }) => data),
      ['7', '8', '9'],
    );
  });

  test('is never a refusal for a browser that resumes, also with on_gap=fail; for after= it is when asked', async () => {
    const { server, old } = await trimmed();
    await using _ = server;
    await using resumed = await sse(server, '?on_gap=fail', { 'last-event-id': old });
    assert.equal((await resumed.take(1))[0]?.type, 'gap');
    await using told = await sse(server, `?after=${encodeURIComponent(old)}`);
    assert.equal((await told.take(1))[0]?.type, 'gap');
    await using refused = await sse(server, `?after=${encodeURIComponent(old)}&on_gap=fail`);
    assert.equal(refused.status, 410);
  });

  test('met while connected is an event too', async () => {
    const { log, server } = await trimmed();
    await using _ = server;
    await using stream = await sse(server);
    await stream.until('the first id', () => stream.lastEventId !== '');
    const { inner } = log;
    const entries = ['10', '11', '12'].map((text) => ({ type: 'text' as const, data: Buffer.from(text) }));
    // In one turn, so that whoever follows the log looks only afterwards.
    await Promise.all([inner.append(CHANNEL, entries), inner.trim(CHANNEL, { maxEntries: 1 })]);
    const [gap, next] = await stream.take(2);
    const told = JSON.parse(gap?.data ?? '') as Record<string, unknown>;
    assert.deepEqual([gap?.type, told['reason'], told['lost']], ['gap', 'trimmed', 2]);
    assert.equal(next?.data, '12');
  });
});

describe('a stream that cannot be', () => {
  const cases: readonly (readonly [
    query: string,
    headers: Readonly<Record<string, string>>,
    code: string,
  ])[] = [
    ['?after=', {}, 'bad_cursor'],
    ['?after=nonsense', {}, 'bad_cursor'],
    ['?after=earliest&after=latest', {}, 'bad_cursor'],
    ['?channel=a%20b', {}, 'bad_channel'],
    ['?channel=.', {}, 'bad_channel'],
    ['?channel=..', {}, 'bad_channel'],
    ['?channel=a&channel=b', {}, 'bad_channel'],
    ['?on_gap=perhaps', {}, 'bad_request'],
    ['', { 'last-event-id': 'nonsense' }, 'bad_cursor'],
    ['', { 'last-event-id': '1-1@x@y' }, 'bad_cursor'],
  ];
  for (const [query, headers, code] of cases) {
    test(`${query} ${JSON.stringify(headers)} is refused: ${code}`, async () => {
      await using server = await TestServer.start();
      const response = await fetch(`${server.address}/sse${query}`, { headers });
      assert.equal(response.status, 400);
      assert.equal(((await response.json()) as Record<string, unknown>)['code'], code);
    });
  }

  test('a page of another origin is refused, one of loopback is let in and told so', async () => {
    await using server = await TestServer.start();
    await using refused = await sse(server, '', { origin: 'https://example.com' });
    assert.equal(refused.status, 403);
    await using allowed = await sse(server, '', { origin: 'http://localhost:9' });
    assert.equal(allowed.headers['access-control-allow-origin'], 'http://localhost:9');
    const preflight = await fetch(`${server.address}/sse`, {
      method: 'OPTIONS',
      headers: { origin: 'http://localhost:9' },
    });
    assert.equal(preflight.status, 204);
    await using rebound = await sse(server, '', { host: 'attacker.example' });
    assert.equal(rebound.status, 403);
  });

  test('while the log is down it ends at once and says when to come back', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.failNext('locate', new RivercastError('log_unavailable', 'down'));
    await using stream = await sse(server, '?after=earliest');
    await stream.ended;
    assert.deepEqual([stream.status, stream.count, (stream.retryMs ?? 0) >= 500], [200, 0, true]);
  });

  test('a last event id that is no header, too long or odd is refused', async () => {
    await using server = await TestServer.start();
    const ids: readonly (readonly [id: string, status: number])[] = [
      ['1-1\rX: y', 400],
      ['1-1\0', 400],
      ['1-1\r\n X: folded', 400],
      ['1'.repeat(10_000), 400],
      ['1'.repeat(1_000_000), 431],
      ['1-1\r\nLast-Event-ID: 2-2', 400],
      ['1-1@ü', 400],
    ];
    for (const [id, status] of ids) {
      await using socket = await RawSocket.connect(server.address);
      socket.write(`GET /sse HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: ${id}\r\n\r\n`);
      assert.match(await socket.head(), new RegExp(`^HTTP/1\\.1 ${status} `), id.slice(0, 30));
    }
    assert.equal(server.stats.subscribers, 0);
  });

  test('a position in the URL does not matter to one that resumes', async () => {
    await using server = await TestServer.start();
    await using publisher = await server.publisher();
    publisher.send('a');
    await using stream = await sse(server, '?after=nonsense', { 'last-event-id': '0-0' });
    assert.deepEqual(await stream.data(1), ['a']);
  });

  test('an upgrade behind a request that is not answered yet ends the connection, in order', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.hold('bounds');
    await using socket = await RawSocket.connect(server.address);
    const upgrade = handshake('/ws/manager');
    socket.write(`GET /api/channels/a HTTP/1.1\r\nHost: localhost\r\n\r\n${upgrade}`);
    await within('the end of the connection', socket.closed);
    log.release('bounds');
    assert.equal(server.stats.connections, 0);
  });

  test('a head alone, or another method, opens none', async () => {
    await using server = await TestServer.start();
    for (const method of ['HEAD', 'POST']) {
      const response = await fetch(`${server.address}/sse`, { method });
      assert.equal(response.status, 404, method);
    }
    assert.equal(server.stats.subscribers, 0);
  });

  test('one behind another on the same connection is refused, and the first goes on', async () => {
    await using server = await TestServer.start();
    await using publisher = await server.publisher();
    await using socket = await RawSocket.connect(server.address);
    const ask = 'GET /sse?after=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n';
    socket.write(ask + ask + ask);
    await socket.until('id: 0-0\n\n');
    publisher.send('a');
    await socket.until('data: a\n\n');
    assert.equal(server.stats.subscribers, 1);
    socket.reset();
    await until('it is gone', () => server.stats.subscribers === 0 && server.stats.connections === 1);
  });
});

describe('the end of a stream', () => {
  test('a client that goes leaves nothing behind', async () => {
    await using server = await TestServer.start();
    {
      await using stream = await sse(server);
      await stream.until('the first id', () => stream.lastEventId !== '');
      assert.deepEqual([server.stats.subscribers, server.stats.connections], [1, 1]);
    }
    await until('it is gone', () => server.stats.subscribers === 0 && server.stats.connections === 0);
  });

  test('a stop delivers what is stored and ends it; the next server goes on from the last id', async () => {
    const log = new GatedLog();
    const server = await TestServer.start({}, log);
    await using stream = await sse(server);
    await stream.until('the first id', () => stream.lastEventId !== '');
    await append(log, 'a', 'b');
    await server.stop();
    assert.deepEqual(await stream.data(2), ['a', 'b']);
    await stream.ended;
  });

  test('one that does not read is left behind and goes on from the log, complete and in order', async () => {
    await using server = await TestServer.start({ RING_BYTES: '64kib' });
    await using stream = await sse(server);
    await stream.until('the first id', () => stream.lastEventId !== '');
    stream.pause();
    await using publisher = await server.publisher();
    const sent = Array.from({ length: 600 }, (_, n) => `${n}`.padEnd(32 * 1024, '.'));
    for (const text of sent) await publisher.flushed(text);
    await until('it has stalled', () => server.stats.stalled === 1);
    stream.resume();
    for (const text of sent) assert.equal((await stream.take(1))[0]?.data, text);
    await turn();
    assert.equal(stream.count, sent.length);
  });

  test('one that stays behind for too long is cut', async () => {
    await using server = await TestServer.start({
      SLOW_AFTER_MS: '100ms',
      SLOW_BYTES: '1kib',
      LINGER_MS: '50ms',
      HEARTBEAT_MS: '100',
      IDLE_TIMEOUT_MS: '10s',
    });
    await using stream = await sse(server);
    await stream.until('the first id', () => stream.lastEventId !== '');
    stream.pause();
    await using publisher = await server.publisher();
    for (let n = 0; n < 600; n++) await publisher.flushed(`${n}`.padEnd(32 * 1024, '.'));
    await until('it is cut', () => server.stats.subscribers === 0 && server.stats.connections === 1);
  });
});
