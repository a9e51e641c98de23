import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { RedisLog } from '../../src/log/redis.ts';
import { LIMITS, next, openLog, payloads, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/within.ts';

const CHANNEL = 'local-q';
const UNAVAILABLE = { code: 'log_unavailable' };

describe('an append', () => {
  for (const fault of ['cut', 'swallowed'] as const) {
    test(`whose reply is ${fault} is sent again and stored once`, async (t) => {
      await using server = await RedisServer.start();
      await using proxy = await TcpProxy.start(server.port);
      const log = await openThrough(t, proxy);
      await log.append(CHANNEL, texts('a'));
      // Redis stores the batch; its reply never arrives.
      proxy.drop('down');
      const appended = log.append(CHANNEL, texts('b', 'c'));
      await untilLength(server, 3);
      if (fault === 'cut') proxy.cut();
      proxy.heal();
      const ids = (await appended).map(({ id }) => id);
      await log.append(CHANNEL, texts('d'));
      const page = await log.read(CHANNEL, START, LIMITS);
      assert.deepEqual(payloads(page), ['a', 'b', 'c', 'd']);
      assert.deepEqual(
        page.entries.slice(1, 3).map((entry) => entry.id),
        ids,
      );
      await log.close();
    });
  }

  test('that began an epoch, and whose reply was lost, has used that epoch up', async (t) => {
    await using server = await RedisServer.start();
    await using proxy = await TcpProxy.start(server.port);
    const log = await openThrough(t, proxy);
    await log.append('another', texts('opens the connection'));
    proxy.drop('down');
    const appended = log.append(CHANNEL, texts('a', 'b'));
    await untilLength(server, 2);
    const first = await server.cli('HGET', '{local-q}:meta', 'epoch');
    proxy.cut();
    proxy.heal();
    await appended;
    await server.cli('DEL', CHANNEL);
    await log.append(CHANNEL, texts('c'));
    const second = await server.cli('HGET', '{local-q}:meta', 'epoch');
    assert.notEqual(second, first);
    // Nor is one used twice when the reply came.
    await server.cli('DEL', CHANNEL);
    await log.append(CHANNEL, texts('d'));
    const third = await server.cli('HGET', '{local-q}:meta', 'epoch');
    assert.equal(new Set([first, second, third]).size, 3);
    await log.close();
  });

  test('that never reaches Redis is sent again, for all channels in flight', async (t) => {
    await using server = await RedisServer.start();
    await using proxy = await TcpProxy.start(server.port);
    const log = await openThrough(t, proxy);
    await log.append(CHANNEL, texts('a'));
    proxy.drop('up');
    const channels = Array.from({ length: 20 }, (_, i) => `c${i}`);
    const appends = channels.map((channel) => log.append(channel, texts(channel)));
    await assert.rejects(log.bounds(CHANNEL), UNAVAILABLE);
    proxy.heal();
    await Promise.all(appends);
    for (const channel of channels) {
      assert.deepEqual(payloads(await log.read(channel, START, LIMITS)), [channel]);
    }
    await log.close();
  });

  test('waits for a Redis that is stopped for longer than its deadline, and is stored once', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url, { deadlines: SHORT });
    await log.append(CHANNEL, texts('a'));
    const { end } = await next(log, CHANNEL, START);
    server.pause();
    const appended = log.append(CHANNEL, texts('b'));
    const waiting = next(log, CHANNEL, end);
    await assert.rejects(log.probe(), UNAVAILABLE);
    // Three deadlines pass: at least two tries lie unread in Redis' sockets.
    await new Promise((resolve) => setTimeout(resolve, 3 * SHORT.appendMs));
    await assert.rejects(log.read(CHANNEL, START, LIMITS), UNAVAILABLE);
    server.resume();
    await appended;
    assert.deepEqual(payloads(await waiting), ['b']);
    assert.deepEqual(payloads(await log.read(CHANNEL, START, LIMITS)), ['a', 'b']);
    await log.probe();
    await log.close();
  });

  test('to a key of another type stays pending, the probe says why, and DEL lets it through', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url);
    await server.cli('SET', CHANNEL, 'not a stream');
    const appended = log.append(CHANNEL, texts('a'));
    await untilProbe(log, /WRONGTYPE/);
    await assert.rejects(log.read(CHANNEL, START, LIMITS), UNAVAILABLE);
    await server.cli('DEL', CHANNEL);
    await appended;
    await log.probe();
    assert.deepEqual(payloads(await log.read(CHANNEL, START, LIMITS)), ['a']);
    await log.close();
  });

  test('to a full Redis stays pending, stores nothing, and goes on when there is room', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url);
    await log.append(CHANNEL, texts('a'));
    await server.cli('CONFIG', 'SET', 'maxmemory', '1');
    const appended = log.append(CHANNEL, texts('b', 'c'));
    await untilProbe(log, /OOM/);
    assert.equal((await log.bounds(CHANNEL)).length, 1);
    await server.cli('CONFIG', 'SET', 'maxmemory', '0');
    await appended;
    assert.deepEqual(payloads(await log.read(CHANNEL, START, LIMITS)), ['a', 'b', 'c']);
    await log.close();
  });

  test('to a replica stays pending until it is the primary', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url);
    await log.append(CHANNEL, texts('a'));
    // The replica of nobody: its primary does not exist.
    await server.cli('REPLICAOF', '127.0.0.1', '1');
    const appended = log.append(CHANNEL, texts('b'));
    await untilProbe(log, /READONLY/);
    await server.cli('REPLICAOF', 'NO', 'ONE');
    await appended;
    assert.deepEqual(payloads(await log.read(CHANNEL, START, LIMITS)), ['a', 'b']);
    await log.close();
  });

  test('in flight when the log closes is rejected, and nothing keeps the process alive', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url, { deadlines: { ...SHORT, closeMs: 50 } });
    await log.append(CHANNEL, texts('a'));
    server.pause();
    const appended = assert.rejects(log.append(CHANNEL, texts('b')), UNAVAILABLE);
    const waiting = assert.rejects(next(log, CHANNEL, START), UNAVAILABLE);
    await log.close();
    await appended;
    await waiting;
    await assert.rejects(log.append(CHANNEL, texts('c')), UNAVAILABLE);
    await log.close();
    server.resume();
  });
});

