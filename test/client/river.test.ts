/** The client against a real server, over a network that can be cut. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import {
  type ConnectOptions,
  connect,
  type Gap,
  GapError,
  type Message,
  type River,
  RiverError,
  type SocketClass,
  type SubscriptionState,
} from '../../src/client/index.ts';
import { TestServer } from '../support/running-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { REQUIRED, seconds, token } from '../support/tokens.ts';
import { until, within } from '../support/within.ts';

const Class: SocketClass = WebSocket;

interface Scene {
  readonly server: TestServer;
  readonly proxy: TcpProxy;
  readonly river: River;
}

async function scene(
  t: TestContext,
  settings: Record<string, string> = {},
  options: ConnectOptions = {},
): Promise<Scene> {
  const server = await TestServer.start(settings);
  const proxy = await TcpProxy.start(Number(new URL(server.address).port));
  const river = connect(`ws://127.0.0.1:${proxy.port}`, { WebSocket: Class, ...options });
  t.after(async () => {
    river.close();
    await proxy[Symbol.asyncDispose]();
    await server.stop();
  });
  return { server, proxy, river };
}

/** The next messages, by one loop that goes on. */
function reader<Data>(messages: AsyncIterable<Message<Data>>): (count: number) => Promise<Data[]> {
  const iterator = messages[Symbol.asyncIterator]();
  return async (count) => {
    const data: Data[] = [];
    while (data.length < count) {
      const { done, value } = await within('a message', iterator.next());
      if (done === true) throw new Error('the subscription ended');
      data.push(value.data);
    }
    return data;
  };
}

describe('publishing and subscribing', () => {
  test('text, JSON and bytes come as they were, with their ids', async (t) => {
    const { river } = await scene(t);
    const sent: unknown[] = ['text é🙂', '', { a: [1, null] }, 7, null, true, Uint8Array.of(0, 255, 7)];
    const subscription = river.subscribe('c', { after: 'earliest' });
    const ids: string[] = [];
    for (const data of sent) ids.push(await river.publish('c', data));
    const got: Message[] = [];
    for await (const message of subscription) {
      got.push(message);
      if (got.length === sent.length) break;
    }
    assert.deepEqual(
      got.map(({ data }) => data),
      sent,
    );
    assert.deepEqual(
      got.map(({ id }) => id),
      ids,
    );
    assert.ok(
      got.every(({ channel, cursor, id, time }) => channel === 'c' && cursor.startsWith(id) && time > 1e12),
    );
    assert.equal(subscription.state, 'ended');
  });

  test('several channels on one connection, and onMessage', async (t) => {
    const { river, server } = await scene(t);
    const seen: string[] = [];
    const states: SubscriptionState[] = [];
    const note = ({ channel, data }: Message): void => void seen.push(`${channel} ${String(data)}`);
    const a = river.subscribe('a', { onMessage: note, onState: (state) => states.push(state) });
    river.subscribe('b', { onMessage: note });
    await until('both are live', () => server.stats.subscriptions === 2);
    assert.equal(server.stats.connections, 1);
    await river.publish('a', 1);
    await river.publish('b', 2);
    await until('all came', () => seen.length === 2);
    assert.deepEqual(seen.toSorted(), ['a 1', 'b 2']);
    a.unsubscribe();
    a.unsubscribe();
    await until('it is left', () => server.stats.subscriptions === 1);
    assert.deepEqual(states, ['live', 'ended']);
  });

  test('a key publishes once, and what the server refuses is rejected with its code', async (t) => {
    const { river } = await scene(t);
    const [first, second] = await Promise.all([
      river.publish('c', 'x', { key: 'k' }),
      river.publish('c', 'x', { key: 'k' }),
    ]);
    assert.equal(first, second);
    for (const channel of ['no channel', '..']) {
      await assert.rejects(river.publish(channel, 'x'), {
        name: 'RiverError',
        code: 'bad_channel',
        retry: false,
      });
    }
    await assert.rejects(river.publish('c', 'x'.repeat(2 ** 21)), { code: 'too_large' });
    assert.match(await river.publish('c', 'still'), /^\d+-\d+$/);
  });

  test('what a schema does not take ends the subscription, what it makes is given', async (t) => {
    const { river } = await scene(t);
    const schema = {
      '~standard': {
        validate: (value: unknown) =>
          typeof value === 'number' ? { value: value * 2 } : { issues: [{ message: 'no number' }] },
      },
    };
    const take = reader(river.subscribe<number>('c', { after: 'earliest', schema }));
    await river.publish('c', 21);
    await river.publish('c', 'x');
    assert.deepEqual(await take(1), [42]);
    await assert.rejects(take(1), { code: 'invalid', message: /no number/ });
  });

  test('a channel that is none ends at once, with why', async (t) => {
    const { river } = await scene(t);
    const ended = new Promise<Error | null>((resolve) => {
      river.subscribe('no channel', {
        onMessage: () => undefined,
        onState: (_state, error) => resolve(error),
      });
    });
    assert.equal(((await within('the end', ended)) as RiverError).code, 'bad_channel');
  });
});

