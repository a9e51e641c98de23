/** `/readyz` says whether this process stores and delivers: by what arrives, over real stores and real trouble. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { RedisServer, untilBlocked } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/within.ts';

interface Ready {
  readonly status: number;
  readonly reason: string;
  readonly checks: { readonly append?: string; readonly delivery?: string; readonly draining: boolean };
}

async function ask(server: TestServer): Promise<Ready> {
  const response = await fetch(`${server.address}/readyz`, { signal: AbortSignal.timeout(5000) });
  const { checks, reason } = (await response.json()) as { checks: Ready['checks']; reason?: string };
  return { status: response.status, reason: reason ?? '', checks };
}

interface LogHealth {
  readonly up: boolean;
  readonly since: string;
  readonly trouble: string | null;
  readonly durability: string | null;
}

async function logOf({ address }: TestServer): Promise<LogHealth> {
  const response = await fetch(`${address}/api/stats`);
  return ((await response.json()) as { log: LogHealth }).log;
}

/** Within the 2 s that are promised, counted from the call. */
async function untilUnready(server: TestServer): Promise<Ready> {
  const start = performance.now();
  for (;;) {
    const found = await ask(server);
    if (found.status === 503) {
      assert.ok(performance.now() - start < 2000, `${performance.now() - start} ms`);
      return found;
    }
    assert.ok(performance.now() - start < 5000, 'it stays ready');
  }
}

async function untilReady(server: TestServer): Promise<void> {
  await until('it is ready', async () => (await ask(server)).status === 200);
}

const USER = ['on', '>pw', 'resetkeys', '~local-q', '~local-q:*', '~{local-q}:*', '~{local-q:*}:*', '+@all'];

/** What docs/operations.md says that a broadcaster needs. */
const READING =
  '+evalsha +eval +script|load +xread +xrange +xrevrange +client|unblock +exists +type +hget +hmget +hset +xinfo|stream +zrange +info'.split(
    ' ',
  );

/** A Redis, and a server around it that is a user with `rules` besides. */
async function startWith(
  redis: RedisServer,
  settings: Readonly<Record<string, string>>,
  ...rules: string[]
): Promise<TestServer> {
  await redis.cli('ACL', 'SETUSER', 'rivercast', ...USER, ...rules);
  const url = redis.url.replace('//', '//rivercast:pw@');
  return TestServer.start({ STORE: 'redis', REDIS_URL: url, ...settings });
}

describe('a reader that stands still while the log answers', () => {
  test('makes the server unready once there is something to deliver, until it goes on', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    publisher.send('before');
    assert.equal(await subscriber.text(), 'before');
    log.hold('wait');
    publisher.send('the wait that was under way brings this');
    await subscriber.text();
    await until('it waits', () => log.running('wait') === 1);
    assert.equal((await ask(server)).status, 200, 'idle');
    publisher.send('this does not come');
    const { checks, reason } = await untilUnready(server);
    assert.deepEqual(checks, {
      append: 'ok',
      delivery: 'what is new in local-q is not read',
      draining: false,
    });
    assert.match(reason, /^delivery: /);
    log.release('wait');
    assert.equal(await subscriber.text(), 'this does not come');
    await untilReady(server);
  });

  test('is found among many channels, by a few of them', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    const names = Array.from({ length: 150 }, (_, i) => `c${i}`);
    const subscribers = await Promise.all(names.map((name) => server.subscriber(`?channel=${name}`)));
    await log.append('c149', [{ type: 'text', data: Buffer.from('x') }]);
    assert.equal(await subscribers[149]?.text(), 'x');
    const before = log.count('bounds');
    assert.equal((await ask(server)).status, 200);
    assert.ok(log.count('bounds') - before <= 4, `${log.count('bounds') - before} looks`);
    log.hold('wait');
    await log.append('c149', [{ type: 'text', data: Buffer.from('brought by the wait under way') }]);
    await subscribers[149]?.text();
    await log.append('c149', [{ type: 'text', data: Buffer.from('not brought') }]);
    assert.match((await untilUnready(server)).reason, /c149/);
    log.release('wait');
    await untilReady(server);
    for (const subscriber of subscribers) subscriber.terminate();
  });

  test('is not blamed for one channel that can not be read', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using _ = await server.subscriber();
    log.hold('wait');
    for (const text of ['brought by the wait under way', 'not brought']) {
      await log.append('local-q', [{ type: 'text', data: Buffer.from(text) }]);
    }
    log.failNext('read', new Error('the key is of another type'));
    await until('the look was answered', async () => (await ask(server)).status === 200);
    assert.match((await untilUnready(server)).reason, /local-q/);
    log.release('wait');
    await untilReady(server);
  });
});

