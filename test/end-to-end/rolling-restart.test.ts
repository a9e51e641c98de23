/**
 * Two broadcasters are restarted one after the other under 200 clients of all kinds, while messages flow: real
 * processes around a real Redis. At length, and with more, by the benchmark `rolling-restart`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Restartable, roll } from '../../bench/load/rolling.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from '../support/running-server.ts';

const CLIENTS = 200;
const DRAIN_SECONDS = 1;

function portOf(server: ServerProcess): number {
  return Number(new URL(server.address).port);
}

function restartable(server: ServerProcess): Restartable {
  return {
    port: portOf(server),
    stop: async () => assert.equal(await server.end('SIGTERM'), 0),
    start: () => server.restart(),
  };
}

test('a rolling restart loses nothing, repeats nothing, and sends clients away evenly', async (t) => {
  await using redis = await RedisServer.start();
  const start = (role: string): Promise<ServerProcess> =>
    ServerProcess.start(t, { ROLE: role, REDIS_URL: redis.url, DRAIN_SECONDS: String(DRAIN_SECONDS) });
  const [manager, ...broadcasters] = (await Promise.all(
    ['manager', 'broadcaster', 'broadcaster'].map(start),
  )) as [ServerProcess, ...ServerProcess[]];
  const { restarts, published, lost, repeated, unclean } = await roll({
    servers: broadcasters.map(restartable),
    managerPort: portOf(manager),
    clients: CLIENTS,
    perSecond: 100,
    messageBytes: 64,
    jitterMs: 100,
  });
  assert.ok(published > 200, `${published} published`);
  assert.deepEqual({ lost, repeated, unclean }, { lost: 0, repeated: 0, unclean: 0 });
  const [, second] = restarts;
  assert.ok(second !== undefined && second.stoppedMs > DRAIN_SECONDS * 900, `${second?.stoppedMs} ms`);
  // All come from the one that stops, in a second: sent away at once, they would come within the 100 ms of jitter.
  assert.ok(second.in100Ms < CLIENTS / 2, `${second.in100Ms} within 100 ms`);
});
