/** How many connections the log opens, and that none is left over. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Keeper } from '../../src/log/redis/connection/keeper.ts';
import { Link } from '../../src/log/redis/connection/link.ts';
import { parseTarget } from '../../src/log/redis/connection/target.ts';
import { LIMITS, next, openLog, START, texts } from '../support/redis-log.ts';
import { RedisServer, untilBlocked } from '../support/redis-server.ts';

const CHANNEL = 'local-q';

describe('waits that are given up', () => {
  test('cost no connection when the process stalls meanwhile', async (t) => {
    await using server = await RedisServer.start();
    const log = await openLog(t, server.url);
    await log.append(CHANNEL, texts('a'));
    const { end } = await next(log, CHANNEL, START);
    const giveUpAWait = async (stallMs: number): Promise<void> => {
      const abort = new AbortController();
      const waiting = log.wait(new Map([[CHANNEL, end]]), LIMITS, abort.signal);
      await untilBlocked(server, 1);
      abort.abort();
      // What the abort sets going is sent; then nothing is read or timed for a while.
      for (let i = 0; i < 20; i++) await Promise.resolve();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs);
      assert.equal((await waiting).size, 0);
    };
    await giveUpAWait(0);
    const before = await clientsOf(server);
    for (let i = 0; i < 10; i++) await giveUpAWait(150);
    assert.deepEqual(await clientsOf(server), before);
    await log.close();
  });
});

describe('a connection', () => {
  test('for which no time is left, the process having stood still, is not there; that is all', async () => {
    await using server = await RedisServer.start();
    const { signal } = new AbortController();
    const { redis } = parseTarget(server.url);
    for (const leftMs of [0, -1758.6]) {
      await assert.rejects(Link.open(redis, leftMs, signal), {
        kind: 'connection',
        message: /did not answer in time/,
      });
    }
    assert.deepEqual(await clientsOf(server), []);
  });
});

describe('a keeper', () => {
  test('that is closed while it connects leaves no connection', async () => {
    await using server = await RedisServer.start();
    const { signal } = new AbortController();
    const { redis } = parseTarget(server.url);
    const open = (deadlineMs: number): Promise<Link> => Link.open(redis, deadlineMs, signal);
    const keeper = new Keeper({ open, connectMs: 2000, random: Math.random, signal });
    const opening = keeper.get();
    keeper.close();
    await assert.rejects(opening, { kind: 'connection', message: /closed/ });
    await assert.rejects(keeper.get(), { kind: 'connection', message: /closed/ });
    // Redis notices a moment later that the connection was closed.
    while ((await clientsOf(server)).length > 0);
  });
});

/** Redis' numbers of the connections that Rivercast has to it. */
async function clientsOf(server: RedisServer): Promise<string[]> {
  const clients = (await server.cli('CLIENT', 'LIST')).split('\n');
  return clients
    .filter((line) => line.includes('name=rivercast'))
    .map((line) => line.split(' ', 1)[0] as string);
}
