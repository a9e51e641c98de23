/** Publishing over HTTP on every store: what an answer means, and keys, which are the same on all doors. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { NDJSON, PATH, page } from '../support/history.ts';
import { type Posted, post } from '../support/posts.ts';
import { clientFrame, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { until } from '../support/within.ts';

const BATCH = { 'Content-Type': NDJSON };

async function start(
  t: TestContext,
  store: string,
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

function keyed(key: string): { readonly headers: Record<string, string> } {
  return { headers: { 'Idempotency-Key': key } };
}

function linesOf({ text }: Posted): { id?: string; duplicate?: boolean; error?: { code: string } }[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string });
}

for (const store of ['memory', 'embedded', 'redis']) {
  describe(`on ${store}`, () => {
    test('a key is known on whatever door it comes again, and its message is stored once', async (t) => {
      const { server } = await start(t, store);
      const first = await post(server, 'once', keyed('k é'));
      assert.deepEqual([first.status, first.body.duplicate], [201, false]);
      const again = { id: first.body.id, duplicate: true };
      assert.deepEqual((await post(server, 'other', keyed('k é'))).body, again);
      const lines = '{"data":"more","key":"k é"}\n{"data":"new","key":"l"}\n{"data":"newer","key":"l"}\n';
      const batch = linesOf(await post(server, lines, { headers: BATCH }));
      assert.deepEqual([batch[0], batch[2]], [again, { id: batch[1]?.id, duplicate: true }]);
      await using publisher = await V1PublisherClient.open(server);
      assert.equal(await publisher.published('once more', { key: 'k é' }), first.body.id);
      const elsewhere = await post(server, 'once', { ...keyed('k é'), path: '/api/channels/other/messages' });
      assert.equal(elsewhere.body.duplicate, false);
      assert.deepEqual(
        (await page(server)).messages.map(({ data }) => data),
        ['once', 'new'],
      );
    });

    test('the same message posted at once by many is stored once', async (t) => {
      const { server } = await start(t, store);
      const answers = await Promise.all(Array.from({ length: 50 }, () => post(server, 'once', keyed('k'))));
      assert.equal(new Set(answers.map(({ body }) => body.id)).size, 1);
      assert.equal(answers.filter(({ body }) => body.duplicate === false).length, 1);
      assert.equal((await page(server)).messages.length, 1);
    });

    test('batches and posts at the same time are each stored in order, under the ids that were told', async (t) => {
      const { server } = await start(t, store);
      const SIZE = 2000;
      const told = await Promise.all(
        ['a', 'b', 'c'].map(async (name) => {
          const body = Array.from({ length: SIZE }, (_, n) => `{"data":"${name}${n}"}\n`).join('');
          const [batch] = await Promise.all([
            post(server, body, { headers: BATCH }),
            ...Array.from({ length: 20 }, () => post(server, 'post')),
          ]);
          return linesOf(batch).map(({ id }, n) => [id, `${name}${n}`] as const);
        }),
      );
      const found = new Map<string, unknown>();
      for (let after = 'earliest', isOver = false; !isOver; ) {
        const { messages, cursor } = await page(server, { after, limit: 1000 });
        for (const { id, data } of messages) found.set(id, data);
        isOver = messages.length === 0;
        after = cursor;
      }
      assert.equal(found.size, 3 * (SIZE + 20));
      for (const ids of told) {
        let before = '';
        for (const [id = '', data] of ids) {
          assert.equal(found.get(id), data);
          assert.ok(id.localeCompare(before, 'en', { numeric: true }) > 0, `${id} is not after ${before}`);
          before = id;
        }
      }
    });
  });
}

test('Redis stopped: answered in time, and a second try with the key is stored once', async (t) => {
  const settings = { OVERLOADED_AFTER_MS: '300ms', HEARTBEAT_MS: '400ms' };
  const { server, redis } = await start(t, 'redis', settings);
  assert.ok(redis !== null);
  const { body: first } = await post(server, 'before', keyed('first'));
  redis.pause();
  const unknown = await post(server, 'unknown', keyed('second'));
  assert.deepEqual([unknown.status, unknown.body.code], [503, 'log_unavailable']);
  const refused = linesOf(await post(server, '{"data":"refused"}\n{}\n', { headers: BATCH }));
  assert.deepEqual(
    refused.map(({ error }) => error?.code),
    ['overloaded', 'bad_request'],
  );
  const removed = await post(server, '', { method: 'DELETE', path: `${PATH}?before=latest` });
  assert.deepEqual([removed.status, removed.body.code], [503, 'log_unavailable']);
  redis.resume();
  let second: Posted = unknown;
  await until('it is stored', async () => {
    second = await post(server, 'unknown', keyed('second'));
    return second.status === 201;
  });
  assert.equal((await post(server, 'x', keyed('first'))).body.id, first.id);
  const { messages } = await page(server);
  assert.deepEqual(
    messages.map(({ id, data }) => [id, data]),
    [
      [first.id, 'before'],
      [second.body.id, 'unknown'],
    ],
  );
});

test('channels that nothing can be added to take no room from the others, however much they are sent', async (t) => {
  const { server, redis } = await start(t, 'redis', {
    OVERLOADED_AFTER_MS: '200ms',
    HEARTBEAT_MS: '200ms',
    PUBLISHER_BUFFER_BYTES: '256kib',
    MANAGER_BUFFER_BYTES: '2mib',
  });
  assert.ok(redis !== null);
  const bad = ['bad1', 'bad2', 'bad3'];
  for (const channel of bad) await redis.cli('SET', `local-q:${channel}`, 'no stream');
  const stuck = await Promise.all(
    bad.flatMap((channel) =>
      Array.from({ length: 6 }, () => RawSocket.open(server.address, `/ws/manager?channel=${channel}`)),
    ),
  );
  for (const { socket } of stuck) {
    for (let n = 0; n < 40; n++) socket.write(clientFrame(OPCODE.text, 'x'.repeat(8000)));
  }
  await until('there would be no room', () => server.stats.unstoredBytes > 2 * 1024 * 1024);
  await until('there is room for others', async () => {
    const posted = await post(server, 'fine', { path: '/api/channels/good/messages' });
    return posted.status === 201;
  });
  await using raw = await server.publisher('?channel=good');
  raw.send('fine, too');
  await until('both are stored', async () => (await redis.cli('XLEN', 'local-q:good')) === '2');
  for (const channel of bad) {
    await redis.cli('DEL', `local-q:${channel}`);
    const length = (): Promise<string> => redis.cli('XLEN', `local-q:${channel}`);
    await until('all of it is stored once it can be', async () => (await length()) === '240');
  }
  await until('nothing is held any more', () => server.stats.unstoredBytes === 0);
  for (const socket of stuck) socket.reset();
});
