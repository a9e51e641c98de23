/** Idempotency keys in Redis: several managers, crashes, lost replies, and memory that is given back. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { AppendResult, NewEntry } from '../../src/log/log.ts';
import type { RedisLog } from '../../src/log/redis.ts';
import { LIMITS, openLog, ownChannel, payloads, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/within.ts';

const KILLS = 5;
const SHORT = { connectMs: 300, appendMs: 300, readMs: 300, probeMs: 200, checkMs: 300 };

let server: RedisServer;

before(async () => {
  server = await RedisServer.start();
});

after(async () => {
  await server[Symbol.asyncDispose]();
});

function keyed(...keys: string[]): NewEntry[] {
  return keys.map((key) => ({ type: 'text', data: Buffer.from(key), key }));
}

function numberedKeys(count: number, prefix = 'key'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix} ${i}`);
}

function duplicatesOf(results: readonly AppendResult[]): AppendResult[] {
  return results.map(({ id }) => ({ id, duplicate: true }));
}

async function stored(log: RedisLog, channel: string): Promise<string[]> {
  const page = await log.read(channel, START, { ...LIMITS, maxEntries: 100_000 });
  assert.deepEqual(page.gaps, []);
  return payloads(page);
}

async function generationsOf(redis: RedisServer, key: string): Promise<string[]> {
  const found = await redis.cli('KEYS', `{${key}}:keys:*`);
  return found === '' ? [] : found.split('\n');
}

async function statistic(redis: RedisServer, section: string, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await redis.cli('INFO', section))?.[1] ?? 0);
}

describe('keys are known', () => {
  test('to every manager, also when several publish the same at once', async (t) => {
    const { channel } = ownChannel();
    const logs = [await openLog(t, server.url), await openLog(t, server.url)];
    const keys = numberedKeys(1000);
    const publish = async (log: RedisLog): Promise<AppendResult[]> => {
      const results: AppendResult[] = [];
      for (let i = 0; i < keys.length; i += 50) {
        results.push(...(await log.append(channel, keyed(...keys.slice(i, i + 50)))));
      }
      return results;
    };
    const [a, b] = (await Promise.all(logs.map(publish))) as [AppendResult[], AppendResult[]];
    for (const [i, key] of keys.entries()) {
      assert.equal(a[i]?.id, b[i]?.id, key);
      assert.notEqual(a[i]?.duplicate, b[i]?.duplicate, key);
    }
    assert.deepEqual(await stored(logs[0] as RedisLog, channel), keys);
  });

  test('to a batch that is sent again because its reply was lost: it is answered as it was', async (t) => {
    await using proxy = await TcpProxy.start(server.port);
    const { channel, key } = ownChannel();
    const log = await openLog(t, `redis://127.0.0.1:${proxy.port}`, { deadlines: SHORT });
    const [a] = await log.append(channel, keyed('a'));
    proxy.drop('down');
    const appended = log.append(channel, [...keyed('b', 'a', 'b'), ...texts('plain'), ...keyed('c')]);
    await until('it is stored', async () => (await server.cli('XLEN', key)) === '4');
    proxy.cut();
    proxy.heal();
    const results = await appended;
    assert.deepEqual(
      results.map(({ duplicate }) => duplicate),
      [false, true, true, false, false],
    );
    assert.deepEqual([results[1]?.id, results[2]?.id], [a?.id, results[0]?.id]);
    assert.deepEqual(await stored(log, channel), ['a', 'b', 'plain', 'c']);
    // And one of duplicates alone, which adds nothing by which it could be known.
    proxy.drop('down');
    const [batch] = (await server.cli('KEYS', `{${key}}:batch:*`)).split('\n') as [string];
    const recorded = await server.cli('GET', batch);
    const again = log.append(channel, keyed('c', 'b'));
    await until('it is recorded', async () => (await server.cli('GET', batch)) !== recorded);
    proxy.cut();
    proxy.heal();
    assert.deepEqual(await again, duplicatesOf([results[4], results[0]] as AppendResult[]));
    await log.close();
  });

  test('where a foreign id left so little room that ids do not count on', async (t) => {
    const { channel, key } = ownChannel();
    const log = await openLog(t, server.url);
    await server.cli('XADD', key, '99999999999999-18446744073709551613', 'm', 'foreign');
    const [a] = await log.append(channel, keyed('a'));
    const results = await log.append(channel, [...keyed('b', 'a'), ...texts('plain'), ...keyed('b')]);
    assert.deepEqual(
      results.map(({ id, duplicate }) => [id, duplicate]),
      [
        ['99999999999999-18446744073709551615', false],
        [a?.id, true],
        ['100000000000000-0', false],
        ['99999999999999-18446744073709551615', true],
      ],
    );
  });

  test('in a channel of a version that knew none, whose history goes on', async (t) => {
    const { channel, key } = ownChannel();
    const log = await openLog(t, server.url);
    await log.append(channel, texts('old'));
    assert.equal(await server.cli('HGET', `{${key}}:meta`, 'keys'), '');
    const { epoch } = await log.bounds(channel);
    const firsts = await log.append(channel, keyed('a', 'b'));
    assert.deepEqual(await log.append(channel, keyed('a', 'b')), duplicatesOf(firsts));
    assert.equal((await log.bounds(channel)).epoch, epoch);
  });

  test('after kill -9 of Redis: what was published before is stored once, however often it is tried', async (t) => {
    await using durable = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always');
    const channel = 'local-q';
    const log = await openLog(t, durable.url);
    const published = new Map<string, string>();
    let count = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const killed = new AbortController();
      const publishing = (async (): Promise<void> => {
        while (!killed.signal.aborted) {
          const keys = Array.from({ length: 1 + (count % 40) }, () => `key ${count++}`);
          const results = await log.append(channel, keyed(...keys));
          for (const [i, { id }] of results.entries()) published.set(keys[i] as string, id);
        }
      })();
      const enough = published.size + 200;
      await until('more is published', () => published.size >= enough);
      await durable.kill();
      killed.abort();
      await durable.mendAppendOnlyFile();
      await durable.restart();
      await publishing;
    }
    // A manager that knows nothing of all this is asked for the same.
    const other = await openLog(t, durable.url);
    const keys = [...published.keys()];
    const results = await other.append(channel, keyed(...keys));
    assert.deepEqual(results, duplicatesOf([...published.values()].map((id) => ({ id, duplicate: false }))));
    const { entries } = await other.read(channel, START, { maxEntries: 1e6, maxBytes: 1e9 });
    const texts = entries.map(({ data }) => data.toString());
    assert.equal(new Set(texts).size, texts.length, 'nothing is stored twice');
    assert.deepEqual(texts, keys);
    await log.close();
    await other.close();
  });

  test('by a server that may write alone: one that became a replica does not answer for others', async (t) => {
    await using replica = await RedisServer.start();
    const log = await openLog(t, replica.url);
    const firsts = await log.append('local-q', keyed('a'));
    await replica.cli('REPLICAOF', '127.0.0.1', '1');
    const again = log.append('local-q', keyed('a'));
    const failure = (): Promise<string> => log.probe().then(String, (error: Error) => error.message);
    await until('the probe says why', async () => (await failure()).includes('READONLY'));
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    assert.deepEqual(await again, duplicatesOf(firsts));
    await log.close();
  });
});

describe('the memory of keys', () => {
  test('is given back by UNLINK once the window is over, though nothing else comes', async (t) => {
    await using own = await RedisServer.start();
    const idempotency = { windowMs: 2000, maxKeys: 1_000_000 };
    const log = await openLog(t, own.url, { idempotency });
    const memory = (): Promise<number> => statistic(own, 'memory', /used_memory_dataset:(\d+)/);
    await log.append('local-q', texts('x'));
    const before = await memory();
    for (let i = 0; i < 10; i++) {
      const keys = numberedKeys(2000, `${i} ${'k'.repeat(80)}`);
      await log.append(
        'local-q',
        keys.map((key) => ({ type: 'text', data: Buffer.alloc(0), key })),
      );
    }
    assert.notDeepEqual(await generationsOf(own, 'local-q'), []);
    await own.cli('XTRIM', 'local-q', 'MAXLEN', '1');
    assert.ok((await memory()) - before > 2_000_000, 'keys take memory');
    await until('no generation is left', async () => (await generationsOf(own, 'local-q')).length === 0);
    await until('the memory is free', async () => (await memory()) - before < 300_000);
    assert.equal(await own.cli('HGET', '{local-q}:meta', 'keys'), '');
    assert.equal(await statistic(own, 'stats', /expired_keys:(\d+)/), 0);
    assert.ok((await statistic(own, 'memory', /lazyfreed_objects:(\d+)/)) > 0);
    await log.close();
  });

  test('is given back by Redis itself when the manager is gone, before two windows are over', async (t) => {
    const { channel, key } = ownChannel();
    const log = await openLog(t, server.url, { idempotency: { windowMs: 1000, maxKeys: 1000 } });
    await log.append(channel, keyed('a', 'b'));
    await log.close();
    const [name] = (await generationsOf(server, key)) as [string];
    const left = Number(await server.cli('PTTL', name));
    assert.ok(left > 0 && left <= 1500, `${left} ms are left`);
    await until('it is gone', async () => (await server.cli('EXISTS', name)) === '0');
  });

  test('is bounded where too many come: a warning is logged, once', async (t) => {
    const { channel, key } = ownChannel();
    const lines: { fields: object; message: string }[] = [];
    const line = (fields: object, message: string): void => void lines.push({ fields, message });
    const logger = { info: line, warn: line, error: line };
    const idempotency = { windowMs: 3_600_000, maxKeys: 1000 };
    const log = await openLog(t, server.url, { idempotency, logger });
    for (let i = 0; i < 100; i++) await log.append(channel, keyed(...numberedKeys(100, `${i}`)));
    let kept = 0;
    const names = await generationsOf(server, key);
    for (const name of names) kept += Number(await server.cli('HLEN', name));
    assert.ok(kept >= 1000 && kept <= 2000, `${kept} keys are kept`);
    assert.equal((await server.cli('HGET', `{${key}}:meta`, 'keys')).split(' ').length, names.length);
    const warnings = lines.filter(({ message }) => message.includes('forgotten early'));
    assert.deepEqual(
      warnings.map(({ fields }) => fields),
      [{ channel, ...idempotency }],
    );
  });

  test('stays bounded when the clock of Redis seems to be set back', async (t) => {
    const { channel, key } = ownChannel();
    const log = await openLog(t, server.url, { idempotency: { windowMs: 60_000, maxKeys: 1000 } });
    const firsts = await log.append(channel, keyed('a'));
    // To Redis' clock a generation that began in an hour is what a clock set back by an hour leaves.
    const [name] = (await generationsOf(server, key)) as [string];
    const later = Date.now() + 3_600_000;
    await server.cli('RENAME', name, `{${key}}:keys:${later}`);
    await server.cli('HSET', `{${key}}:meta`, 'keys', `${later}`);
    const seconds = await log.append(channel, keyed('b'));
    for (let i = 0; i < 5; i++) await log.append(channel, keyed(`c${i}`));
    assert.deepEqual(await log.append(channel, keyed('a', 'b')), duplicatesOf([...firsts, ...seconds]));
    assert.equal((await generationsOf(server, key)).length, 2);
  });

  test('is nothing for entries without keys', async (t) => {
    const { channel, key } = ownChannel();
    const log = await openLog(t, server.url);
    for (let i = 0; i < 10; i++) await log.append(channel, texts('a', 'b'));
    assert.deepEqual(await generationsOf(server, key), []);
    assert.equal(await server.cli('HEXISTS', `{${key}}:meta`, 'keys'), '0');
  });
});