describe('a Redis that comes and goes', () => {
  test('need not be up at the start: what is asked of it waits, or fails in bounded time', async (t) => {
    await using server = await RedisServer.reserve();
    const log = await openLog(t, server.url);
    const appended = log.append(CHANNEL, texts('a'));
    const waiting = next(log, CHANNEL, START);
    await assert.rejects(log.probe(), UNAVAILABLE);
    const started = performance.now();
    await assert.rejects(log.read(CHANNEL, START, LIMITS), UNAVAILABLE);
    assert.ok(performance.now() - started < 2100);
    await server.restart();
    const up = performance.now();
    await appended;
    assert.deepEqual(payloads(await waiting), ['a']);
    await log.probe();
    assert.ok(performance.now() - up < 2000);
    await log.close();
  });

  test('is followed over a restart without a loss, and asked about once a second at most', async (t) => {
    await using server = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always');
    const lines: string[] = [];
    const logger = { info: line, warn: line, error: line };
    function line(_fields: object, message: string): void {
      lines.push(message);
    }
    const log = await openLog(t, server.url, { logger });
    await log.append(CHANNEL, texts('a', 'b'));
    let { end } = await next(log, CHANNEL, START);
    await server.kill();
    const appended = log.append(CHANNEL, texts('c'));
    const waiting = next(log, CHANNEL, end);
    await assert.rejects(log.read(CHANNEL, START, LIMITS), UNAVAILABLE);
    await server.restart();
    await appended;
    const page = await waiting;
    assert.deepEqual([payloads(page), page.gaps], [['c'], []]);
    assert.equal(page.epoch, end.epoch);
    end = page.end;
    await log.append(CHANNEL, texts('d'));
    assert.deepEqual(payloads(await next(log, CHANNEL, end)), ['d']);
    assert.ok(lines.length <= 6, lines.join('\n'));
    await log.close();
  });

  test('and lost everything is a reset for a reader, and for a cursor that comes back', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url);
    await log.append(CHANNEL, texts('a', 'b'));
    const { end } = await next(log, CHANNEL, START);
    const waiting = next(log, CHANNEL, end);
    await server.kill();
    await server.restart();
    const reset = await waiting;
    assert.equal(reset.gaps[0]?.gap.reason, 'reset');
    await log.append(CHANNEL, texts('c'));
    assert.deepEqual(payloads(await next(log, CHANNEL, reset.end)), ['c']);
    const resumed = await log.read(CHANNEL, end, LIMITS);
    assert.equal(resumed.gaps[0]?.gap.reason, 'reset');
    const rest = await log.read(CHANNEL, resumed.end, LIMITS);
    assert.deepEqual([...payloads(resumed), ...payloads(rest)], ['c']);
    await log.close();
  });

  test('and lost its tail begins a new epoch with the first append, whoever makes it', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url);
    const other = await openLog(t, server.url);
    const ids = (await log.append(CHANNEL, texts('a', 'b', 'c'))).map(({ id }) => id);
    const { end } = await next(log, CHANNEL, START);
    const loseTail = `
      local all = redis.call('XRANGE', KEYS[1], '-', '+')
      redis.call('DEL', KEYS[1])
      redis.call('XADD', KEYS[1], all[1][1], unpack(all[1][2]))`;
    await server.cli('EVAL', loseTail, '1', CHANNEL);
    await other.append(CHANNEL, texts('d'));
    const reset = await next(log, CHANNEL, end);
    assert.equal(reset.gaps[0]?.gap.reason, 'reset');
    assert.equal(reset.gaps[0]?.gap.resumeAt.id, ids[0]);
    const page = reset.entries.length > 0 ? reset : await next(log, CHANNEL, reset.end);
    assert.deepEqual(payloads(page), ['d']);
    await log.close();
    await other.close();
  });

  test('and fails over to a replica that lacks the tail: readers are told, and go on with the new one', async (t) => {
    await using primary = await RedisServer.start('--repl-diskless-sync-delay', '0');
    await using replica = await RedisServer.start('--replicaof', `127.0.0.1 ${primary.port}`);
    await using proxy = await TcpProxy.start(primary.port);
    const log = await openThrough(t, proxy);
    await log.append(CHANNEL, texts('a', 'b'));
    await untilLength(replica, 2);
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    await log.append(CHANNEL, texts('lost1', 'lost2'));
    const { end, entries } = await next(log, CHANNEL, START);
    assert.equal(entries.length, 4);
    const waiting = next(log, CHANNEL, end);
    proxy.retarget(replica.port);
    await primary.kill();
    const reset = await waiting;
    assert.equal(reset.gaps[0]?.gap.reason, 'reset');
    assert.equal(reset.gaps[0]?.gap.resumeAt.id, entries[1]?.id);
    await log.append(CHANNEL, texts('c'));
    const page = await next(log, CHANNEL, reset.end);
    assert.deepEqual(payloads(page), ['c']);
    assert.notEqual(page.epoch, end.epoch);
    // One who was away meanwhile learns it too.
    const resumed = await log.read(CHANNEL, end, LIMITS);
    assert.equal(resumed.gaps[0]?.gap.reason, 'reset');
    await log.close();
  });

  test('and fails over while only a writer is connected: the next append begins a new epoch', async (t) => {
    await using primary = await RedisServer.start('--repl-diskless-sync-delay', '0');
    await using replica = await RedisServer.start('--replicaof', `127.0.0.1 ${primary.port}`);
    await using proxy = await TcpProxy.start(primary.port);
    const log = await openThrough(t, proxy);
    await log.append(CHANNEL, texts('a', 'b'));
    await untilLength(replica, 2);
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    await log.append(CHANNEL, texts('lost'));
    const before = await primary.cli('HGET', '{local-q}:meta', 'epoch');
    proxy.retarget(replica.port);
    await primary.kill();
    await log.append(CHANNEL, texts('c'));
    assert.notEqual(await replica.cli('HGET', '{local-q}:meta', 'epoch'), before);
    assert.deepEqual(payloads(await log.read(CHANNEL, START, LIMITS)), ['a', 'b', 'c']);
    await log.close();
  });

  test('costs next to nothing while nothing comes', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url, { deadlines: { checkMs: 500 } });
    await log.append(CHANNEL, texts('a'));
    const { end } = await next(log, CHANNEL, START);
    const abort = new AbortController();
    const waiting = log.wait(new Map([[CHANNEL, end]]), LIMITS, abort.signal);
    const before = await commands(server);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const ran = (await commands(server)) - before;
    // Four checks, each two looks, two reads and the XREAD after it; scripts' inner commands count too.
    assert.ok(ran < 100, `${ran} commands in 2 s`);
    abort.abort();
    await waiting;
    await log.close();
  });

  test('behind a network that goes silent is given up in time and followed again', async (t) => {
    await using server = await RedisServer.start();
    await using proxy = await TcpProxy.start(server.port);
    const log = await openThrough(t, proxy);
    await log.append(CHANNEL, texts('a'));
    const { end } = await next(log, CHANNEL, START);
    const waiting = next(log, CHANNEL, end);
    proxy.drop('up');
    proxy.drop('down');
    await server.cli('XADD', CHANNEL, '*', 'message', 'unseen');
    await assert.rejects(log.probe(), UNAVAILABLE);
    proxy.heal();
    assert.deepEqual(payloads(await waiting), ['unseen']);
    await log.probe();
    await log.close();
  });

  test('while it is away, nothing is tried more than a few times a second', async (t) => {
    await using server = await RedisServer.start();
    await using proxy = await TcpProxy.start(server.port);
    const log = await openThrough(t, proxy);
    await log.append(CHANNEL, texts('a'));
    const { end } = await next(log, CHANNEL, START);
    const abort = new AbortController();
    const waiting = log.wait(new Map([[CHANNEL, end]]), LIMITS, abort.signal);
    await server.kill();
    const appended = log.append(CHANNEL, texts('b'));
    appended.catch(() => undefined);
    const before = proxy.accepted;
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const tries = proxy.accepted - before;
    assert.ok(tries > 0 && tries < 40, `${tries} connections in 2 s`);
    abort.abort();
    assert.equal((await waiting).size, 0);
    await log.close();
    await assert.rejects(appended, UNAVAILABLE);
  });
});

const SHORT = { connectMs: 300, appendMs: 300, readMs: 300, probeMs: 200, checkMs: 300 };

function openThrough(t: TestContext, proxy: TcpProxy): Promise<RedisLog> {
  return openLog(t, `redis://127.0.0.1:${proxy.port}`, { deadlines: SHORT });
}

async function untilLength(server: RedisServer, length: number): Promise<void> {
  await until(`it holds ${length}`, async () => Number(await server.cli('XLEN', CHANNEL)) === length);
}

async function commands(server: RedisServer): Promise<number> {
  const stats = await server.cli('INFO', 'stats');
  return Number(/total_commands_processed:(\d+)/.exec(stats)?.[1]);
}

/** Resolves once the probe fails with this reason. */
async function untilProbe(log: RedisLog, reason: RegExp): Promise<void> {
  const failure = (): Promise<string> =>
    log.probe().then(
      () => '',
      (error: Error) => error.message,
    );
  await until(`the probe fails with ${reason}`, async () => reason.test(await failure()));
}
