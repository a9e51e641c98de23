/** Who is behind, and by how much: what an operator is told of subscribers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { edgeRatio } from '../../src/http/ops/survey.ts';
import { EventStream } from '../support/event-stream.ts';
import { scrapeUntil } from '../support/metrics.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import type { WebSocketClient } from '../support/websocket-client.ts';
import { until } from '../support/within.ts';

interface Listed {
  readonly id: number;
  readonly format: string;
  readonly address: string | null;
  readonly subject: string | null;
  readonly since: string;
  readonly stalledMs: number;
  readonly channels: readonly {
    readonly channel: string;
    readonly cursor: string;
    readonly lagEntries: number | null;
    readonly lagMs: number;
    readonly inMemory: boolean;
  }[];
}

const MESSAGE = 'x'.repeat(256 * 1024);
const FLOOD = 60;

async function list(server: TestServer, query = ''): Promise<Listed[]> {
  const response = await fetch(`${server.address}/api/subscribers${query}`);
  assert.equal(response.status, 200);
  return ((await response.json()) as { subscribers: Listed[] }).subscribers;
}

async function ask(
  server: TestServer,
  path: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${server.address}${path}`);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** More than the kernel takes for one who does not read. */
async function flood(publisher: WebSocketClient): Promise<void> {
  for (let n = 0; n < FLOOD; n++) await publisher.flushed(MESSAGE);
}

describe('the list of subscribers', () => {
  test('says of each how it listens, to what, and where it stands', async () => {
    await using server = await TestServer.start();
    await using raw = await server.subscriber('?channel=a');
    await using v1 = await V1Client.open(server);
    await v1.subscribe('a');
    await v1.subscribe('b');
    await using events = await EventStream.open(`${server.address}/sse?channel=b`);
    await using publisher = await server.publisher('?channel=a');
    publisher.send('x');
    await raw.take(1);
    const found = await list(server, '?order=since');
    assert.deepEqual(
      found.map(({ id, format, channels }) => [id, format, channels.map(({ channel }) => channel)]),
      [
        [1, 'raw', ['a']],
        [2, 'v1', ['a', 'b']],
        [3, 'sse', ['b']],
      ],
    );
    const [{ channels, since, ...first }] = found as [Listed];
    const [{ cursor, ...place }] = channels as [Listed['channels'][0]];
    assert.match(cursor, /^\d+-\d+@[\w-]+\.1$/);
    assert.deepEqual(place, { channel: 'a', lagEntries: 0, lagMs: 0, inMemory: true });
    assert.deepEqual(first, { id: 1, format: 'raw', address: '127.0.0.1', subject: null, stalledMs: 0 });
    assert.ok(Math.abs(Date.parse(since) - Date.now()) < 10_000);
    assert.equal(events.status, 200);
  });

  test('has the one that is furthest behind first, and shows it in the metrics', async () => {
    await using server = await TestServer.start();
    await using live = await server.subscriber();
    await using stuck = await RawSocket.open(server.address, '/ws/broadcast');
    await using idle = await server.subscriber();
    stuck.stopReading();
    await using publisher = await server.publisher();
    await flood(publisher);
    await Promise.all([live.take(FLOOD), idle.take(FLOOD)]);
    let found: Listed[] = [];
    await until('it is far behind', async () => {
      found = await list(server, '?order=lag&limit=1');
      return (found[0]?.channels[0]?.lagEntries ?? 0) > 10 && (found[0]?.stalledMs ?? 0) > 20;
    });
    assert.equal(found.length, 1);
    assert.equal(found[0]?.id, 2);
    assert.ok((found[0]?.channels[0]?.lagMs ?? 0) > 0);
    assert.equal((await list(server, '?order=stalled'))[0]?.id, 2);
    assert.equal((await list(server)).length, 3);
    const metrics = await scrapeUntil(
      server,
      'it is seen',
      (now) => now.value('rivercast_subscriber_lag_max_entries') > 10,
    );
    assert.equal(metrics.value('rivercast_subscriber_lag_entries_count'), 3);
    assert.equal(metrics.value('rivercast_subscriber_lag_entries_bucket', { le: '0' }), 2);
    assert.ok(metrics.value('rivercast_subscriber_lag_max_seconds') > 0);
    assert.equal(metrics.value('rivercast_stalled_subscribers'), 1);
    await stuck[Symbol.asyncDispose]();
    await scrapeUntil(server, 'it is gone', (now) => now.value('rivercast_subscriber_lag_max_entries') === 0);
  });

  test('is asked for in words that mean something', async () => {
    await using server = await TestServer.start();
    for (const query of ['order=fame', 'limit=0', 'limit=1001', 'limit=x', 'limit=1e3', 'limit=']) {
      const { status, body } = await ask(server, `/api/subscribers?${query}`);
      assert.deepEqual([status, body['code']], [400, 'bad_request'], query);
    }
    assert.deepEqual(await list(server), []);
  });
});