describe('on Redis', () => {
  test('one that may write and not read is unready by its delivery alone', async () => {
    await using redis = await RedisServer.start();
    await using server = await startWith(redis, {});
    await untilReady(server);
    await redis.cli('ACL', 'SETUSER', 'rivercast', '-xread');
    const { checks } = await untilUnready(server);
    assert.equal(checks.append, 'ok');
    assert.match(checks.delivery ?? '', /NOPERM.*xread/);
    await until('the numbers say so', async () => !(await logOf(server)).up);
    const bad = await logOf(server);
    assert.match(bad.trouble ?? '', /NOPERM.*xread/);
    assert.equal(bad.durability, 'memory');
    await redis.cli('ACL', 'SETUSER', 'rivercast', '+xread');
    await untilReady(server);
    await until('the numbers say so', async () => (await logOf(server)).up);
    const good = await logOf(server);
    assert.match(good.trouble ?? '', /NOPERM.*xread/, 'what was wrong is told when it is over');
    assert.ok(Date.parse(good.since) > Date.parse(bad.since));
    assert.equal((await logOf(server)).since, good.since);
  });

  test('one that may read and not write is unready by its appends alone', async () => {
    await using redis = await RedisServer.start();
    await using server = await startWith(redis, {});
    await untilReady(server);
    await redis.cli('ACL', 'SETUSER', 'rivercast', '-xadd');
    const { checks } = await untilUnready(server);
    assert.equal(checks.delivery, 'ok');
    assert.match(checks.append ?? '', /NOPERM.*xadd/);
    await redis.cli('ACL', 'SETUSER', 'rivercast', '+xadd');
    await untilReady(server);
    assert.equal(await redis.cli('KEYS', '*probe*'), '', 'nothing was written');
  });

  test('a manager needs no reading, and a broadcaster no writing', async () => {
    await using redis = await RedisServer.start();
    const other = { ROLE: 'broadcaster', ALLOW_ANONYMOUS: 'true' };
    await using broadcaster = await startWith(redis, other, '-@all', ...READING);
    assert.deepEqual((await ask(broadcaster)).checks, { delivery: 'ok', draining: false });
    await using subscriber = await broadcaster.subscriber();
    await redis.cli('XADD', 'local-q', '*', 'data', 'x');
    assert.equal(await subscriber.text(), 'x');
    assert.deepEqual((await ask(broadcaster)).checks, { delivery: 'ok', draining: false });
    await redis.cli('ACL', 'SETUSER', 'rivercast', '+@all', '-xread');
    await using manager = await TestServer.start({
      STORE: 'redis',
      ROLE: 'manager',
      REDIS_URL: redis.url.replace('//', '//rivercast:pw@'),
    });
    assert.deepEqual((await ask(manager)).checks, { append: 'ok', draining: false });
  });

  test('a broadcaster whose live reading hears nothing any more is unready, and recovers', async () => {
    await using redis = await RedisServer.start();
    await using proxy = await TcpProxy.start(redis.port);
    await using server = await startBehind(proxy, 'broadcaster');
    await using subscriber = await server.subscriber();
    await untilBlocked(redis, 1);
    proxy.deafen('BLOCK');
    await redis.cli('XADD', 'local-q', '*', 'data', 'brought by the read under way');
    await subscriber.text();
    assert.equal((await ask(server)).status, 200, 'idle');
    await redis.cli('XADD', 'local-q', '*', 'data', 'not brought');
    assert.match((await untilUnready(server)).checks.delivery ?? '', /what is new in local-q is not read/);
    proxy.heal();
    proxy.cut();
    assert.equal(await subscriber.text(), 'not brought');
    await untilReady(server);
  });

  test('a manager whose appends hear nothing any more is unready, and recovers', async () => {
    await using redis = await RedisServer.start();
    await using proxy = await TcpProxy.start(redis.port);
    await using server = await startBehind(proxy, 'manager');
    await untilReady(server);
    await using publisher = await server.publisher();
    proxy.deafen('its answer is lost');
    publisher.send('its answer is lost');
    assert.match((await untilUnready(server)).checks.append ?? '', /no append was answered/);
    proxy.heal();
    proxy.cut();
    await untilReady(server);
    await until('it is stored, once', () => server.stats.unstoredBytes === 0);
    assert.equal(await redis.cli('XLEN', 'local-q'), '1');
  });
});

function startBehind(proxy: TcpProxy, role: string): Promise<TestServer> {
  return TestServer.start({ STORE: 'redis', ROLE: role, REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
}
