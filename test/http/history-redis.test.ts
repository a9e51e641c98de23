/** History out of a real Redis, with what others do to its streams: trimming, deleting, replacing, adding. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Answer, ask, dataOf, type HistoryBody, idsOf, lines, page } from '../support/history.ts';
import { ownChannel } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { until } from '../support/within.ts';

interface Scene {
  readonly key: string;
  readonly path: string;
  readonly ids: readonly string[];
  /** The cursor after the second entry. */
  readonly cursor: string;
  readonly all: (query?: Readonly<Record<string, string | number>>) => Promise<HistoryBody>;
}

describe('history in Redis', () => {
  let redis: RedisServer;
  let server: TestServer;

  before(async () => {
    redis = await RedisServer.start();
    server = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url });
  });

  after(async () => {
    await server.stop();
    await redis[Symbol.asyncDispose]();
  });

  /** A channel with the texts 0 to 9. */
  async function scene(): Promise<Scene> {
    const { channel, key } = ownChannel();
    const path = `/api/channels/${channel}/messages`;
    await using publisher = await server.publisher(`?channel=${channel}`);
    for (let n = 0; n < 10; n++) await publisher.flushed(String(n));
    await until('all are stored', () => server.stats.unstoredBytes === 0);
    const all: Scene['all'] = (query = {}) => page(server, query, path);
    let found = await all();
    while (found.messages.length < 10) found = await all();
    const { cursor } = await all({ after: 'earliest', limit: 2 });
    return { key, path, ids: idsOf(found.messages), cursor, all };
  }

  test('is paged forwards and backwards', async () => {
    const { all, ids } = await scene();
    const found: unknown[] = [];
    for (let at = 'earliest'; ; ) {
      const { messages, cursor } = await all({ after: at, limit: 3 });
      if (messages.length === 0) break;
      found.push(...dataOf(messages));
      at = cursor;
    }
    assert.deepEqual(found.join(''), '0123456789');
    assert.deepEqual(dataOf((await all({ before: ids[5] as string, limit: 2 })).messages), ['3', '4']);
    assert.deepEqual(dataOf((await all({ before: 'last:3', limit: 2 })).messages), ['5', '6']);
    const between = await all({ after: ids[2] as string, before: ids[6] as string });
    assert.deepEqual(dataOf(between.messages), ['3', '4', '5']);
  });

  test('tells what XTRIM removed', async () => {
    const { key, all, cursor } = await scene();
    await redis.cli('XTRIM', key, 'MAXLEN', '3');
    const { messages, gap } = await all({ after: cursor });
    assert.deepEqual(dataOf(messages), ['7', '8', '9']);
    assert.deepEqual([gap?.reason, gap?.lost, gap?.floor], ['trimmed', 5, messages[0]?.id]);
  });

  test('tells what XDEL removed: at the beginning of a page with it, further on with the next', async () => {
    const { key, path, all, cursor, ids } = await scene();
    await redis.cli('XDEL', key, ids[2] as string, ids[3] as string, ids[6] as string);
    const first = await all({ after: cursor });
    assert.deepEqual(
      [dataOf(first.messages), first.gap?.reason, first.gap?.lost],
      [['4', '5'], 'deleted', 2],
    );
    const second = await all({ after: first.cursor, on_gap: 'fail' });
    assert.deepEqual(
      [dataOf(second.messages), second.gap?.reason, second.gap?.lost],
      [['7', '8', '9'], 'deleted', 1],
    );
    const told = (await lines(server, { after: cursor }, path)).map((line) =>
      'gap' in line ? line.gap.reason : 'data' in line ? line.data : 'end',
    );
    assert.deepEqual(told, ['deleted', '4', '5', 'deleted', '7', '8', '9', 'end']);
  });

  test('says that a page is not the same any more when an entry of it was deleted', async () => {
    const { key, path, cursor, ids } = await scene();
    const get = (headers: object): Promise<Answer> =>
      ask(server, { after: cursor, limit: 5 }, { path, headers });
    const etag = (await get({})).headers.get('etag') ?? '';
    assert.equal((await get({ 'If-None-Match': etag })).status, 304);
    await redis.cli('XDEL', key, ids[4] as string);
    assert.equal((await get({ 'If-None-Match': etag })).status, 200);
  });

  test('that was replaced is a reset, and what was kept of it is no longer promised', async () => {
    const { key, path, all, cursor } = await scene();
    const kept = await ask(server, { after: cursor, limit: 3 }, { path });
    assert.match(kept.headers.get('cache-control') ?? '', /immutable/);
    await redis.cli('DEL', key);
    for (const text of ['a', 'b', 'c', 'd']) await redis.cli('XADD', key, '*', 'data', text);
    const answer = await ask<HistoryBody>(server, { after: cursor, limit: 3 }, { path });
    assert.equal(answer.body.gap?.reason, 'reset');
    assert.equal(answer.headers.get('cache-control'), 'no-cache');
    const refused = await ask(server, { after: cursor, on_gap: 'fail' }, { path });
    assert.deepEqual([refused.status, refused.body['reason']], [410, 'reset']);
    assert.deepEqual(dataOf((await all({ after: 'earliest' })).messages), ['a', 'b', 'c', 'd']);
  });

  test('has what others added, as text or as binary, and never as JSON that is none', async () => {
    const { key, path } = { ...ownChannel(), path: '' };
    const channel = key.slice('local-q:'.length);
    await redis.cli('XADD', key, '*', 'message', 'hi', 'more', 'x');
    await redis.cli('XADD', key, '*', 'data', '{"a":1}', 'type', 'json');
    await redis.cli('XADD', key, '*', 'data', '{"a":', 'type', 'json');
    await redis.cli('XADD', key, '*', 'data', 'raw', 'type', 'binary');
    const body = await page(server, {}, `/api/channels/${channel}/messages${path}`);
    assert.deepEqual(dataOf(body.messages), ['hi', { a: 1 }, '{"a":', 'cmF3']);
    assert.equal(body.gap, null);
    const rest = await page(
      server,
      { after: idsOf(body.messages)[1] as string },
      `/api/channels/${channel}/messages`,
    );
    assert.deepEqual([dataOf(rest.messages), rest.gap], [['{"a":', 'cmF3'], null]);
  });

  test('is refused while Redis does not answer, and there again when it does', async () => {
    const { path, all } = await scene();
    redis.pause();
    const answers = await Promise.all(Array.from({ length: 3 }, () => ask(server, {}, { path })));
    redis.resume();
    for (const { status, headers } of answers) {
      assert.equal(status, 503);
      assert.ok(headers.get('retry-after'));
    }
    assert.equal((await all()).messages.length, 10);
  });
});
