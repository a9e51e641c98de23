/** What a channel holds and how many follow it; what a process without a broadcaster answers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import { GatedLog } from '../support/gated-log.ts';
import { ask, CHANNEL, fill, PATH } from '../support/history.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { until } from '../support/within.ts';

const INFO = `/api/channels/${CHANNEL}`;

describe('a channel', () => {
  test('is described: its history, what it keeps, and who follows it here', async () => {
    const log = new GatedLog();
    await fill(log, 10);
    await log.trim(CHANNEL, { maxEntries: 4 });
    await using server = await TestServer.start({}, log);
    await using first = await server.subscriber();
    await using second = await server.subscriber();
    await using other = await server.subscriber('?channel=other');
    const { epoch, floor, tip } = await log.inner.bounds(CHANNEL);
    const { status, headers, body } = await ask(server, {}, { path: INFO });
    assert.deepEqual([status, headers.get('cache-control')], [200, 'no-store']);
    assert.deepEqual(body, { channel: CHANNEL, epoch, floor, tip, length: 4, subscribers: 2 });
    await first.close();
    await other.close();
    await until('they are gone', () => server.stats.connections === 1);
    assert.equal((await ask(server, {}, { path: INFO })).body['subscribers'], 1);
    assert.ok(second.isOpen);
  });

  test('that nobody wrote to has nothing, and is not created', async () => {
    await using server = await TestServer.start();
    const { body } = await ask(server, {}, { path: '/api/channels/room:42' });
    const nothing = { epoch: null, floor: null, tip: '0-0', length: 0, subscribers: 0 };
    assert.deepEqual(body, { channel: 'room:42', ...nothing });
  });

  test('is answered to HEAD without a body, and refused when its name is none or the log does not answer', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    const head = await ask(server, {}, { path: INFO, method: 'HEAD' });
    assert.deepEqual([head.status, head.text], [200, '']);
    assert.equal((await ask(server, {}, { path: '/api/channels/a%20b' })).body['code'], 'bad_channel');
    log.failNext('bounds', new RivercastError('log_unavailable', 'the log does not answer'));
    const refused = await ask(server, {}, { path: INFO });
    assert.deepEqual([refused.status, refused.body['code']], [503, 'log_unavailable']);
    assert.ok(refused.headers.get('retry-after'));
  });
});

test('a manager describes channels, and says who it is when asked for history', async () => {
  await using redis = await RedisServer.start();
  await using manager = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url, ROLE: 'manager' });
  const info = await ask(manager, {}, { path: INFO });
  assert.deepEqual([info.status, info.body['subscribers']], [200, 0]);
  const history = await ask(manager, {}, { path: PATH });
  assert.deepEqual([history.status, history.body['code']], [404, 'not_found']);
  assert.match(String(history.body['detail']), /ROLE=manager/);
});