describe('when the connection is lost', () => {
  test('every message comes once, in order, and every publish is stored once, through ten cuts', async (t) => {
    const { river, proxy, server } = await scene(t);
    const count = 1000;
    const subscription = river.subscribe<number>('c', { after: 'earliest' });
    const take = reader(subscription);
    const stored: Promise<string>[] = [];
    const publishing = (async () => {
      for (let n = 0; n < count; n++) {
        stored.push(river.publish('c', n));
        if (n % 100 !== 99) continue;
        // Some of the last hundred are under way, and both connections are there.
        await stored[n - 99];
        // A connection that is cut before it was of any use is waited for longer and longer.
        await until('both are there', () => server.stats.connections === 2 && subscription.state === 'live');
        proxy.cut();
      }
    })();
    const got = await take(count);
    await publishing;
    const ids = await Promise.all(stored);
    assert.deepEqual(got, [...Array(count).keys()]);
    assert.equal(new Set(ids).size, count);
    assert.ok(proxy.accepted >= 20, `${proxy.accepted} connections`);
  });

  test('half a connection is noticed by its silence', async (t) => {
    const { river, proxy } = await scene(t, { HEARTBEAT_MS: '100', IDLE_TIMEOUT_MS: '60000' });
    const take = reader(river.subscribe('c', { after: 'earliest' }));
    await river.publish('c', 1);
    await take(1);
    proxy.drop('down');
    const before = proxy.accepted;
    await until('it tries again', () => proxy.accepted > before);
    proxy.heal();
    proxy.cut();
    await river.publish('c', 2);
    assert.deepEqual(await take(1), [2]);
  });

  test('what waits for the server is bounded', async (t) => {
    const { river, proxy } = await scene(t, {}, { maxQueued: 3 });
    proxy.drop('up');
    const waiting = [1, 2, 3].map((n) => river.publish('c', n));
    await assert.rejects(river.publish('c', 4), { code: 'queue_full', retry: true });
    proxy.heal();
    proxy.cut();
    assert.equal(new Set(await Promise.all(waiting)).size, 3);
  });

  test('a channel that is left before its answer came can be followed again at once', async (t) => {
    const { river, server } = await scene(t);
    river.subscribe('a', { onMessage: () => undefined });
    await until('it is connected', () => server.stats.subscriptions === 1);
    const first = river.subscribe('b');
    first.unsubscribe();
    const take = reader(river.subscribe('b', { after: 'earliest' }));
    await river.publish('b', 1);
    assert.deepEqual(await take(1), [1]);
    await until('nobody is followed twice', () => server.stats.subscriptions === 2);
  });

  test('a callback that throws costs nobody else anything', async (t) => {
    const { river, proxy, server } = await scene(t);
    t.mock.method(console, 'error', () => undefined);
    const bad = (): never => {
      throw new Error('of the application');
    };
    river.subscribe('a', { onMessage: () => undefined, onState: bad });
    const take = reader(river.subscribe('b', { after: 'earliest' }));
    await until('both are followed', () => server.stats.subscriptions === 2);
    proxy.cut();
    await river.publish('b', 1);
    assert.deepEqual(await take(1), [1]);
    river.subscribe('b', { after: 'earliest', onMessage: bad });
    await until(
      'it is told',
      () => (console.error as unknown as { mock: { callCount(): number } }).mock.callCount() >= 2,
    );
  });

  test('closed, it ends everything and connects no more', async (t) => {
    const { river, proxy, server } = await scene(t);
    const take = reader(river.subscribe('c'));
    await river.publish('c', 1);
    const waiting = take(2);
    proxy.drop('down');
    const publishing = river.publish('c', 2);
    river.close();
    await assert.rejects(publishing, { code: 'closed' });
    await assert.rejects(waiting, /ended/);
    await assert.rejects(river.publish('c', 3), { code: 'closed' });
    await assert.rejects(reader(river.subscribe('c'))(1), { code: 'closed' });
    await until('nobody is there', () => server.stats.connections === 0);
  });
});

