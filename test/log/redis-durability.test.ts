/**
 * DURABILITY: what an acknowledgement is worth. `replicated` over a real primary and its replica, `fsync` over
 * the installed Redis, which has to be told `appendfsync always` as it is older than WAITAOF. WAITAOF itself is
 * played by a scripted server, which proves what we send and make of the answers, not what Redis does then.
 */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Durability } from '../../src/config/shape.ts';
import { StartError } from '../../src/errors.ts';
import type { AppendResult, NewEntry } from '../../src/log/log.ts';
import type { RedisLog } from '../../src/log/redis.ts';
import { openLog, payloads, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { list, ScriptedRedis } from '../support/scripted-redis.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/within.ts';

const CHANNEL = 'local-q';
const REPLICATED: Durability = { level: 'replicated', replicas: 1, timeoutMs: 10_000 };
const FSYNC: Durability = { level: 'fsync', replicas: 1, timeoutMs: 10_000 };
const ALL = { maxEntries: 1e6, maxBytes: 1e9 };
const ALWAYS = ['--appendonly', 'yes', '--appendfsync', 'always'];

function keyed(key: string): NewEntry[] {
  return [{ type: 'text', data: Buffer.from(key), key }];
}

async function callsOf(server: RedisServer, command: string): Promise<number> {
  const stats = await server.cli('INFO', 'commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

/** A full copy begins at once instead of waiting for more replicas to come. */
const AT_ONCE = ['--repl-diskless-sync-delay', '0'];

async function startPrimary(): Promise<RedisServer> {
  return RedisServer.start(...AT_ONCE);
}

async function startReplica(primary: RedisServer): Promise<RedisServer> {
  const replica = await RedisServer.start('--replicaof', `127.0.0.1 ${primary.port}`, ...AT_ONCE);
  await until('the replica follows', async () =>
    (await primary.cli('INFO', 'replication')).includes('state=online'),
  );
  return replica;
}

async function probeFailure(log: RedisLog): Promise<string> {
  return log.probe().then(
    () => '',
    (error: Error) => error.message,
  );
}

describe('replicated', () => {
  test('what is acknowledged is on the replica already', async (t) => {
    await using primary = await startPrimary();
    await using replica = await startReplica(primary);
    const log = await openLog(t, primary.url, { durability: REPLICATED });
    for (let i = 1; i <= 30; i++) {
      await log.append(CHANNEL, texts(`${i}`));
      assert.equal(await replica.cli('XLEN', CHANNEL), `${i}`);
    }
    await log.close();
  });

  test('a replica that stands still is told in time; a retry with the key is no second message', async (t) => {
    await using primary = await startPrimary();
    await using replica = await startReplica(primary);
    const durability = { ...REPLICATED, timeoutMs: 300 };
    const log = await openLog(t, primary.url, { durability });
    replica.pause();
    const started = performance.now();
    const isLate = { code: 'not_replicated', message: /0 of 1 replicas/ };
    await assert.rejects(log.append(CHANNEL, keyed('k')), isLate);
    assert.ok(performance.now() - started < 3000);
    assert.equal(await primary.cli('XLEN', CHANNEL), '1');
    // A duplicate is not acknowledged either before its first is safe.
    await assert.rejects(log.append(CHANNEL, keyed('k')), isLate);
    assert.equal(await probeFailure(log), '');
    replica.resume();
    const again = (): Promise<AppendResult[] | null> => log.append(CHANNEL, keyed('k')).catch(() => null);
    let results: AppendResult[] | null = null;
    await until('it is replicated', async () => {
      results = await again();
      return results !== null;
    });
    const id = (await log.bounds(CHANNEL)).tip;
    assert.deepEqual(results, [{ id, duplicate: true }]);
    assert.equal(await replica.cli('XLEN', CHANNEL), '1');
    await log.close();
  });

  test('an append that is sent again on a new connection is confirmed like the first try', async (t) => {
    await using primary = await startPrimary();
    await using replica = await startReplica(primary);
    await using proxy = await TcpProxy.start(primary.port);
    const durability = { ...REPLICATED, timeoutMs: 300 };
    const log = await openLog(t, `redis://127.0.0.1:${proxy.port}`, { durability });
    // It opens the connection; a replica that has only just come may be late for it.
    await log.append('another', texts('x')).catch(() => undefined);
    replica.pause();
    proxy.drop('down');
    const appended = assert.rejects(log.append(CHANNEL, texts('a')), { code: 'not_replicated' });
    await until('it is stored', async () => (await primary.cli('XLEN', CHANNEL)) === '1');
    proxy.cut();
    proxy.heal();
    await appended;
    assert.equal(await primary.cli('XLEN', CHANNEL), '1');
    await log.close();
  });

  test('one WAIT confirms all that was appended meanwhile, to whatever channel', async (t) => {
    await using primary = await startPrimary();
    await using replica = await startReplica(primary);
    const log = await openLog(t, primary.url, { durability: REPLICATED });
    await log.append(CHANNEL, texts('opens the connection'));
    const before = await callsOf(primary, 'wait');
    const append = (name: string): Promise<AppendResult[]>[] =>
      Array.from({ length: 30 }, (_, i) => log.append(`${name}.${i}`, texts('x')));
    await Promise.all(append('a'));
    assert.equal(await callsOf(primary, 'wait'), before + 1);
    replica.pause();
    const held = append('b');
    await until('the first are stored', async () => (await primary.cli('XLEN', 'local-q:b.29')) === '1');
    const gathered = append('c');
    replica.resume();
    await Promise.all([...held, ...gathered]);
    assert.equal(await callsOf(primary, 'wait'), before + 3);
    await log.close();
  });

  test('a channel that is refused, or a server without the scripts, holds nobody up', async (t) => {
    await using primary = await startPrimary();
    await using replica = await startReplica(primary);
    const log = await openLog(t, primary.url, { durability: REPLICATED });
    await log.append(CHANNEL, texts('a'));
    await primary.cli('SCRIPT', 'FLUSH');
    await primary.cli('SET', 'local-q:odd', 'not a stream');
    const odd = log.append('odd', texts('b'));
    const others = await Promise.all(['c', 'd', 'e'].map((channel) => log.append(channel, texts(channel))));
    assert.equal(others.length, 3);
    await primary.cli('DEL', 'local-q:odd');
    await odd;
    assert.deepEqual(payloads(await log.read('odd', START, ALL)), ['b']);
    assert.equal(await replica.cli('XLEN', 'local-q:odd'), '1');
    await log.close();
  });

  test('what is acknowledged outlives its primary, once and in order', async (t) => {
    await using primary = await startPrimary();
    await using replica = await startReplica(primary);
    await using proxy = await TcpProxy.start(primary.port);
    const url = `redis://127.0.0.1:${proxy.port}`;
    const log = await openLog(t, url, { durability: REPLICATED, deadlines: { appendMs: 1000 } });
    const acknowledged: string[] = [];
    const stop = new AbortController();
    const writing = (async (): Promise<void> => {
      for (let i = 0; !stop.signal.aborted; i++) {
        await log.append(CHANNEL, keyed(`${i}`));
        acknowledged.push(`${i}`);
      }
    })();
    await until('some are acknowledged', () => acknowledged.length >= 100);
    await primary.kill();
    const survived = acknowledged.length;
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    await using another = await startReplica(replica);
    proxy.retarget(replica.port);
    await until('it goes on', () => acknowledged.length >= survived + 20);
    stop.abort();
    await writing;
    assert.deepEqual(payloads(await log.read(CHANNEL, START, ALL)), acknowledged);
    assert.equal(await another.cli('XLEN', CHANNEL), `${acknowledged.length}`);
    await log.close();
  });

  test('is checked at the start: a user who may not WAIT is refused with what to do', async (t) => {
    await using server = await RedisServer.start();
    await server.cli('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-wait');
    const url = `redis://app:secret@127.0.0.1:${server.port}`;
    await assert.rejects(openLog(t, url, { durability: REPLICATED }), (error: Error) => {
      assert.ok(error instanceof StartError);
      assert.match(error.message, /DURABILITY="replicated".*the command WAIT/);
      return true;
    });
    await (await openLog(t, url)).close();
  });
});

test('memory: no confirmation is asked for', async (t) => {
  await using server = await RedisServer.start();
  const log = await openLog(t, server.url);
  await log.append(CHANNEL, texts('a'));
  assert.equal(await callsOf(server, 'wait'), 0);
  await log.close();
});

/** The installed Redis, when it has no WAITAOF. */
async function startOld(t: TestContext, ...args: string[]): Promise<RedisServer | null> {
  const server = await RedisServer.start(...args);
  t.after(() => server[Symbol.asyncDispose]());
  if ((await server.cli('COMMAND', 'INFO', 'waitaof')) === '') return server;
  t.skip('the installed Redis has WAITAOF');
  return null;
}

describe('fsync without WAITAOF', () => {
  const unfit = [
    [],
    ['--appendonly', 'yes', '--appendfsync', 'everysec'],
    ['--appendonly', 'yes', '--appendfsync', 'no'],
    [...ALWAYS, '--no-appendfsync-on-rewrite', 'yes'],
  ];
  for (const args of unfit) {
    test(`is refused at the start by a Redis with ${args.join(' ') || 'no append-only file'}`, async (t) => {
      const server = await startOld(t, ...args);
      if (server === null) return;
      await assert.rejects(openLog(t, server.url, { durability: FSYNC }), (error: Error) => {
        assert.ok(error instanceof StartError);
        assert.match(error.message, /^DURABILITY="fsync": .*appendonly yes, appendfsync always/);
        return true;
      });
    });
  }

  test('is refused when the settings may not be looked at', async (t) => {
    const server = await startOld(t, ...ALWAYS);
    if (server === null) return;
    await server.cli('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-config');
    const url = `redis://app:secret@127.0.0.1:${server.port}`;
    await assert.rejects(openLog(t, url, { durability: FSYNC }), (error: Error) => {
      assert.ok(error instanceof StartError);
      assert.match(error.message, /the command CONFIG/);
      return true;
    });
  });

  test('is refused by a Redis that was robbed of CONFIG', async (t) => {
    const server = await startOld(t, ...ALWAYS, '--rename-command', 'CONFIG', '');
    if (server === null) return;
    await assert.rejects(
      openLog(t, server.url, { durability: FSYNC }),
      /DURABILITY="fsync": .*the command CONFIG/,
    );
  });

  test('works with appendfsync always, and is checked on every connect', async (t) => {
    const server = await startOld(t, ...ALWAYS);
    if (server === null) return;
    const log = await openLog(t, server.url, { durability: FSYNC });
    await log.append(CHANNEL, texts('a'));
    await server.cli('CONFIG', 'SET', 'appendfsync', 'everysec');
    await server.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    const appended = log.append(CHANNEL, texts('b'));
    await until('the probe says why', async () => (await probeFailure(log)).includes('appendfsync everysec'));
    assert.equal(await server.cli('XLEN', CHANNEL), '1');
    await server.cli('CONFIG', 'SET', 'appendfsync', 'always');
    await appended;
    assert.equal(await probeFailure(log), '');
    await server.kill();
    await server.restart();
    assert.deepEqual(payloads(await log.read(CHANNEL, START, ALL)), ['a', 'b']);
    await log.close();
  });

  test('and behind every append: one under other settings is not acknowledged, and no later one is taken', async (t) => {
    const server = await startOld(t, ...ALWAYS);
    if (server === null) return;
    const log = await openLog(t, server.url, { durability: FSYNC });
    await log.append(CHANNEL, texts('a'));
    for (const [name, value, right] of [
      ['appendfsync', 'everysec', 'always'],
      ['appendonly', 'no', 'yes'],
    ] as const) {
      const before: number = Number(await server.cli('XLEN', CHANNEL));
      await server.cli('CONFIG', 'SET', name, value);
      await assert.rejects(log.append(CHANNEL, texts('late')), { code: 'not_synced' });
      const next = log.append(CHANNEL, texts('next'));
      await until('the probe says why', async () => (await probeFailure(log)).includes(`${name} ${value}`));
      assert.equal(await server.cli('XLEN', CHANNEL), `${before + 1}`);
      await server.cli('CONFIG', 'SET', name, right);
      await next;
      assert.equal(await probeFailure(log), '');
    }
    await log.close();
  });

  test('has to wait until the first file is whole, when appendonly was switched on just now', async (t) => {
    const server = await startOld(t, '--rdb-key-save-delay', '10000');
    if (server === null) return;
    await server.cli('EVAL', "for i = 1, 1000 do redis.call('SET', i, i) end", '0');
    await server.cli('CONFIG', 'SET', 'appendonly', 'yes', 'appendfsync', 'always');
    await assert.rejects(openLog(t, server.url, { durability: FSYNC }), /first append-only file/);
    await server.cli('CONFIG', 'SET', 'rdb-key-save-delay', '0');
    await server.cli('CONFIG', 'SET', 'appendonly', 'no');
    await server.cli('CONFIG', 'SET', 'appendonly', 'yes');
    await until('the file is whole', async () =>
      /^aof_base_size:[1-9]/m.test(await server.cli('INFO', 'persistence')),
    );
    const log = await openLog(t, server.url, { durability: FSYNC });
    assert.equal((await log.append(CHANNEL, texts('a'))).length, 1);
    await log.close();
  });

  test('need not be checked at the start when Redis is away: it is checked when it comes', async (t) => {
    const server = await startOld(t);
    if (server === null) return;
    await server.kill();
    const log = await openLog(t, server.url, { durability: FSYNC });
    const appended = log.append(CHANNEL, texts('a'));
    await server.restart();
    await until('the probe says why', async () => (await probeFailure(log)).includes('appendonly no'));
    await server.cli('CONFIG', 'SET', 'appendonly', 'yes', 'appendfsync', 'always');
    await appended;
    await log.close();
  });
});

describe('fsync with WAITAOF, on a scripted server', () => {
  const STORED = list(['1700000000000-0+1', 'epoch', 1, '', 0]);

  test('one follows each group of appends, and says whether it is on disk', async (t) => {
    const waits = [list([1, 0]), list([1, 0]), list([0, 0]), list([1, 0])];
    await using server = await ScriptedRedis.start(([name]) => {
      if (name === 'waitaof') return waits.shift() ?? null;
      if (name === 'evalsha') return STORED;
      return name === 'info' ? list([]) : null;
    });
    const log = await openLog(t, server.url, { durability: { ...FSYNC, timeoutMs: 1234 } });
    await Promise.all(['a', 'b', 'c'].map((channel) => log.append(channel, texts('x'))));
    await assert.rejects(log.append('d', texts('x')), { code: 'not_synced' });
    assert.deepEqual(await log.append('d', texts('x')), [{ id: '1700000000000-0', duplicate: false }]);
    const appends = server.asked.filter(([name]) => name === 'waitaof' || name === 'evalsha');
    const sent = appends.map((command) => (command[0] === 'waitaof' ? command.join(' ') : command[0]));
    const wait = 'waitaof 1 0 1234';
    assert.deepEqual(sent, [
      'waitaof 1 0 1',
      ...['evalsha', 'evalsha', 'evalsha', wait],
      ...['evalsha', wait],
      ...['evalsha', wait],
    ]);
    await log.close();
  });

  test('an append is not acknowledged before the answer is there', async (t) => {
    let confirm: (reply: string) => void = () => undefined;
    let asked = 0;
    await using server = await ScriptedRedis.start(([name]) => {
      if (name === 'evalsha') return STORED;
      if (name !== 'waitaof') return null;
      asked += 1;
      return asked === 1
        ? list([0, 0])
        : new Promise((resolve) => {
            confirm = resolve;
          });
    });
    const log = await openLog(t, server.url, { durability: FSYNC });
    let isAcknowledged = false;
    const appended = log.append('a', texts('x')).then(() => {
      isAcknowledged = true;
    });
    await until('it is asked', () => asked === 2);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isAcknowledged, false);
    confirm(list([1, 0]));
    await appended;
    await log.close();
  });

  test('an append-only file that is switched off is refused at the start, and waited for later', async (t) => {
    const off = '-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n';
    let isOn = true;
    await using server = await ScriptedRedis.start(([name]) => {
      if (name === 'waitaof') return isOn ? list([1, 0]) : off;
      return name === 'evalsha' ? STORED : null;
    });
    const log = await openLog(t, server.url, { durability: FSYNC });
    isOn = false;
    const isRefused = (error: Error): boolean =>
      error instanceof StartError && /DURABILITY="fsync": .*appendonly yes/.test(error.message);
    await assert.rejects(openLog(t, server.url, { durability: FSYNC }), isRefused);
    const appended = log.append('a', texts('x'));
    await until('the probe says why', async () =>
      (await probeFailure(log)).includes('appendonly is disabled'),
    );
    isOn = true;
    await appended;
    await log.close();
  });
});
