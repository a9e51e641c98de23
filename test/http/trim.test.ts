/** `DELETE /api/channels/:channel/messages?before=`: what is removed, and what is refused. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import { CHANNEL, dataOf, PATH, page, type Scene, scene } from '../support/history.ts';
import { type Posted, post } from '../support/posts.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';

function remove(s: { readonly address: string }, query: string, path: string = PATH): Promise<Posted> {
  return post(s, '', { method: 'DELETE', path: `${path}?${query}` });
}

/** The texts that are left. */
async function left(s: Scene): Promise<unknown[]> {
  return dataOf((await page(s, { limit: 100 })).messages);
}

function texts(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, n) => String(from + n));
}

/** For the names of the tests. */
const IDS = texts(0, 25).map((n) => `1-${n}`);

describe('everything before a place is removed, and nothing else', () => {
  /** Of 25 entries, ten in each millisecond, by the id of the first one that is to stay. */
  const FORMS: readonly (readonly [before: (ids: readonly string[]) => string, first: number])[] = [
    [(ids) => ids[0] as string, 0],
    [(ids) => ids[7] as string, 7],
    [(ids) => ids[10] as string, 10],
    [(ids) => ids[24] as string, 24],
    [() => 'earliest', 0],
    [() => 'last:5', 20],
    [() => 'last:100', 0],
    [() => 'last:0', 25],
    [() => 'latest', 25],
    [() => '1970-01-01', 0],
    [() => '2999-01-01', 25],
    [(ids) => new Date(Number((ids[10] as string).split('-')[0])).toISOString(), 10],
    [() => '0-0', 0],
    [() => '18446744073709551615-18446744073709551615', 25],
  ];

  for (const [before, first] of FORMS) {
    test(`before=${before(IDS)} leaves from ${first} on`, async () => {
      await using s = await scene(25);
      const { messages, tip } = await page(s, { limit: 25 });
      const ids = messages.map(({ id }) => id);
      const { status, body } = await remove(s, `before=${encodeURIComponent(before(ids))}`);
      assert.equal(status, 200);
      assert.deepEqual(body, { removed: first, floor: ids[first] ?? null, tip });
      assert.deepEqual(await left(s), texts(first, 25));
    });
  }

  test('a cursor of this history is a place as well, and one of another is refused', async () => {
    await using s = await scene(25);
    const { cursor } = await page(s, { after: 'earliest', limit: 11 });
    const other = cursor.replace(/@.*$/, '@other.11');
    const refused = await remove(s, `before=${encodeURIComponent(other)}`);
    assert.deepEqual([refused.status, refused.body.code], [400, 'bad_cursor']);
    assert.equal((await left(s)).length, 25);
    assert.equal((await remove(s, `before=${encodeURIComponent(cursor)}`)).status, 200);
    assert.deepEqual(await left(s), texts(10, 25));
  });

  test('a channel that nobody wrote to has nothing to remove, and stays unknown', async () => {
    await using s = await scene(0);
    const { status, body } = await remove(s, 'before=latest');
    assert.equal(status, 200);
    assert.deepEqual(body, { removed: 0, floor: null, tip: '0-0' });
    assert.equal((await s.log.bounds(CHANNEL)).epoch, null);
  });

  test('ids go on after it', async () => {
    await using s = await scene(25);
    const { tip } = await page(s);
    await remove(s, 'before=latest');
    const { body } = await post(s, 'more');
    assert.notEqual(body.id, tip);
    assert.deepEqual(await left(s), ['more']);
  });
});

test('what does not say what to remove removes nothing', async () => {
  await using s = await scene(3);
  const BAD: readonly (readonly [query: string, code: string])[] = [
    ['', 'bad_cursor'],
    ['before=', 'bad_cursor'],
    ['before=x', 'bad_cursor'],
    ['before=last:-1', 'bad_cursor'],
    ['before=latest&before=latest', 'bad_cursor'],
    ['after=earliest&before=latest', 'bad_request'],
    ['limit=1&before=latest', 'bad_request'],
    ['Before=latest', 'bad_cursor'],
  ];
  for (const [query, code] of BAD) {
    const answer = await remove(s, query);
    assert.deepEqual([answer.status, answer.body.code], [400, code], query);
  }
  const named = await remove(s, 'before=latest', '/api/channels/a%20b/messages');
  assert.deepEqual([named.status, named.body.code], [400, 'bad_channel']);
  assert.equal((await left(s)).length, 3);
});

test('a log that does not answer is told of, and to try again', async () => {
  await using s = await scene(3);
  s.log.failNext('bounds', new RivercastError('log_unavailable', 'the log does not answer'));
  const { status, headers, body } = await remove(s, 'before=latest');
  assert.deepEqual([status, body.code], [503, 'log_unavailable']);
  assert.match(headers['retry-after'] ?? '', /^\d+$/);
});

test('Redis removes exactly as much; where nobody publishes nothing is removed', async () => {
  await using redis = await RedisServer.start();
  const settings = { STORE: 'redis', REDIS_URL: redis.url };
  await using manager = await TestServer.start({ ...settings, ROLE: 'manager' });
  const ids: string[] = [];
  for (let n = 0; n < 10; n++) ids.push((await post(manager, String(n))).body.id ?? '');
  const { body } = await remove(manager, `before=${ids[7]}`);
  assert.deepEqual(body, { removed: 7, floor: ids[7], tip: ids[9] });
  await using broadcaster = await TestServer.start({ ...settings, ROLE: 'broadcaster' });
  const { status, text } = await remove(broadcaster, 'before=latest');
  assert.equal(status, 404);
  assert.match(text, /ROLE=broadcaster/);
});