describe('gaps and slow readers', () => {
  test('a gap is told; without anybody to tell it to, it ends the subscription', async (t) => {
    const { river, server } = await scene(t, { RETENTION_MAX_ENTRIES: '10' });
    const first = await river.publish('c', 0);
    for (let n = 1; n < 30; n++) await river.publish('c', n);
    const gaps: Gap[] = [];
    const take = reader(river.subscribe<number>('c', { after: first, onGap: (gap) => gaps.push(gap) }));
    assert.deepEqual(await take(10), [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
    assert.deepEqual(
      gaps.map(({ reason, lost }) => [reason, lost]),
      [['trimmed', null]],
    );
    const untold = reader(river.subscribe<number>('c', { after: first }));
    await assert.rejects(untold(1), GapError);
    assert.ok((server.stats.subscriptions ?? 0) <= 2);
  });

  test('a reader that is slower than the messages misses none, and keeps few', async (t) => {
    const { river } = await scene(t);
    const states: SubscriptionState[] = [];
    const options = {
      after: 'earliest',
      buffer: 20,
      onState: (state: SubscriptionState) => void states.push(state),
    };
    const take = reader(river.subscribe<number>('c', options));
    await Promise.all(Array.from({ length: 500 }, (_, n) => river.publish('c', n)));
    await until('it is full', () => states.includes('paused'));
    const got: number[] = [];
    while (got.length < 500) got.push(...(await take(1)));
    assert.deepEqual(got, [...Array(500).keys()]);
    assert.ok(states.filter((state) => state === 'paused').length > 5);
  });

  test('a stored cursor goes on where the last visit ended', async (t) => {
    const { river } = await scene(t);
    let kept: string | null = null;
    const after = { load: () => kept, save: (cursor: string) => void (kept = cursor) };
    for (let n = 0; n < 5; n++) await river.publish('c', n);
    const first = reader(river.subscribe<number>('c', { after: 'earliest' }));
    await first(1);
    for await (const message of river.subscribe<number>('c', { after: 'earliest' })) {
      after.save(message.cursor);
      if (message.data === 2) break;
    }
    assert.deepEqual(await reader(river.subscribe<number>('c', { after }))(2), [3, 4]);
  });
});

describe('tokens', () => {
  const ALL = { sub: 'ann', publish: ['*'], subscribe: ['*'] };

  test('one is exchanged before it is over, and the connection stays', async (t) => {
    let asked = 0;
    const source = async (): Promise<string> => {
      asked += 1;
      return token({ ...ALL, exp: seconds(2) });
    };
    const { river, proxy } = await scene(t, REQUIRED, { token: source });
    const take = reader(river.subscribe('c', { after: 'earliest' }));
    await until('it was exchanged', () => asked >= 3);
    await river.publish('c', 'x');
    assert.deepEqual(await take(1), ['x']);
    assert.equal(proxy.accepted, 2);
  });

  test('one that is refused is asked for once more, and then it is over', async (t) => {
    let asked = 0;
    const source = (): string => {
      asked += 1;
      return 'bad';
    };
    const { river } = await scene(t, REQUIRED, { token: source });
    await assert.rejects(within('the end', river.publish('c', 'x')), { code: 'unauthenticated' });
    assert.equal(asked, 2);
    // What is asked later is tried anew: there may be another token by then.
    await assert.rejects(within('the end', river.publish('c', 'x')), { code: 'unauthenticated' });
    await assert.rejects(within('the end', reader(river.subscribe('c'))(1)), { code: 'unauthenticated' });
    await assert.rejects(within('the end', reader(river.subscribe('c'))(1)), { code: 'unauthenticated' });
  });

  test('what it does not allow is told by its code', async (t) => {
    const { river } = await scene(t, REQUIRED, { token: () => token({ publish: ['a'], subscribe: ['a'] }) });
    await assert.rejects(river.publish('b', 'x'), { code: 'forbidden' });
    await assert.rejects(reader(river.subscribe('b'))(1), { code: 'forbidden' });
    await river.publish('a', 'x');
  });
});
