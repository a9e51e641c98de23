/** The sweep and the list of channels in Redis: who sweeps, what expires, and what is left alone. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import type { Log, Swept } from '../../src/log/log.ts';
import type { RedisLog } from '../../src/log/redis.ts';
import { LIMITS, openLog, ownChannel, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from '../support/running-server.ts';
import { until } from '../support/within.ts';

const DAY_MS = 24 * 3_600_000;
const LEASE = '{local-q}:sweep';
const REGISTRY = '{local-q}:channels';
const GO_ON = new AbortController().signal;

let server: RedisServer;

before(async () => {
  server = await RedisServer.start();
});

after(async () => {
  await server[Symbol.asyncDispose]();
});

async function swept(log: Log): Promise<Swept> {
  const done = await log.sweep(GO_ON);
  assert.ok(done !== null, 'nobody else sweeps');
  return done;
}

async function namesOf(log: Log): Promise<string[]> {
  return (await log.channels({ after: null, limit: 1000 })).channels.map(({ channel }) => channel);
}

async function expiries(key: string): Promise<[number, number]> {
  const [stream, meta] = [
    await server.cli('PEXPIRETIME', key),
    await server.cli('PEXPIRETIME', `{${key}}:meta`),
  ];
  return [Number(stream), Number(meta)];
}

describe('of two servers', () => {
  test('one sweeps: the other is told so while it does, and may afterwards', async (t) => {
    const [one, other] = [await openLog(t, server.url), await openLog(t, server.url)];
    for (let i = 0; i < 300; i++) await one.append(ownChannel().channel, texts('x'));
    const sweeping = one.sweep(GO_ON);
    await until('it is at it', async () => (await server.cli('EXISTS', LEASE)) === '1');
    assert.equal(await other.sweep(GO_ON), null);
    assert.ok(((await sweeping)?.channels ?? 0) >= 300);
    assert.equal(await server.cli('EXISTS', LEASE), '0', 'it was given back');
    assert.ok((await swept(other)).channels >= 300);
  });

  test('one takes over when the other is gone, once its time is up and not before', async (t) => {
    const log = await openLog(t, server.url, { sweepTimes: { leaseMs: 400 } });
    await server.cli('SET', LEASE, 'of one that was killed', 'PX', '400');
    assert.equal(await log.sweep(GO_ON), null);
    await until('it takes over', async () => (await log.sweep(GO_ON)) !== null);
    assert.equal(await server.cli('EXISTS', LEASE), '0');
  });

  test('one that is killed while it sweeps keeps others out for a while only', async (t) => {
    await using own = await RedisServer.start();
    const log = await openLog(t, own.url);
    await Promise.all(Array.from({ length: 1000 }, () => log.append(ownChannel().channel, texts('x'))));
    await log.channels({ after: null, limit: 1 });
    const settings = { REDIS_URL: own.url, ROLE: 'manager', SWEEP_MS: '100ms' };
    const manager = await ServerProcess.start(t, settings);
    // A thousand channels take it a few hundred milliseconds, most of the time until the next sweep.
    await until('it is killed while it sweeps', async () => {
      if ((await own.cli('EXISTS', LEASE)) === '0') return false;
      await manager.end('SIGKILL');
      return true;
    });
    const leftMs = Number(await own.cli('PTTL', LEASE));
    if (leftMs !== -2) {
      assert.ok(leftMs > 0 && leftMs <= 30_000, `${leftMs}`);
      assert.equal(await log.sweep(GO_ON), null);
      await own.cli('PEXPIRE', LEASE, '100');
    }
    await until('another sweeps', async () => (await log.sweep(GO_ON)) !== null);
    await log.close();
  });

  test('one that lost its turn stops, and does not take it from its new holder', async (t) => {
    const log = await openLog(t, server.url, { sweepTimes: { leaseMs: 30 } });
    for (let i = 0; i < 300; i++) await log.append(ownChannel().channel, texts('x'));
    const total = (await namesOf(log)).length;
    const sweeping = log.sweep(GO_ON);
    await until('it is at it', async () => (await server.cli('EXISTS', LEASE)) === '1');
    await server.cli('SET', LEASE, 'somebody else');
    const done = await sweeping;
    assert.ok(done !== null && done.channels < total, `${done?.channels} of ${total}`);
    assert.equal(await server.cli('GET', LEASE), 'somebody else');
    await server.cli('DEL', LEASE);
  });

  test('a sweep that is told to stop leaves the turn to others at once', async (t) => {
    const log = await openLog(t, server.url);
    const stop = new AbortController();
    const sweeping = log.sweep(stop.signal);
    stop.abort();
    await sweeping;
    assert.equal(await server.cli('EXISTS', LEASE), '0');
  });
});

describe('a stream and its meta', () => {
  test('expire at the same moment, 30 days after the last entry, and not at each sweep anew', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    const [result] = await log.append(channel, texts('x'));
    await swept(log);
    const [stream, meta] = await expiries(key);
    const lastMs = Number(result?.id.split('-')[0]);
    assert.equal(stream, meta);
    assert.ok(Math.abs(stream - lastMs - 30 * DAY_MS) < DAY_MS, `${stream - lastMs} ms`);
    await log.append(channel, texts('y'));
    await swept(log);
    assert.deepEqual(await expiries(key), [stream, meta]);
  });

  test('expire so also where nobody sweeps, and later again after a day of messages', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    await log.append(channel, texts('x'));
    const [stream, meta] = await expiries(key);
    assert.equal(stream, meta);
    assert.ok(Math.abs(stream - Date.now() - 30 * DAY_MS) < 60_000);
    await log.append(channel, texts('y'));
    assert.deepEqual(await expiries(key), [stream, meta]);
    for (const name of [key, `{${key}}:meta`])
      await server.cli('PEXPIREAT', name, `${stream - DAY_MS - 60_000}`);
    await log.append(channel, texts('z'));
    const [later, metaLater] = await expiries(key);
    assert.ok(later === metaLater && later >= stream, `${later}`);
  });

  test('stay for ever where the retention has no bound by age', async (t) => {
    const retention = (): typeof DEFAULT_RETENTION => ({ ...DEFAULT_RETENTION, maxAgeMs: Infinity });
    const log = await openLog(t, server.url, { retention });
    const { channel, key } = ownChannel();
    await log.append(channel, texts('x'));
    await swept(log);
    assert.deepEqual(await expiries(key), [-1, -1]);
  });

  test('are kept longer when somebody else added an entry later', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    await log.append(channel, texts('x'));
    const soonMs = Date.now() + 60_000;
    for (const name of [key, `{${key}}:meta`]) await server.cli('PEXPIREAT', name, `${soonMs}`);
    await server.cli('XADD', key, '*', 'message', 'hi');
    await swept(log);
    const [stream, meta] = await expiries(key);
    assert.equal(stream, meta);
    assert.ok(stream > soonMs + 20 * DAY_MS);
  });

  test('are brought together when one of them lost its time', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    await log.append(channel, texts('x'));
    await swept(log);
    await server.cli('PERSIST', key);
    await swept(log);
    const [stream, meta] = await expiries(key);
    assert.ok(stream === meta && stream > Date.now() + 29 * DAY_MS);
  });

  test('are kept for the retention by age where that is longer', async (t) => {
    const retention = (): typeof DEFAULT_RETENTION => ({ ...DEFAULT_RETENTION, maxAgeMs: 90 * DAY_MS });
    const log = await openLog(t, server.url, { retention });
    const { channel, key } = ownChannel();
    await log.append(channel, texts('x'));
    assert.ok((await expiries(key))[0] > Date.now() + 89 * DAY_MS);
    await swept(log);
    assert.ok((await expiries(key))[0] > Date.now() + 89 * DAY_MS);
  });

  test('go at once when their last entry is older than that, and so does the name', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    await log.append(channel, texts('x'));
    const oldMs = Date.now() - 31 * DAY_MS;
    // As it is when nobody swept for long.
    await server.cli('DEL', key);
    await server.cli('XADD', key, `${oldMs}-0`, 'data', 'x', 'p', '0-0', 'n', '1');
    await server.cli('HSET', `{${key}}:meta`, 'tip', `${oldMs}-0`, 'n', '1');
    assert.ok((await namesOf(log)).includes(channel));
    assert.ok((await swept(log)).forgotten >= 1);
    assert.equal(await server.cli('EXISTS', key, `{${key}}:meta`), '0');
    assert.equal(await server.cli('ZSCORE', REGISTRY, channel), '');
  });
});

describe('left alone', () => {
  test('are streams that Rivercast never wrote to, though they bear the names of channels', async (t) => {
    const retention = (): typeof DEFAULT_RETENTION => ({ ...DEFAULT_RETENTION, maxEntries: 1, maxAgeMs: 1 });
    const log = await openLog(t, server.url, { retention });
    const [foreign, other] = [ownChannel(), ownChannel()];
    for (let i = 0; i < 300; i++) await server.cli('XADD', foreign.key, `${i + 1}-0`, 'message', 'hi');
    await server.cli('SET', other.key, 'no stream');
    await server.cli('ZADD', REGISTRY, '0', foreign.channel, '0', other.channel);
    await swept(log);
    assert.equal(await server.cli('XLEN', foreign.key), '300');
    assert.equal(await server.cli('PTTL', foreign.key), '-1');
    assert.equal(await server.cli('GET', other.key), 'no stream');
    assert.equal((await log.read(foreign.channel, START, LIMITS)).entries.length, 300);
    assert.ok(!(await namesOf(log)).includes(other.channel), 'what is no stream is not listed');
    await server.cli('DEL', foreign.key, other.key);
  });
});

describe('the list of names', () => {
  test('gets a channel although it could not be written at first, and the append does not wait', async (t) => {
    await using own = await RedisServer.start();
    const log = await openLog(t, own.url);
    await own.cli('SET', REGISTRY, 'in the way');
    await log.append('a', texts('x'));
    await assert.rejects(namesOf(log), /WRONGTYPE/);
    await own.cli('DEL', REGISTRY);
    await until('it is noted', async () => (await own.cli('ZSCORE', REGISTRY, 'a')) === '0');
    await log.close();
  });

  test('gets back a channel whose history was lost, with its next message', async (t) => {
    await using own = await RedisServer.start();
    const log = await openLog(t, own.url);
    await log.append('a', texts('x'));
    await until('it is noted', async () => (await own.cli('ZSCORE', REGISTRY, 'a')) === '0');
    await own.cli('FLUSHALL');
    await log.append('a', texts('y'));
    await until('it is noted again', async () => (await own.cli('ZSCORE', REGISTRY, 'a')) === '0');
    await log.close();
  });

  test('gets the default channel back by the sweep, which keeps what others add to it, and the rest with their next message', async (t) => {
    await using own = await RedisServer.start();
    const killed = await openLog(t, own.url);
    for (const channel of ['local-q', 'a']) await killed.append(channel, texts('x'));
    await killed.close();
    // As if it had been killed before it noted them.
    await own.cli('DEL', REGISTRY);
    const soonMs = Date.now() + 60_000;
    for (const key of ['local-q', '{local-q}:meta']) await own.cli('PEXPIREAT', key, `${soonMs}`);
    await own.cli('XADD', 'local-q', '*', 'message', 'hi');
    const log: RedisLog = await openLog(t, own.url);
    assert.deepEqual(await namesOf(log), []);
    await swept(log);
    assert.deepEqual(await namesOf(log), ['local-q']);
    assert.ok(Number(await own.cli('PEXPIRETIME', 'local-q')) > soonMs + 20 * DAY_MS);
    await log.append('a', texts('y'));
    assert.deepEqual(await namesOf(log), ['a', 'local-q']);
    await log.close();
  });
});

describe('the policy by which Redis evicts', () => {
  const cases = {
    'allkeys-lru': /^Redis may evict whole streams when/,
    'volatile-lru': /^Redis may evict whole streams, for they have a time to live, when/,
    'volatile-ttl': /for they have a time to live/,
    noeviction: null,
  };
  for (const [policy, told] of Object.entries(cases)) {
    test(`${policy} is ${told === null ? 'nothing to say' : 'warned of'}`, async (t) => {
      await using own = await RedisServer.start('--maxmemory', '100mb', '--maxmemory-policy', policy);
      const lines = await linesAtStart(t, own.url);
      if (told === null) return assert.deepEqual(lines, []);
      assert.equal(lines.length, 1);
      assert.match(lines[0] as string, told);
      return assert.match(lines[0] as string, /set maxmemory-policy noeviction \{"policy":"[a-z-]+",/);
    });
  }

  test('does not matter while memory is not bounded', async (t) => {
    await using own = await RedisServer.start('--maxmemory-policy', 'allkeys-lru');
    assert.deepEqual(await linesAtStart(t, own.url), []);
  });

  test('that may not be asked for is no reason not to start', async (t) => {
    await using own = await RedisServer.start('--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru');
    await own.cli('ACL', 'SETUSER', 'default', '-info');
    const lines = await linesAtStart(t, own.url);
    assert.equal(lines.length, 1);
    assert.match(lines[0] as string, /^info: whether Redis may evict/);
  });
});

async function linesAtStart(t: { after(close: () => Promise<void>): void }, url: string): Promise<string[]> {
  const lines: string[] = [];
  const take = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const info = (fields: object, message: string): void => take(fields, `info: ${message}`);
  const log = await openLog(t, url, { logger: { info, warn: take, error: take } });
  await log.close();
  return lines;
}
