/** Sentinels fail Redis over while everybody is connected: to a replica that has everything, and to one that has not. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { RedisServer } from '../support/redis-server.ts';
import { Sentinel, sentinelUrl } from '../support/sentinel.ts';
import { until } from '../support/within.ts';
import { rawFollower } from './followers.ts';
import { Scene } from './scene.ts';

test('a failover to a replica with the tail is a pause', async (t) => {
  const { scene, primary, replica } = await begin(t);
  await scene.stopPublishing();
  await primary.cli('WAIT', '1', '5000');
  await primary.kill();
  await scene.publish('-again');
  await until('it is not ready', async () => (await scene.unready()) !== null);
  await scene.assertAlive();
  const tookMs = await failedOver(scene, replica);
  t.diagnostic(`back ${tookMs} ms after the promotion`);
  await scene.assertAlive();
  await scene.settle();
  const total = scene.publishers.reduce((sum, { count }) => sum + count, 0);
  assert.equal(await replica.cli('XLEN', 'local-q'), `${total}`);
  const lines = await scene.end();
  assert.ok(lines.length <= 10, lines.join('\n'));
  assert.ok(tookMs < 2000, `${tookMs} ms`);
});

test('a failover to a replica without the tail is told as a reset, to each in its way', async (t) => {
  const { scene, primary, replica } = await begin(t);
  await scene.stopPublishing();
  await primary.cli('WAIT', '1', '5000');
  // It goes on without its primary; the sentinels would mend that some seconds later.
  await replica.cli('REPLICAOF', '127.0.0.1', '1');
  await scene.publish('-lost');
  await scene.untilFlowing();
  await scene.stopPublishing();
  const before = scene.publishers;
  for (const follower of scene.followers) await scene.assertComplete(follower);
  await primary.kill();
  const [raw, v1, sse] = scene.followers;
  assert.ok(raw && v1 && sse);
  await until('the raw one is closed', () => raw.closed !== null);
  assert.equal(raw.closed?.code, 4410);
  const [, cursor = ''] = /^cursor=(.*)$/.exec(raw.closed?.reason ?? '') ?? [];
  const back = await rawFollower(scene, `?on_gap=skip&after=${encodeURIComponent(cursor)}`);
  await scene.publish('-new');
  await scene.untilFlowing([v1, sse, back]);
  await scene.stopPublishing();
  const after = scene.publishers.slice(before.length);
  for (const follower of [v1, sse]) {
    await scene.assertComplete(follower);
    assert.deepEqual(follower.gaps, ['reset'], follower.name);
  }
  await scene.assertComplete(back, after);
  await back.leave();
  const lines = await scene.end();
  assert.ok(lines.length <= 10, lines.join('\n'));
});

interface Begun {
  readonly scene: Scene;
  readonly primary: RedisServer;
  readonly replica: RedisServer;
}

async function begin(t: TestContext): Promise<Begun> {
  const primary = await RedisServer.start('--repl-diskless-sync-delay', '0');
  t.after(() => primary[Symbol.asyncDispose]());
  const replica = await RedisServer.start('--replicaof', `127.0.0.1 ${primary.port}`);
  t.after(() => replica[Symbol.asyncDispose]());
  const sentinels: Sentinel[] = [];
  for (let i = 0; i < 3; i++) {
    const sentinel = await Sentinel.start(primary, { quorum: 2 });
    t.after(() => sentinel[Symbol.asyncDispose]());
    sentinels.push(sentinel);
  }
  for (const sentinel of sentinels) await sentinel.untilKnows(1, 2);
  const scene = await Scene.start(t, sentinelUrl(sentinels));
  await scene.join();
  await scene.publish();
  await scene.untilFlowing();
  return { scene, primary, replica };
}

/** How long after its promotion everything goes on. */
async function failedOver(scene: Scene, replica: RedisServer): Promise<number> {
  const isPrimary = async (): Promise<boolean> => (await replica.cli('ROLE')).startsWith('master');
  await until('it is the primary', isPrimary);
  const promotedMs = performance.now();
  await Promise.all([
    scene.untilFlowing(),
    until('it is ready', async () => (await scene.unready()) === null),
  ]);
  return Math.round(performance.now() - promotedMs);
}
