/** Publishing with `rivercast.v1` on every store: what an acknowledgement means, keys, fairness, a store that stops. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { type Message, page } from '../support/history.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { until } from '../support/within.ts';

type StoreName = 'memory' | 'embedded' | 'redis';

const STORES: readonly StoreName[] = ['memory', 'embedded', 'redis'];

/** A server on a store of its own, and that Redis; both end with the test. */
async function start(
  t: TestContext,
  store: StoreName,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ readonly server: TestServer; readonly redis: RedisServer | null }> {
  const redis = store === 'redis' ? await RedisServer.start() : null;
  const own = redis !== null ? { REDIS_URL: redis.url } : { DATA_DIR: await tempDir(t, () => server.stop()) };
  const server = await TestServer.start({ STORE: store, ...own, ...settings });
  t.after(async () => {
    await server.stop();
    await redis?.[Symbol.asyncDispose]();
  });
  return { server, redis };
}

async function stored(server: TestServer, channel: string): Promise<readonly Message[]> {
  const messages: Message[] = [];
  for (let after = 'earliest'; ; ) {
    const found = await page(server, { after, limit: 1000 }, `/api/channels/${channel}/messages`);
    if (found.messages.length === 0) return messages;
    messages.push(...found.messages);
    after = found.cursor;
  }
}

for (const store of STORES) {
  describe(`on ${store}`, () => {
    test('thousands in flight over several connections and channels are stored under the ids acknowledged', async (t) => {
      const { server } = await start(t, store);
      const channels = ['a', 'b', 'c', 'd', 'e'];
      const expected = new Map<string, Map<string, unknown>>(channels.map((channel) => [channel, new Map()]));
      await Promise.all(
        Array.from({ length: 4 }, async (_, connection) => {
          await using publisher = await V1PublisherClient.open(server);
          const sent = Array.from({ length: 1500 }, (__, n) => ({
            channel: channels[(n * 7 + connection) % 5] as string,
            data: { connection, n },
          }));
          for (const [ref, { channel, data }] of sent.entries()) publisher.publish(data, { channel, ref });
          for (const [n, ack] of (await publisher.take(sent.length)).entries()) {
            assert.deepEqual([ack['type'], ack['ref'], ack['duplicate']], ['ack', n, false]);
            const { channel, data } = sent[n] as (typeof sent)[number];
            expected.get(channel)?.set(ack['id'] as string, data);
          }
        }),
      );
      for (const channel of channels) {
        const found = await stored(server, channel);
        assert.equal(found.length, expected.get(channel)?.size);
        const order = new Map<number, number>();
        for (const { id, data } of found) {
          assert.deepEqual(data, expected.get(channel)?.get(id));
          const { connection, n } = data as { connection: number; n: number };
          assert.ok(n > (order.get(connection) ?? -1), 'those of one connection keep their order');
          order.set(connection, n);
        }
      }
    });

    test('a second try with the same key is acknowledged with the first id, and stored once', async (t) => {
      const { server } = await start(t, store);
      await using first = await V1PublisherClient.open(server);
      await using second = await V1PublisherClient.open(server);
      const id = await first.published('once', { key: 'k' });
      first.publish('again', { key: 'k' });
      first.publish('and again', { key: 'k' });
      second.publish('from elsewhere', { key: 'k' });
      for (const publisher of [first, first, second]) {
        assert.deepEqual(await publisher.next(), { type: 'ack', id, duplicate: true });
      }
      const other = await first.published('another channel', { key: 'k', channel: 'other' });
      assert.deepEqual(await stored(server, 'local-q'), [{ id, data: 'once' }]);
      assert.deepEqual(await stored(server, 'other'), [{ id: other, data: 'another channel' }]);
    });

    test('fifty quiet channels are acknowledged while one is flooded', async (t) => {
      const { server } = await start(t, store);
      await using flood = await V1PublisherClient.open(server, '?channel=flood');
      const over = new AbortController();
      let flooded = 0;
      const flooding = (async () => {
        for (; !over.signal.aborted; flooded += 2000) {
          for (let n = 0; n < 2000; n++) flood.publish('x'.repeat(200));
          await flood.take(2000);
        }
      })();
      await until('the flood is under way', () => flooded > 0);
      await using quiet = await V1PublisherClient.open(server);
      let most = 0;
      for (let round = 0; round < 5; round++) {
        const before = flooded;
        for (let n = 0; n < 50; n++) quiet.publish('quiet', { channel: `quiet-${n}` });
        for (const { type } of await quiet.take(50)) assert.equal(type, 'ack');
        most = Math.max(most, flooded - before);
      }
      over.abort();
      await flooding;
      // Of 2,000 at most; a client and a server in one process take turns as well.
      assert.ok(most <= 10 * 2000, `${most / 2000} batches of the flood later`);
    });
  });
}

test('a Redis that stops answering: who is answered is told in bounded time, and stored again when it goes on', async (t) => {
  const { server, redis } = await start(t, 'redis', { OVERLOADED_AFTER_MS: '300ms' });
  await using publisher = await V1PublisherClient.open(server);
  await using raw = await server.publisher();
  await publisher.published('before');
  redis?.pause();
  t.after(() => redis?.resume());
  const startedMs = performance.now();
  for (let ref = 0; ref < 10; ref++) publisher.publish(`while it stands ${ref}`, { ref, key: `k${ref}` });
  raw.send('raw, while it stands');
  const errors = await publisher.take(10);
  assert.ok(performance.now() - startedMs < 300 + 1000 + 1000);
  for (const [n, error] of errors.entries()) {
    assert.deepEqual([error['type'], error['ref'], error['retry']], ['error', n, true]);
    assert.match(String(error['code']), /^(?:log_unavailable|overloaded)$/);
  }
  publisher.publish('refused at once');
  assert.equal((await publisher.expect('error'))['code'], 'overloaded');
  redis?.resume();
  await until('what was in flight has settled', () => server.stats.unstoredBytes === 0);
  for (let ref = 0; ref < 10; ref++) publisher.publish(`while it stands ${ref}`, { ref, key: `k${ref}` });
  for (const [n, ack] of (await publisher.take(10)).entries()) {
    assert.deepEqual([ack['type'], ack['ref']], ['ack', n]);
  }
  const data = (await stored(server, 'local-q')).map((message) => String(message.data));
  const tries = Array.from({ length: 10 }, (_, n) => `while it stands ${n}`);
  assert.equal(data.length, 12);
  assert.deepEqual(new Set(data), new Set(['before', 'raw, while it stands', ...tries]));
});
