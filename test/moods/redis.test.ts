/**
 * Redis in all its moods, one at a time, and what each kind of publisher and subscriber sees of it: raw ones nothing
 * but a pause; those that are answered an error in bounded time that says to try again, or a late answer; subscribers
 * stay connected; and once it is over everything is there once, in order, without anybody's help.
 */
import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { EventStream } from '../support/event-stream.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { until } from '../support/within.ts';
import { OVERLOADED_AFTER_MS, Scene } from './scene.ts';

/** Given time to tell, and to be read, on a busy machine. */
const READY_MS = 2000;
/** `npm test` has it short; with MOODS=long it is as long as a real one. */
const isLong = process.env['MOODS'] === 'long';
const OUTAGE_MS = isLong ? 20_000 : 2500;
/** In one outage, which may go through some kinds of trouble: two parts of the log tell of the begin and end of each. */
const MAX_LINES = 10;
const RESTARTS = isLong ? 10 : 2;

interface Place {
  readonly redis: RedisServer;
  /** Between the server and Redis. */
  readonly proxy: TcpProxy;
}

interface Mood {
  /** How redis-server is started. */
  readonly args?: readonly string[];
  begin(place: Place): Promise<unknown>;
  end(place: Place): Promise<unknown>;
  /** What the server says meanwhile; null: it works on. */
  readonly reason: RegExp | null;
  readonly lastsMs?: number;
  /** How many there are; one unless told. */
  readonly outages?: number;
}

const UNLOCKED = ['--enable-debug-command', 'yes', '--enable-protected-configs', 'yes'];
const AOF = ['--appendonly', 'yes', '--appendfsync', 'always'];
const RESTARTED = /connection|ECONN|EPIPE|in time|closed/i;

const MOODS: Readonly<Record<string, Mood>> = {
  'stopped, and started again': {
    args: AOF,
    begin: ({ redis }) => redis.stop(),
    end: ({ redis }) => redis.restart(),
    reason: RESTARTED,
  },
  'restarting every 2 s': {
    args: AOF,
    begin: async ({ redis }) => {
      for (let i = 0; i < RESTARTS; i++) {
        await redis.stop();
        await redis.restart();
        await delay(2000);
      }
      await redis.stop();
    },
    end: ({ redis }) => redis.restart(),
    reason: RESTARTED,
    outages: RESTARTS + 1,
  },
  loading: {
    args: [
      ...['--save', '3600 100000'],
      '--key-load-delay',
      '1500',
      '--loading-process-events-interval-bytes',
      '1024',
    ],
    begin: async (place) => {
      const { redis } = place;
      await redis.cli('DEBUG', 'POPULATE', isLong ? '5000' : '1800', 'filler', '100');
      await redis.stop();
      loading.set(place, redis.restart());
      await until('it loads', async () => /LOADING/.test(await redis.cli('GET', 'x').catch(() => '')));
    },
    end: (place) => loading.get(place) as Promise<void>,
    reason: /LOADING|connection|ECONN|EPIPE|closed/i,
    lastsMs: 0,
  },
  'standing still (SIGSTOP)': {
    begin: async ({ redis }) => redis.pause(),
    end: async ({ redis }) => redis.resume(),
    reason: /did not answer|in time/,
    lastsMs: isLong ? 20_000 : 7000,
  },
  'behind a half-open connection': {
    begin: async ({ proxy }) => {
      proxy.drop('up');
      proxy.drop('down');
    },
    end: async ({ proxy }) => proxy.heal(),
    reason: /did not answer|in time/,
    lastsMs: isLong ? 20_000 : 7000,
  },
  'out of memory': {
    begin: ({ redis }) => redis.cli('CONFIG', 'SET', 'maxmemory', '1'),
    end: ({ redis }) => redis.cli('CONFIG', 'SET', 'maxmemory', '0'),
    reason: /OOM/,
  },
  'unable to save (MISCONF)': {
    args: ['--save', '3600 1'],
    begin: async ({ redis }) => {
      const gone = join(redis.dir, 'gone');
      await mkdir(gone);
      await redis.cli('CONFIG', 'SET', 'dir', gone);
      await rm(gone, { recursive: true });
      await redis.cli('BGSAVE');
      await until('it could not save', async () => /status:err/.test(await redis.cli('INFO', 'persistence')));
    },
    end: async ({ redis }) => {
      await redis.cli('CONFIG', 'SET', 'dir', redis.dir);
      await redis.cli('BGSAVE');
      await until('it has saved', async () => /status:ok/.test(await redis.cli('INFO', 'persistence')));
    },
    reason: /MISCONF/,
  },
  'a replica (READONLY)': {
    begin: ({ redis }) => redis.cli('REPLICAOF', '127.0.0.1', '1'),
    end: ({ redis }) => redis.cli('REPLICAOF', 'NO', 'ONE'),
    reason: /READONLY/,
  },
  'a replica that serves nothing stale (MASTERDOWN)': {
    args: ['--replica-serve-stale-data', 'no'],
    begin: ({ redis }) => redis.cli('REPLICAOF', '127.0.0.1', '1'),
    end: ({ redis }) => redis.cli('REPLICAOF', 'NO', 'ONE'),
    reason: /MASTERDOWN|READONLY/,
  },
  'short of replicas (NOREPLICAS)': {
    begin: ({ redis }) => redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '1'),
    end: ({ redis }) => redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '0'),
    reason: /NOREPLICAS/,
  },
  'asking for a password all of a sudden (NOAUTH)': {
    begin: async ({ redis }) => {
      await redis.cli('CONFIG', 'SET', 'requirepass', 'new');
      await redis.cli('--no-auth-warning', '-a', 'new', 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    },
    end: ({ redis }) => redis.cli('--no-auth-warning', '-a', 'new', 'CONFIG', 'SET', 'requirepass', ''),
    reason: /NOAUTH/,
  },
  'holding a key of another type (WRONGTYPE)': {
    begin: ({ redis }) =>
      redis.cli(
        'EVAL',
        "redis.call('RENAME', KEYS[1], 'aside') redis.call('SET', KEYS[1], 'x')",
        '1',
        'local-q',
      ),
    end: ({ redis }) => redis.cli('RENAME', 'aside', 'local-q'),
    reason: /WRONGTYPE/,
  },
  'without its scripts (SCRIPT FLUSH)': {
    begin: ({ redis }) => redis.cli('SCRIPT', 'FLUSH'),
    end: ({ redis }) => redis.cli('SCRIPT', 'FLUSH'),
    reason: null,
    lastsMs: 200,
  },
};

