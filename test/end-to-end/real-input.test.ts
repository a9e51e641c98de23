/**
 * The main job on real input: every line of a list of 60,000, sent by one client, arrives at three subscribers
 * and at a fourth that comes afterwards: the same bytes, in order. On each log, in one process and in three.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realLines } from '../support/real-lines.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServerProcess, TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type Received, WebSocketClient } from '../support/websocket-client.ts';

const LINES: readonly string[] = realLines(60_000);
const ALL: Buffer = Buffer.concat(LINES.map(framed));
const WAIT_MS = 60_000;

interface Doors {
  readonly publish: string;
  /** Where the three live subscribers and the late one connect. */
  readonly subscribe: readonly [string, string, string, string];
}

/** A line with its length before it, so that equal bytes mean equal messages. */
function framed(line: string | Buffer): Buffer {
  const data = Buffer.from(line);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, data]);
}

function assertAll(name: string, received: readonly Received[]): void {
  assert.ok(
    received.every(({ type }) => type === 'text'),
    `${name}: text stays text`,
  );
  assert.ok(
    Buffer.concat(received.map(({ data }) => framed(data))).equals(ALL),
    `${name}: the same bytes in order`,
  );
}

async function arrivesEverywhere({ publish, subscribe }: Doors): Promise<void> {
  const [first, second, third, late] = subscribe;
  await using a = await WebSocketClient.connect(first);
  await using b = await WebSocketClient.connect(second);
  await using c = await WebSocketClient.connect(third);
  await using publisher = await WebSocketClient.connect(publish);
  for (const [i, line] of LINES.entries()) {
    if (i % 1000 === 0) await publisher.flushed(line);
    else publisher.send(line);
  }
  for (const [name, client] of Object.entries({ a, b, c })) {
    assertAll(name, await client.take(LINES.length, WAIT_MS));
  }
  await using fourth = await WebSocketClient.connect(`${late}?after=earliest`);
  assertAll('late', await fourth.take(LINES.length, WAIT_MS));
  publisher.send('the end');
  for (const client of [a, b, c, fourth]) assert.equal(await client.text(), 'the end');
}

function doorsOf(server: TestServer): Doors {
  const door = server.url('/ws/broadcast');
  return { publish: server.url('/ws/manager'), subscribe: [door, door, door, door] };
}

test('on the log in memory', async () => {
  await using server = await TestServer.start();
  await arrivesEverywhere(doorsOf(server));
});

test('on the embedded log', async (t) => {
  await using server = await TestServer.start({ STORE: 'embedded', DATA_DIR: await tempDir(t) });
  await arrivesEverywhere(doorsOf(server));
});

test('on Redis, in one process', async () => {
  await using redis = await RedisServer.start();
  await using server = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url });
  await arrivesEverywhere(doorsOf(server));
});

test('on Redis, with a manager and two broadcasters', async (t) => {
  await using redis = await RedisServer.start();
  const settings = { REDIS_URL: redis.url };
  const [manager, one, two] = await Promise.all([
    ServerProcess.start(t, { ...settings, ROLE: 'manager' }),
    ServerProcess.start(t, { ...settings, ROLE: 'broadcaster' }),
    ServerProcess.start(t, { ...settings, ROLE: 'broadcaster' }),
  ]);
  const [doorOne, doorTwo] = [one.url('/ws/broadcast'), two.url('/ws/broadcast')];
  await arrivesEverywhere({
    publish: manager.url('/ws/manager'),
    subscribe: [doorOne, doorOne, doorTwo, doorTwo],
  });
  await wrongRole(manager, '/ws/broadcast', 'manager');
  await wrongRole(one, '/ws/manager', 'broadcaster');
  assert.deepEqual(await Promise.all([manager, one, two].map((server) => server.end('SIGTERM'))), [0, 0, 0]);
});

async function wrongRole(server: ServerProcess, path: string, role: string): Promise<void> {
  const refused = await WebSocketClient.refused(server.url(path));
  assert.deepEqual([refused.status, refused.body['code']], [404, 'not_found']);
  assert.ok(String(refused.body['detail']).includes(`ROLE=${role}`), String(refused.body['detail']));
}
