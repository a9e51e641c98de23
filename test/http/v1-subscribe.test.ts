/** Subscribing with `rivercast.v1`: what is said in which order, and that every message comes once. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EntryType } from '../../src/log/log.ts';
import { GatedLog } from '../support/gated-log.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

const V1 = { protocols: ['rivercast.v1'] };

/** Publishes texts past the doors, so that they are stored when it resolves. */
async function store(log: GatedLog, channel: string, ...texts: readonly string[]): Promise<string[]> {
  return storeTyped(
    log,
    channel,
    texts.map((text) => ['text', text] as const),
  );
}

async function storeTyped(
  log: GatedLog,
  channel: string,
  list: readonly (readonly [type: EntryType, data: string | Buffer])[],
): Promise<string[]> {
  const results = await log.append(
    channel,
    list.map(([type, data]) => ({ type, data: Buffer.from(data) })),
  );
  return results.map(({ id }) => id);
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i));
}

describe('a connection', () => {
  test('begins with hello, in the subprotocol that was asked for', async () => {
    await using server = await TestServer.start({ HEARTBEAT_MS: '20s' });
    await using socket = await server.subscriber('?channel=', {
      protocols: ['access_token.a.b', 'something', 'rivercast.raw', 'rivercast.v1'],
    });
    assert.equal(socket.protocol, 'rivercast.v1');
    const hello = JSON.parse(await socket.text()) as Record<string, unknown>;
    assert.deepEqual(Object.keys(hello), ['type', 'server', 'heartbeat', 'channels']);
    assert.deepEqual([hello['type'], hello['heartbeat'], hello['channels']], ['hello', 20, 100]);
    assert.match(String(hello['server']), /^rivercast\/\d/);
  });

  test('without ?channel= follows the default channel from now on', async () => {
    await using server = await TestServer.start({ STREAM: 'main' });
    await using publisher = await server.publisher();
    await using client = await V1Client.open(server, '');
    const subscribed = await client.expect('subscribed');
    assert.deepEqual(subscribed, {
      type: 'subscribed',
      channel: 'main',
      epoch: subscribed['epoch'],
      cursor: subscribed['cursor'],
      tip: '0-0',
    });
    publisher.send('hello');
    assert.deepEqual(await client.data('main', 1), ['hello']);
  });

  test('with an empty ?channel= follows none until it asks', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using client = await V1Client.open(server, '?channel=');
    assert.equal(server.stats.subscriptions, 0);
    const [first] = await store(log, 'local-q', 'a', 'b');
    const subscribed = await client.subscribe('local-q', { after: first, ref: 'r' });
    assert.equal(subscribed['ref'], 'r');
    assert.deepEqual(await client.data('local-q', 1), ['b']);
  });

  test('with several ?channel= begins each: subscribed, then its messages', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    for (const channel of ['a', 'b', 'c']) await store(log, channel, `${channel}1`, `${channel}2`);
    await using client = await V1Client.open(server, '?channel=a&channel=b&channel=c&after=last:1');
    for (const channel of ['a', 'b', 'c']) {
      const told = await client.expect('subscribed');
      assert.equal(told['channel'], channel);
    }
    const seen: unknown[] = [];
    for (let i = 0; i < 3; i++) seen.push((await client.expect('messages'))['channel']);
    assert.deepEqual(new Set(seen), new Set(['a', 'b', 'c']));
  });

  test('is refused when its URL asks for what cannot be', async () => {
    await using server = await TestServer.start();
    const many = Array.from({ length: 101 }, (_, i) => `channel=c${i}`).join('&');
    const refusals: readonly (readonly [query: string, code: string])[] = [
      ['?channel=a&channel=a', 'bad_channel'],
      ['?channel=a&channel=', 'bad_channel'],
      ['?channel=a%20b', 'bad_channel'],
      ['?channel=a&channel=..', 'bad_channel'],
      [`?${many}`, 'bad_request'],
      ['?channel=a&channel=b&after=5-0', 'bad_cursor'],
      ['?channel=a&after=', 'bad_cursor'],
      ['?channel=a&on_gap=maybe', 'bad_request'],
    ];
    for (const [query, code] of refusals) {
      const { status, body } = await WebSocketClient.refused(server.url(`/ws/broadcast${query}`), V1);
      assert.deepEqual([status, body['code']], [400, code], query.slice(0, 60));
    }
    await using client = await V1Client.open(
      server,
      `?${many.replace('channel=c100', '').replace(/&$/, '')}`,
    );
    for (let i = 0; i < 100; i++) await client.expect('subscribed');
    client.send({ type: 'subscribe', channel: 'one-more' });
    assert.equal((await client.expect('error'))['code'], 'limit_reached');
  });
});

