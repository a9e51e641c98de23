/** Which connections carry what: as few as can be, whoever follows what from where. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import {
  type CursorStore,
  connect,
  type ListenOptions,
  type River,
  type SocketClass,
  type Subscription,
} from '../../src/client/index.ts';
import { GatedLog } from '../support/gated-log.ts';
import { fill } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/within.ts';

const Class: SocketClass = WebSocket;

interface Scene {
  readonly log: GatedLog;
  readonly server: TestServer;
  readonly proxy: TcpProxy;
  readonly river: River;
}

async function scene(t: TestContext, settings: Record<string, string> = {}): Promise<Scene> {
  const log = new GatedLog();
  const server = await TestServer.start(settings, log);
  const proxy = await TcpProxy.start(Number(new URL(server.address).port));
  const river = connect(`ws://127.0.0.1:${proxy.port}`, { WebSocket: Class });
  t.after(async () => {
    river.close();
    await proxy[Symbol.asyncDispose]();
    await server.stop();
  });
  return { log, server, proxy, river };
}

/** One who follows `c`, and what it was given. */
interface Follower {
  readonly seen: unknown[];
  readonly states: string[];
  readonly subscription: Subscription<unknown>;
}

function follow(river: River, options: Partial<ListenOptions<unknown>> = {}): Follower {
  const seen: unknown[] = [];
  const states: string[] = [];
  const subscription = river.subscribe('c', {
    onState: (state) => void states.push(state),
    onMessage: ({ data }) => void seen.push(data),
    ...options,
  });
  return { seen, states, subscription };
}

/** How many connections there are, and subscriptions on them. */
function carried({ stats }: TestServer): [number, number | undefined] {
  return [stats.connections, stats.subscriptions];
}

async function untilCarried(server: TestServer, connections: number, subscriptions: number): Promise<void> {
  await until(`${connections} connections carry ${subscriptions}`, () => {
    const [open, followed] = carried(server);
    return open === connections && followed === subscriptions;
  });
}

function texts(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i));
}

test('twenty who follow a channel from now on are one subscription, and each is given each message', async (t) => {
  const { river, server, log } = await scene(t);
  const early = Array.from({ length: 10 }, () => follow(river));
  await until('they are live', () => early.every(({ states }) => states.includes('live')));
  const late = Array.from({ length: 10 }, () => follow(river));
  // Nobody is told before it has what it asked for in hand.
  assert.deepEqual(late[0]?.states, []);
  await until('all are live', () => late.every(({ states }) => states.includes('live')));
  assert.deepEqual(carried(server), [1, 1]);
  await fill(log, 3, String, 'c');
  const all = [...early, ...late];
  await until('all came', () => all.every(({ seen }) => seen.length === 3));
  for (const { seen } of all) assert.deepEqual(seen, ['0', '1', '2']);
  for (const { subscription } of all.slice(1)) subscription.unsubscribe();
  await fill(log, 1, () => 'for the last one', 'c');
  await until('it came', () => early[0]?.seen.length === 4);
  early[0]?.subscription.unsubscribe();
  await untilCarried(server, 0, 0);
});

test('who begins elsewhere has a connection of its own until it has come to where the others are', async (t) => {
  const { river, server, log } = await scene(t);
  await fill(log, 500, String, 'c');
  const now = follow(river);
  await untilCarried(server, 1, 1);
  const others = ['earliest', 'last:100', 'last:100'].map((after) => follow(river, { after }));
  await until('they have come here', () => others[0]?.seen.length === 500 && others[2]?.seen.length === 100);
  await untilCarried(server, 1, 1);
  await fill(log, 2, (n) => String(500 + n), 'c');
  await until('all came', () => [now, ...others].every(({ seen }) => seen.at(-1) === '501'));
  assert.deepEqual(now.seen, texts(500, 502));
  assert.deepEqual(others[0]?.seen, texts(0, 502));
  assert.deepEqual(others[1]?.seen, texts(400, 502));
  assert.deepEqual(others[2]?.seen, texts(400, 502));
  // The one that was there first may go.
  now.subscription.unsubscribe();
  await fill(log, 1, () => '502', 'c');
  await until('it came', () => others.every(({ seen }) => seen.at(-1) === '502'));
  assert.deepEqual(carried(server), [1, 1]);
});

test('who begins now is given nothing of what another has still to catch up with', async (t) => {
  const { river, server, log } = await scene(t);
  await fill(log, 20_000, String, 'c');
  let late: Follower | null = null;
  const onState = (state: string): void => {
    if (state === 'live') late ??= follow(river);
  };
  const early = follow(river, { after: 'earliest', buffer: 100_000, onState });
  await until('it has come here', () => early.seen.length === 20_000);
  const { seen, states } = late as unknown as Follower;
  await until('the other is live', () => states.includes('live'));
  await fill(log, 1, () => 'new', 'c');
  await until('both have it', () => early.seen.length === 20_001 && seen.length > 0);
  assert.deepEqual(seen, ['new']);
  await untilCarried(server, 1, 1);
});

