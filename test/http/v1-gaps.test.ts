/** What is gone is told to a subscriber of `rivercast.v1` exactly, and as it asked: and go on, end, or close. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { turn } from '../support/followed-log.ts';
import { GatedLog } from '../support/gated-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { cursorOf, WebSocketClient } from '../support/websocket-client.ts';
import { until, within } from '../support/within.ts';

const CHANNEL = 'c';

interface Scene extends AsyncDisposable {
  readonly log: GatedLog;
  readonly server: TestServer;
  /** After entry 1 of 10, which is trimmed with all but the last three. */
  readonly old: string;
  /** After entry 6, the last one trimmed. */
  readonly behind: string;
}

async function append(log: GatedLog, ...texts: readonly string[]): Promise<void> {
  await log.inner.append(
    CHANNEL,
    texts.map((text) => ({ type: 'text', data: Buffer.from(text) })),
  );
}

async function trimmed(): Promise<Scene> {
  const log = new GatedLog();
  const server = await TestServer.start({}, log);
  await append(log, '0', '1', '2', '3', '4', '5', '6', '7', '8', '9');
  const cursors: string[] = [];
  for (const count of [8, 3]) {
    const { id, epoch, ordinal } = await log.inner.locate(CHANNEL, { at: 'last', count });
    cursors.push(`${id}@${epoch}.${ordinal}`);
  }
  await log.trim(CHANNEL, { maxEntries: 3 });
  const [old, behind] = cursors as [string, string];
  return { log, server, old, behind, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Three entries come, of which only the last can be read any more when somebody looks. */
async function missTwo({ log }: Scene): Promise<void> {
  await Promise.all([append(log, '10', '11', '12'), log.inner.trim(CHANNEL, { maxEntries: 1 })]);
}

describe('a gap at the start', () => {
  test('is told after subscribed, which still stands before it, and delivery goes on behind it', async () => {
    await using scene = await trimmed();
    const { server, old, behind } = scene;
    await using client = await V1Client.open(server);
    const subscribed = await client.subscribe(CHANNEL, { after: old });
    assert.equal(subscribed['cursor'], old);
    const { floor, ...gap } = await client.expect('gap');
    assert.deepEqual(gap, {
      type: 'gap',
      channel: CHANNEL,
      epoch: subscribed['epoch'],
      requested: old,
      lost: 5,
      reason: 'trimmed',
      cursor: behind,
    });
    const messages = await client.messages(CHANNEL, 3);
    assert.deepEqual(
      messages.map(({ data }) => data),
      ['7', '8', '9'],
    );
    assert.equal(messages[0]?.id, floor);
  });

  test('with on_gap=fail is an error with the cursor to go on from, and no subscription', async () => {
    await using scene = await trimmed();
    const { server, old, behind } = scene;
    await using client = await V1Client.open(server);
    client.send({ type: 'subscribe', channel: CHANNEL, after: old, on_gap: 'fail', ref: 9 });
    const error = await client.expect('error');
    const { code, channel, cursor, ref, retry } = error;
    assert.deepEqual([code, channel, cursor, ref, retry], ['gap', CHANNEL, behind, 9, false]);
    assert.equal(server.stats.subscriptions, 0);
    await client.subscribe(CHANNEL, { after: cursor, on_gap: 'fail' });
    assert.deepEqual(await client.data(CHANNEL, 3), ['7', '8', '9']);
  });

  test('of the URL is told, or refused with 410, or to a browser by the close', async () => {
    await using scene = await trimmed();
    const { server, old, behind } = scene;
    const query = `?channel=${CHANNEL}&after=${encodeURIComponent(old)}`;
    const options = { protocols: ['rivercast.v1'] };
    await using client = await V1Client.open(server, query);
    await client.expect('subscribed');
    assert.equal((await client.expect('gap'))['lost'], 5);
    const url = server.url(`/ws/broadcast${query}&on_gap=fail`);
    const { status, body } = await WebSocketClient.refused(url, options);
    assert.deepEqual([status, body['code'], body['lost'], body['cursor']], [410, 'gap', 5, behind]);
    await using browser = await WebSocketClient.connect(url, { ...options, origin: server.address });
    const closed = await within('the close', browser.closed);
    assert.deepEqual([closed.code, cursorOf(closed), browser.receivedCount], [4410, behind, 0]);
  });

  test('of another history is a reset, and what is gone of this one is told as well', async () => {
    await using scene = await trimmed();
    const { server, old } = scene;
    await using client = await V1Client.open(server);
    const forged = old.replace(/@\w+/, '@feedfacecafe');
    const subscribed = await client.subscribe(CHANNEL, { after: forged });
    const { reason, lost, requested, epoch } = await client.expect('gap');
    assert.deepEqual([reason, lost, requested, epoch], ['reset', null, forged, subscribed['epoch']]);
    const more = await client.expect('gap');
    assert.deepEqual([more['reason'], more['lost']], ['trimmed', 7]);
    assert.deepEqual(await client.data(CHANNEL, 3), ['7', '8', '9']);
  });
});

describe('a gap while subscribed', () => {
  test('is told where it lies, with its count, and messages follow', async () => {
    await using scene = await trimmed();
    await using client = await V1Client.open(scene.server);
    await client.subscribe(CHANNEL, { after: 'earliest' });
    const last = (await client.messages(CHANNEL, 3)).at(-1);
    await missTwo(scene);
    const gap = await client.expect('gap');
    assert.deepEqual([gap['reason'], gap['lost']], ['trimmed', 2]);
    assert.ok(String(gap['requested']).startsWith(`${last?.id}@`));
    const [next] = await client.messages(CHANNEL, 1);
    assert.deepEqual([next?.data, next?.id], ['12', gap['floor']]);
  });

  test('ends a subscription with on_gap=fail, and that one only', async () => {
    await using scene = await trimmed();
    await using client = await V1Client.open(scene.server);
    await client.subscribe('other', { on_gap: 'fail' });
    await client.subscribe(CHANNEL, { on_gap: 'fail' });
    await missTwo(scene);
    const gap = await client.expect('gap');
    const error = await client.expect('error');
    const unsubscribed = await client.expect('unsubscribed');
    assert.deepEqual([error['code'], error['channel'], error['cursor']], ['gap', CHANNEL, gap['cursor']]);
    assert.deepEqual([unsubscribed['channel'], unsubscribed['cursor']], [CHANNEL, gap['cursor']]);
    await append(scene.log, '13');
    await scene.log.append('other', [{ type: 'text', data: Buffer.from('still here') }]);
    assert.deepEqual(await client.data('other', 1), ['still here']);
    await client.subscribe(CHANNEL, { after: error['cursor'], on_gap: 'skip' });
    assert.deepEqual(await client.data(CHANNEL, 2), ['12', '13']);
  });

  test('closes a connection with on_gap=fail in its URL: 4410, and the cursor when it is of one channel', async () => {
    for (const query of [`?channel=${CHANNEL}`, `?channel=${CHANNEL}&channel=d`]) {
      await using scene = await trimmed();
      await using client = await V1Client.open(scene.server, `${query}&on_gap=fail`);
      const channels = query.split('&').length;
      for (let i = 0; i < channels; i++) await client.expect('subscribed');
      await missTwo(scene);
      const gap = await client.expect('gap');
      const closed = await within('the close', client.closed);
      assert.equal(closed.code, 4410);
      assert.equal(closed.reason, channels === 1 ? `cursor=${String(gap['cursor'])}` : '');
      assert.deepEqual(await client.socket.rest(), []);
    }
  });
});

describe('over Redis', () => {
  test('an entry by hand is delivered by its type; deleted and lost ones are told with their count', async () => {
    await using redis = await RedisServer.start();
    await using server = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url });
    await using publisher = await server.publisher('?channel=c');
    await using client = await V1Client.open(server, '?channel=c');
    await client.expect('subscribed');
    for (const text of ['0', '1', '2', '3']) publisher.send(text);
    const [first, second, third] = await client.messages('c', 4);
    await redis.cli('XDEL', 'local-q:c', second?.id ?? '', third?.id ?? '');
    await using late = await V1Client.open(server, `?channel=c&after=${first?.id}`);
    await late.expect('subscribed');
    // What is in memory is still sent: the ring has all four.
    assert.deepEqual(await late.data('c', 3), ['1', '2', '3']);
    await using other = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url });
    await using fresh = await V1Client.open(other, `?channel=c&after=${first?.id}&on_gap=fail`);
    await fresh.expect('subscribed');
    const deleted = await fresh.expect('gap');
    assert.deepEqual([deleted['reason'], deleted['lost']], ['deleted', 2]);
    assert.deepEqual(await fresh.data('c', 1), ['3'], 'deleting is meant: nothing ends');

    await redis.cli('XADD', 'local-q:c', '*', 'type', 'json', 'data', '{ "a": [1] }');
    await redis.cli('XADD', 'local-q:c', '*', 'type', 'json', 'data', '{ no json');
    for (const one of [client, late, fresh]) {
      assert.deepEqual(await one.data('c', 2), [{ a: [1] }, '{ no json']);
    }
    await redis.cli('DEL', 'local-q:c', '{local-q:c}:meta');
    publisher.send('anew');
    for (const one of [client, late]) {
      const reset = await one.expect('gap');
      assert.deepEqual([reset['reason'], reset['lost']], ['reset', null]);
      assert.deepEqual(await one.data('c', 1), ['anew']);
    }
    assert.equal((await fresh.expect('gap'))['reason'], 'reset');
    assert.equal((await within('the close', fresh.closed)).code, 4410);
  });

  test('a subscription while Redis stands still is refused in bounded time, to be tried again', async () => {
    await using redis = await RedisServer.start();
    await using server = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url });
    await using publisher = await server.publisher('?channel=a');
    await using client = await V1Client.open(server, '?channel=a');
    await client.expect('subscribed');
    publisher.send('before');
    await client.data('a', 1);
    redis.pause();
    const start = performance.now();
    for (let i = 0; i < 30; i++) client.send({ type: 'subscribe', channel: `new${i}`, ref: i });
    for (let i = 0; i < 30; i++) {
      const { code, retry, retryAfter, ref } = await client.expect('error');
      assert.deepEqual([code, retry, retryAfter, ref], ['log_unavailable', true, 1, i]);
    }
    assert.ok(performance.now() - start < 8000, `${performance.now() - start} ms`);
    redis.resume();
    publisher.send('after');
    assert.deepEqual(await client.data('a', 1), ['after'], 'and what was followed still is');
    await until('it is let in', () => client.socket.isOpen);
    for (;;) {
      client.send({ type: 'subscribe', channel: 'new0' });
      if ((await client.next())['type'] === 'subscribed') break;
      await turn();
    }
  });
});