const loading = new WeakMap<Place, Promise<void>>();

describe('Redis', { concurrency: 4 }, () => {
  for (const [name, mood] of Object.entries(MOODS)) {
    test(name, async (t) => {
      const place = await placeFor(t, mood);
      const scene = await Scene.start(t, `redis://127.0.0.1:${place.proxy.port}`);
      await scene.join();
      await scene.publish();
      await scene.untilFlowing();
      await mood.begin(place);
      await scene.assertAlive();
      if (mood.reason !== null) await sees(scene, mood.reason);
      await delay(mood.lastsMs ?? OUTAGE_MS);
      await scene.assertAlive();
      if (mood.reason !== null && mood.lastsMs !== 0)
        assert.match((await scene.unready()) ?? '', mood.reason);
      await mood.end(place);
      const backMs = performance.now();
      await Promise.all([
        scene.untilFlowing(),
        until('it is ready', async () => (await scene.unready()) === null),
      ]);
      const recoveryMs = Math.round(performance.now() - backMs);
      await scene.assertAlive();
      await scene.settle();
      const lines = await scene.end();
      const told = scene.publishers.map(
        ({ refusals, slowestMs }) => `${[...refusals].join('+')} ${Math.round(slowestMs)}`,
      );
      t.diagnostic(`recovered in ${recoveryMs} ms; told ${told.join(', ')}; ${lines.length} lines`);
      assert.ok(recoveryMs < READY_MS, `it took ${recoveryMs} ms to recover`);
      for (const { name: kind, refusals, slowestMs } of scene.publishers) {
        const others = [...refusals].filter((code) => code !== 'overloaded' && code !== 'log_unavailable');
        assert.deepEqual(others, [], kind);
        const boundMs = OVERLOADED_AFTER_MS + 1500;
        assert.ok(slowestMs < boundMs, `the ${kind} publisher waited ${slowestMs} ms for an answer`);
      }
      assert.ok(lines.length <= MAX_LINES * (mood.outages ?? 1), lines.join('\n'));
    });
  }
});

test('Redis that is not there at the start is waited for; who subscribes meanwhile is told to come back', async (t) => {
  await using redis = await RedisServer.reserve();
  const scene = await Scene.start(t, redis.url);
  await sees(scene, /ECONNREFUSED/);
  const url = scene.url('/ws/broadcast');
  const refusals = [[], ['rivercast.v1']].map((protocols) => WebSocketClient.refused(url, { protocols }));
  // An EventSource gives up for good on anything but 200.
  const stream = await EventStream.open(`${scene.address}/sse`);
  await stream.ended;
  assert.deepEqual([stream.status, stream.count], [200, 0]);
  assert.ok((stream.retryMs ?? 0) > 0);
  for (const { status, headers, body } of await Promise.all(refusals)) {
    assert.deepEqual([status, headers['retry-after'], body['code']], [503, '1', 'log_unavailable']);
  }
  await scene.publish();
  await until('both are refused', () =>
    scene.publishers.every(({ name, refusals }) => name === 'raw' || refusals.size > 0),
  );
  await redis.restart();
  const upMs = performance.now();
  await until('it is ready', async () => (await scene.unready()) === null, READY_MS);
  await scene.join('?after=earliest');
  await scene.untilFlowing();
  const recoveryMs = performance.now() - upMs;
  assert.ok(recoveryMs < READY_MS, `it took ${recoveryMs} ms`);
  await scene.settle();
  const lines = await scene.end();
  assert.ok(lines.length <= 6, lines.join('\n'));
});

async function placeFor(t: TestContext, { args = [] }: Mood): Promise<Place> {
  const redis = await RedisServer.start(...UNLOCKED, ...args);
  t.after(() => redis[Symbol.asyncDispose]());
  const proxy = await TcpProxy.start(redis.port);
  t.after(() => proxy[Symbol.asyncDispose]());
  return { redis, proxy };
}

/** Within 2 s of trouble. */
async function sees(scene: Scene, reason: RegExp): Promise<void> {
  const beganMs = performance.now();
  let seen: string | null = null;
  await until('it is not ready', async () => (seen = await scene.unready()) !== null, READY_MS);
  assert.match(seen ?? '', reason);
  assert.ok(performance.now() - beganMs < READY_MS);
}
