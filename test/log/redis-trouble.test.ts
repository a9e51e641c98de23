/** What the probe says and what is logged while Redis is in trouble, and once it is over. */
import assert from 'node:assert/strict';
import { EventEmitter, on } from 'node:events';
import { describe, test } from 'node:test';
import { type RedisLogger, Trouble } from '../../src/log/redis/trouble.ts';
import type { RedisLog } from '../../src/log/redis.ts';
import { LIMITS, next, openLog, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';

const CHANNEL = 'local-q';
const UNAVAILABLE = { code: 'log_unavailable' };
const SHORT = { connectMs: 300, appendMs: 300, readMs: 300, probeMs: 200, checkMs: 300 };

describe('the probe', () => {
  test('works again after an outage although the wait that met it was given up meanwhile', async (t) => {
    await using server = await RedisServer.start();
    const told = new Told();
    const log = await openLog(t, server.url, { deadlines: SHORT, logger: told });
    await log.append(CHANNEL, texts('a'));
    const { end } = await next(log, CHANNEL, START);
    const abort = new AbortController();
    const waiting = log.wait(new Map([[CHANNEL, end]]), LIMITS, abort.signal);
    await server.kill();
    await told.until('live connection');
    abort.abort();
    await waiting;
    await assert.rejects(log.probe(), UNAVAILABLE);
    await server.restart();
    await untilReady(log);
    await log.close();
  });

  test('is not failed by the key of one channel, whose append waits and is told of', async (t) => {
    await using server = await RedisServer.start();
    const told = new Told();
    const log = await openLog(t, server.url, { logger: told });
    const last = '18446744073709551615-18446744073709551615';
    await server.cli('SET', 'local-q:string', 'not a stream');
    await server.cli('XADD', 'local-q:full', last, 'm', 'the last id there is');
    const appends = ['string', 'full'].map((channel) => log.append(channel, texts('a')));
    await told.until('append to string');
    await told.until('append to full');
    await log.probe();
    await log.append(CHANNEL, texts('b'));
    await log.probe();
    await server.cli('DEL', 'local-q:string', 'local-q:full');
    await Promise.all(appends);
    assert.equal(told.lines.filter((line) => line.startsWith('append to')).length, 4, told.lines.join('\n'));
    await log.close();
  });

  test('says what keeps all appends waiting; the log says it once, not for each channel', async (t) => {
    await using server = await RedisServer.start();
    const told = new Told();
    const log = await openLog(t, server.url, { logger: told });
    await server.cli('CONFIG', 'SET', 'maxmemory', '1');
    const appends = ['one', 'two', 'three'].map((channel) => log.append(channel, texts('a')));
    await told.until('appending');
    await assert.rejects(log.probe(), /OOM/);
    await server.cli('CONFIG', 'SET', 'maxmemory', '0');
    await Promise.all(appends);
    await log.probe();
    assert.deepEqual(
      told.lines.filter((line) => line.startsWith('append')),
      ['appending: the Redis log is in trouble; it is retried', 'appending: the Redis log works again'],
    );
    await log.close();
  });
});

describe('trouble', () => {
  test('that nobody meets any more counts no longer, and is not said to be over', () => {
    const told = new Told();
    const trouble = new Trouble(told);
    const [one, other] = [{}, {}];
    trouble.set('live connection', 'the connection to Redis is gone: cut', one);
    trouble.set('live connection', 'the connection to Redis is gone: late', other);
    trouble.end(one);
    assert.match(trouble.reason ?? '', /late/);
    trouble.end(other);
    assert.equal(trouble.reason, null);
    trouble.set('live connection', 'the connection to Redis is gone: cut', one);
    assert.match(trouble.reason ?? '', /cut/);
    assert.deepEqual(told.lines, ['live connection: the Redis log is in trouble; it is retried']);
    trouble.clear('live connection');
    assert.equal(trouble.reason, null);
    assert.equal(told.lines[1], 'live connection: the Redis log works again');
  });

  test('is told again when Redis says something else, not when the connection fails in another way', () => {
    const told = new Told();
    const trouble = new Trouble(told);
    const at = 'Redis at 127.0.0.1:6379:';
    for (const reason of [
      'the connection to Redis is gone: the connection was closed',
      `${at} connect ECONNREFUSED 127.0.0.1:6379`,
      `${at} Connection is closed.`,
      `${at} write EPIPE`,
      `${at} did not answer in time`,
    ])
      trouble.set('appending', reason, {});
    assert.equal(told.lines.length, 1);
    for (const reason of [
      `${at} NOAUTH Authentication required.`,
      'NOAUTH Authentication required.',
      "OOM command not allowed when used memory > 'maxmemory'. script: 1",
      "OOM command not allowed when used memory > 'maxmemory'. script: 2",
      'NOPERM the user of Redis may not run XADD on these keys, which append.lua does',
    ])
      trouble.set('appending', reason, {});
    assert.equal(told.lines.length, 4);
  });
});

/** A logger that remembers. */
class Told implements RedisLogger {
  readonly lines: string[] = [];
  readonly #events = new EventEmitter();

  info(fields: object, message: string): void {
    this.#add(fields, message);
  }

  warn(fields: object, message: string): void {
    this.#add(fields, message);
  }

  error(fields: object, message: string): void {
    this.#add(fields, message);
  }

  /** Resolves once a line of this part was logged. */
  async until(part: string): Promise<void> {
    if (this.lines.some((line) => line.startsWith(part))) return;
    const signal = AbortSignal.timeout(10_000);
    for await (const [line] of on(this.#events, 'line', { signal })) {
      if (String(line).startsWith(part)) return;
    }
  }

  #add(fields: { part?: string }, message: string): void {
    const line = `${fields.part ?? ''}: ${message}`;
    this.lines.push(line);
    this.#events.emit('line', line);
  }
}

/** Resolves once the probe does; the connection that it needs may have to be opened first. */
async function untilReady(log: RedisLog): Promise<void> {
  const giveUp = performance.now() + 5000;
  for (;;) {
    try {
      await log.probe();
      return;
    } catch (error) {
      if (performance.now() > giveUp) throw error;
    }
  }
}