test('those closed as too slow are counted, and one line says how many', async () => {
  const said: string[] = [];
  const slow = {
    SLOW_AFTER_MS: '200',
    SLOW_ENTRIES: '10',
    HEARTBEAT_MS: '400',
    IDLE_TIMEOUT_MS: '20s',
    LOG_LEVEL: 'warn',
  };
  await using server = await TestServer.start(slow, undefined, said);
  const stuck = await Promise.all(
    Array.from({ length: 3 }, () => RawSocket.open(server.address, '/ws/broadcast')),
  );
  for (const one of stuck) one.stopReading();
  await using publisher = await server.publisher();
  await flood(publisher);
  await scrapeUntil(
    server,
    'all are closed',
    (now) => now.value('rivercast_slow_closes_total', { reason: 'too_slow' }) === 3,
  );
  await until('it is said', () => said.some((line) => line.includes('too slowly')));
  const lines = said.filter((line) => line.includes('too slowly'));
  // What comes within ten seconds of a line waits for the next one.
  assert.equal(lines.length, 1);
  await Promise.all(stuck.map((one) => one[Symbol.asyncDispose]()));
});

test('one that is about to lose entries to retention is counted as near the edge', async () => {
  const small = { RETENTION_MAX_ENTRIES: '30', RING_BYTES: '64kib' };
  await using server = await TestServer.start(small);
  await using stuck = await RawSocket.open(server.address, '/ws/broadcast');
  stuck.stopReading();
  await using live = await server.subscriber();
  await using publisher = await server.publisher();
  await flood(publisher);
  await live.take(FLOOD);
  const metrics = await scrapeUntil(
    server,
    'it is near',
    (now) => now.value('rivercast_trim_edge_subscriptions') === 1,
  );
  assert.ok(metrics.value('rivercast_trim_edge_max_ratio') > 0.8);
});

describe('how near the edge is', () => {
  const bounds = { epoch: 'e', floor: '1000-0', tip: '2000-0', tipOrdinal: 100, length: 100 };
  const kept = { maxEntries: 1000, maxAgeMs: 100_000, nowMs: 2000 };
  const at = (id: string, ordinal: number | null) => ({ id, epoch: 'e', ordinal });

  test('nothing is removed yet: of what may be kept', () => {
    assert.equal(edgeRatio(at('1000-0', 1), bounds, kept), 99 / 1000);
  });

  test('the oldest are removed: of what is kept', () => {
    const trimmed = { ...bounds, tipOrdinal: 1000 };
    assert.equal(edgeRatio(at('1500-0', 950), trimmed, kept), 0.5);
    assert.equal(edgeRatio(at('1000-0', 900), trimmed, kept), 1);
    assert.equal(edgeRatio(at('500-0', 10), trimmed, kept), 1);
  });

  test('by age, where that comes first', () => {
    assert.equal(edgeRatio(at('1500-0', 99), bounds, { ...kept, maxAgeMs: 1000 }), 0.5);
  });

  test('without a number, by how the times lie', () => {
    assert.equal(edgeRatio(at('1500-0', null), { ...bounds, tipOrdinal: 1000 }, kept), 0.5);
  });

  test('nothing is kept: nothing can be lost', () => {
    assert.equal(edgeRatio(at('1500-0', 5), { ...bounds, floor: null, length: 0 }, kept), 0);
  });
});

describe('the numbers for people', () => {
  test('say what goes through, who is there and what is wrong', async () => {
    await using server = await TestServer.start({ HEARTBEAT_MS: '100ms', IDLE_TIMEOUT_MS: '20s' });
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    const headers = Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`x-${n}`, 'x']));
    assert.equal((await fetch(`${server.address}/healthz`, { headers })).status, 431);
    await until('a rate is told', async () => {
      publisher.send('x');
      const { body } = await ask(server, '/api/stats');
      return ((body['perSecond'] as Record<string, number>)['deliveredEntries'] ?? 0) > 0;
    });
    const { body } = await ask(server, '/api/stats');
    assert.deepEqual([body['role'], body['store'], body['ready']], ['all', 'memory', true]);
    const { since, ...log } = body['log'] as Record<string, unknown>;
    assert.deepEqual(log, { up: true, trouble: null, durability: null });
    assert.ok(Math.abs(Date.now() - Date.parse(String(since))) < 60_000);
    const { kinds } = body['connections'] as { kinds: { role: string; count: number }[] };
    assert.equal(kinds.find(({ role }) => role === 'subscriber')?.count, 1);
    assert.equal((body['limits'] as Record<string, number>)['headers'], 1);
    assert.equal(body['incompleteBytes'], 0);
    const process = body['process'] as Record<string, number>;
    assert.ok((process['residentBytes'] ?? 0) > 1e7 && (process['cpuSeconds'] ?? 0) > 0);
    assert.ok((await subscriber.take(1)).length === 1);
  });

  test('tell whose they are: the same for as long as it runs, another for each start', async () => {
    const idOf = async (server: TestServer): Promise<unknown> => {
      const { body } = await ask(server, '/api/stats');
      return (body['process'] as Record<string, unknown>)['id'];
    };
    await using one = await TestServer.start();
    await using other = await TestServer.start();
    const first = await idOf(one);
    assert.match(String(first), /^[0-9a-f]{8}$/);
    assert.equal(await idOf(one), first);
    assert.notEqual(await idOf(other), first);
  });
});