describe('channels', () => {
  test('are followed and left on a live connection, each with a cursor of its own', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    const a = await store(log, 'a', ...numbers(0, 10));
    await store(log, 'b', ...numbers(0, 10));
    await using client = await V1Client.open(server);
    await client.subscribe('a', { after: a[7] });
    assert.deepEqual(await client.data('a', 2), ['8', '9']);
    const told = await client.subscribe('b', { after: 'last:1' });
    assert.deepEqual(await client.data('b', 1), ['9']);
    await store(log, 'a', '10');
    assert.deepEqual(await client.data('a', 1), ['10']);
    client.send({ type: 'unsubscribe', channel: 'a', ref: 5 });
    const left = await client.expect('unsubscribed');
    assert.equal(left['ref'], 5);
    await store(log, 'a', '11', '12');
    await store(log, 'b', '10');
    assert.deepEqual(await client.data('b', 1), ['10'], 'and nothing more of a');
    await client.subscribe('a', { after: left['cursor'] });
    assert.deepEqual(await client.data('a', 2), ['11', '12']);
    assert.equal(typeof told['epoch'], 'string');
    assert.match(String(told['cursor']), /^\d+-\d+@/);
  });

  test('keep their order and lose nothing while others are followed and left all the time', async () => {
    await using server = await TestServer.start({ MAX_SUBSCRIBER_FRAMES_PER_SECOND: '100000' });
    await using publisher = await server.publisher('?channel=steady');
    await using client = await V1Client.open(server, '?channel=steady');
    await client.expect('subscribed');
    for (let i = 0; i < 300; i++) {
      publisher.send(String(i));
      client.send({ type: 'subscribe', channel: `other${i % 7}`, after: 'earliest' });
      client.send({ type: 'unsubscribe', channel: `other${i % 7}` });
    }
    const seen: unknown[] = [];
    let answers = 0;
    while (seen.length < 300 || answers < 600) {
      const frame = await client.next();
      if (frame['type'] !== 'messages') answers += 1;
      else seen.push(...(frame['messages'] as { data: string }[]).map(({ data }) => data));
    }
    assert.deepEqual(seen, numbers(0, 300));
  });

  test('resume by the plain id of any message, by unsubscribed and by subscribed', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await store(log, 'c', ...numbers(0, 250));
    await using client = await V1Client.open(server);
    const subscribed = await client.subscribe('c', { after: 'earliest' });
    const messages = await client.messages('c', 250);
    client.send({ type: 'unsubscribe', channel: 'c' });
    await client.expect('unsubscribed');
    for (const n of [0, 98, 99, 100, 130, 248]) {
      await client.subscribe('c', { after: messages[n]?.id });
      assert.deepEqual(await client.data('c', 249 - n), numbers(n + 1, 250), `after ${n}`);
      client.send({ type: 'unsubscribe', channel: 'c' });
      await client.expect('unsubscribed');
    }
    await client.subscribe('c', { after: subscribed['cursor'] });
    assert.deepEqual(await client.data('c', 250), numbers(0, 250));
    await using raw = await server.subscriber(`?channel=c&after=${messages[248]?.id}`);
    assert.equal(await raw.text(), '249');
  });

  test('are one for all doors: raw and v1 subscribers get the same entries', async () => {
    await using server = await TestServer.start();
    await using raw = await server.subscriber();
    await using client = await V1Client.open(server, '');
    await client.expect('subscribed');
    await using publisher = await server.publisher();
    for (const text of numbers(0, 500)) publisher.send(text);
    assert.deepEqual(await client.data('local-q', 500), await raw.texts(500));
  });
});

describe('payloads', () => {
  const MIB = 1024 * 1024;
  const TEXTS = ['', '"\\\u0000\u001f\u007f', '\u2028\u2029\ufeff', '😀', ']}', '\r\n', 'y'.repeat(MIB)];
  const JSONS = ['{ "a" : 1.50 }', '12345678901234567890', '"text"', 'null', '[1,\n2]', '{"__proto__":1}'];

  test('of all types arrive as they were stored, also 1 MiB and nothing at all', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using client = await V1Client.open(server, '?channel=c');
    await client.expect('subscribed');
    const binaries = [Buffer.alloc(0), Buffer.from([0, 1, 254, 255]), Buffer.alloc(MIB, 7)];
    await storeTyped(log, 'c', [
      ...TEXTS.map((text) => ['text', text] as const),
      ...JSONS.map((json) => ['json', json] as const),
      ...binaries.map((bytes) => ['binary', bytes] as const),
    ]);
    const expected = [
      ...TEXTS.map((data) => ({ data })),
      ...JSONS.map((json) => ({ data: JSON.parse(json) as unknown })),
      ...binaries.map((bytes) => ({ data64: bytes.toString('base64') })),
    ];
    const messages = await client.messages('c', expected.length);
    for (const [i, { id: _, ...message }] of messages.entries()) assert.deepEqual(message, expected[i]);
  });

  test('of json are the bytes that were stored', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    const ids = await storeTyped(
      log,
      'c',
      JSONS.map((json) => ['json', json] as const),
    );
    await using socket = await server.subscriber('?channel=c&after=earliest', V1);
    const [, , frame] = await socket.texts(3);
    const expected = JSONS.map((json, i) => `{"id":"${ids[i]}","data":${json}}`).join(',');
    assert.ok(frame?.endsWith(`"messages":[${expected}]}`), frame);
  });
});
