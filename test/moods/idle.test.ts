/** What a Redis that is away costs the server with everybody connected: next to no processor time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisServer } from '../support/redis-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/within.ts';
import { type Follower, rawFollower, sseFollower, v1Follower } from './followers.ts';
import { type Numbered, type Pace, rawPublisher, v1Publisher } from './publishers.ts';
import { Scene } from './scene.ts';

/** Time for the trouble to be met by everything that runs. */
const SETTLE_MS = 1500;
const MEASURE_MS = 3000;
const MAX_SHARE = 0.1;

/** As clients in the wild. */
const PACE: Pace = { pauseMs: 500, retryMs: 1000 };

type Step = (redis: RedisServer, proxy: TcpProxy) => Promise<unknown>;

const AWAY: Readonly<Record<string, { readonly begin: Step; readonly end: Step }>> = {
  'not there': { begin: (redis) => redis.kill(), end: (redis) => redis.restart() },
  'standing still (SIGSTOP)': {
    begin: async (redis) => redis.pause(),
    end: async (redis) => redis.resume(),
  },
  'behind a half-open connection': {
    begin: async (_redis, proxy) => {
      proxy.drop('up');
      proxy.drop('down');
    },
    end: async (_redis, proxy) => proxy.heal(),
  },
};

describe('with 20 publishers and 20 subscribers connected, a Redis that is', { concurrency: 3 }, () => {
  for (const [name, { begin, end }] of Object.entries(AWAY)) {
    test(`${name} costs less than a tenth of a core`, async (t) => {
      await using redis = await RedisServer.start();
      await using proxy = await TcpProxy.start(redis.port);
      const port = name === 'not there' ? redis.port : proxy.port;
      const scene = await Scene.start(t, `redis://127.0.0.1:${port}`);
      const followers = await many<Follower>(5, [rawFollower, v1Follower, sseFollower, rawFollower], scene);
      const publishing = [rawPublisher, v1Publisher].map((kind) => (to: Scene) => kind(to, { pace: PACE }));
      const publishers = await many<Numbered>(10, publishing, scene);
      await until('all publish', () => publishers.every(({ count }) => count > 0));
      await begin(redis, proxy);
      await until('it is seen', async () => (await scene.unready()) !== null);
      await delay(SETTLE_MS);
      const before = scene.processorS;
      await delay(MEASURE_MS);
      const share = (scene.processorS - before) / (MEASURE_MS / 1000);
      t.diagnostic(`${(100 * share).toFixed(1)} % of a core`);
      assert.ok(share < MAX_SHARE, `${(100 * share).toFixed(1)} % of a core`);
      for (const { closed } of followers) assert.equal(closed, null);
      await end(redis, proxy);
      await Promise.all(publishers.map((publisher) => publisher.stop()));
      await Promise.all(followers.map((follower) => follower.leave()));
      await scene.end();
    });
  }
});

function many<T>(each: number, kinds: readonly ((scene: Scene) => Promise<T>)[], scene: Scene): Promise<T[]> {
  return Promise.all(kinds.flatMap((kind) => Array.from({ length: each }, () => kind(scene))));
}