test('one that goes on after a cursor is given nothing before it, wherever it is carried', async (t) => {
  const { river, server, log } = await scene(t);
  await fill(log, 10, String, 'c');
  const first = follow(river, { after: 'last:5' });
  await until('all came', () => first.seen.length === 5);
  const { after } = first.subscription;
  const second = follow(river, { after });
  await until('it is live', () => second.states.includes('live'));
  assert.deepEqual(carried(server), [1, 1]);
  await fill(log, 1, () => '10', 'c');
  await until('it came', () => second.seen.length === 1 && first.seen.length === 6);
});

test('newcomers to a channel without a message, left alone before they were told, are told where it stands', async (t) => {
  const { river, log, proxy } = await scene(t);
  const early = follow(river);
  await until('it is live', () => early.states.includes('live'));
  const kept: string[] = [];
  const after: CursorStore = { load: () => null, save: (cursor) => void kept.push(cursor) };
  const late = [follow(river, { after }), follow(river)];
  early.subscription.unsubscribe();
  await until('both are live', () => late.every(({ states }) => states.includes('live')));
  assert.deepEqual(
    late.map(({ subscription }) => subscription.after),
    ['0-0', '0-0'],
  );
  assert.deepEqual(kept, ['0-0']);
  // What is stored while the connection is gone lies behind that.
  proxy.interrupt('GET /ws/broadcast', () => fill(log, 3, String, 'c'));
  proxy.cut();
  await until('all came', () => late.every(({ seen }) => seen.length === 3));
  for (const { seen } of late) assert.deepEqual(seen, texts(0, 3));
});

test('a slow reader is left behind by the others, and comes back to them', async (t) => {
  const { river, server, log } = await scene(t);
  const quick = follow(river);
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const slowly: unknown[] = [];
  const slow = follow(river, {
    buffer: 10,
    onMessage: async ({ data }) => {
      await gate;
      slowly.push(data);
    },
  });
  await until('both are live', () => slow.states.includes('live'));
  await fill(log, 200, String, 'c');
  await until('the quick one has all', () => quick.seen.length === 200);
  assert.equal(slow.subscription.state, 'paused');
  assert.deepEqual(carried(server), [1, 1]);
  open();
  await until('the slow one has all', () => slowly.length === 200);
  assert.deepEqual(slowly, texts(0, 200));
  await untilCarried(server, 1, 1);
});

test('a reader that is paused keeps its connection, and ends with the client', async (t) => {
  const { river, server, log } = await scene(t);
  const reader = follow(river, { buffer: 2, onMessage: () => new Promise(() => undefined) });
  await until('it is live', () => reader.states.includes('live'));
  await fill(log, 10, String, 'c');
  await until('it is paused', () => reader.subscription.state === 'paused');
  await untilCarried(server, 1, 0);
  river.close();
  assert.equal(reader.subscription.state, 'ended');
});

test('through cuts all who share a connection miss nothing', async (t) => {
  const { river, server, log, proxy } = await scene(t);
  const all = [follow(river), follow(river), follow(river)];
  await until('all are live', () => all.every(({ states }) => states.includes('live')));
  for (let n = 0; n < 5; n++) {
    proxy.cut();
    await fill(log, 20, (i) => String(n * 20 + i), 'c');
    await until('all came', () => all.every(({ seen }) => seen.length === (n + 1) * 20));
  }
  for (const { seen } of all) assert.deepEqual(seen, texts(0, 100));
  assert.deepEqual(carried(server), [1, 1]);
});

test('more channels than a connection may follow are spread over several', async (t) => {
  const { river, server, proxy } = await scene(t, { MAX_CHANNELS_PER_CONNECTION: '3' });
  const seen = new Set<string>();
  const channels = Array.from({ length: 8 }, (_, n) => `channel-${n}`);
  const subscriptions = channels.map((name) =>
    river.subscribe(name, { onMessage: ({ channel, data }) => void seen.add(`${channel} ${String(data)}`) }),
  );
  await untilCarried(server, 3, 8);
  assert.equal(proxy.accepted, 3);
  subscriptions.push(river.subscribe('c', { onMessage: () => undefined }));
  await untilCarried(server, 3, 9);
  for (const name of channels) await river.publish(name, 1);
  await until('all came', () => seen.size === 8);
  for (const subscription of subscriptions) subscription.unsubscribe();
  await until('all are left', () => server.stats.subscriptions === 0);
});

test('more than a hundred channels are on one connection where the server allows it', async (t) => {
  const { river, server } = await scene(t, { MAX_CHANNELS_PER_CONNECTION: '150' });
  river.subscribe('c', { onMessage: () => undefined });
  await untilCarried(server, 1, 1);
  for (let n = 1; n < 150; n++) river.subscribe(`channel-${n}`, { onMessage: () => undefined });
  await untilCarried(server, 1, 150);
});
