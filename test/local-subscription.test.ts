/** What the program around an embedded server follows in its own process: all of it, in order, at its own pace. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { type Gap, GapError } from '../src/client/error.ts';
import type { Message } from '../src/client/message.ts';
import { type AttachedServer, createServer } from '../src/create-server.ts';
import { within } from './support/within.ts';

const SETTINGS = { store: 'memory', logLevel: 'silent', drainSeconds: 0, drainTimeoutMs: '2s' };

async function river(t: TestContext, settings: object = {}): Promise<AttachedServer> {
  const created = await createServer({ ...SETTINGS, ...settings });
  t.after(() => created.close());
  return created;
}

async function removeBefore(t: TestContext, created: AttachedServer, id: string): Promise<void> {
  const server = createHttp((request, response) => created.request(request, response));
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const path = `/api/channels/scores/messages?before=${id}`;
  const { status } = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'DELETE' });
  assert.equal(status, 200);
}

async function publishNumbers(created: AttachedServer, from: number, to: number, text = ''): Promise<void> {
  const numbers = Array.from({ length: to - from }, (_, i) => `${from + i}${text}`);
  await Promise.all(numbers.map((number) => created.publish('scores', number)));
}

/** Takes so many, and leaves. */
async function take<Data>(from: AsyncIterable<Message<Data>>, count: number): Promise<Message<Data>[]> {
  const messages: Message<Data>[] = [];
  const taking = async (): Promise<void> => {
    for await (const message of from) {
      messages.push(message);
      if (messages.length === count) return;
    }
  };
  await within(`${count} messages`, taking());
  return messages;
}

function dataOf(messages: readonly Message[]): unknown[] {
  return messages.map(({ data }) => data);
}

describe('a subscription in the process', () => {
  test('gets what is stored once it has its place, as it was published', async (t) => {
    const created = await river(t);
    await created.publish('scores', 'before');
    const subscription = await created.subscribe('scores');
    const { id } = await created.publish('scores', 'text');
    await created.publish('scores', { home: 1 });
    await created.publish('scores', new Uint8Array([1, 2, 3]));
    await created.publish('scores', '');
    const messages = await take(subscription, 4);
    assert.deepEqual(dataOf(messages), ['text', { home: 1 }, new Uint8Array([1, 2, 3]), '']);
    const [first] = messages;
    assert.equal(first?.id, id);
    assert.equal(first?.channel, 'scores');
    assert.equal(first?.cursor, `${id}@${first?.epoch}`);
    assert.equal(first?.time, Number(id.split('-')[0]));
  });

  test('starts where it is told, and goes on after a cursor', async (t) => {
    const created = await river(t);
    await publishNumbers(created, 0, 10);
    const last = await take(await created.subscribe('scores', { after: 'last:3' }), 2);
    assert.deepEqual(dataOf(last), ['7', '8']);
    const cursor = last.at(-1)?.cursor ?? '';
    assert.deepEqual(dataOf(await take(await created.subscribe('scores', { after: cursor }), 1)), ['9']);
  });

  test('gives one message at a time to onMessage, and nothing more once it is left', async (t) => {
    const created = await river(t);
    let busy = 0;
    const seen: unknown[] = [];
    const subscription = await created.subscribe('scores', {
      onMessage: async ({ data }) => {
        busy += 1;
        assert.equal(busy, 1);
        await new Promise((resolve) => setImmediate(resolve));
        busy -= 1;
        seen.push(data);
        if (seen.length === 20) subscription.unsubscribe();
      },
    });
    await publishNumbers(created, 0, 50);
    assert.equal(await within('the end', subscription.ended), null);
    assert.deepEqual(
      seen,
      Array.from({ length: 20 }, (_, i) => `${i}`),
    );
    assert.equal(created.stats().subscribers, 0);
  });

  test('what onMessage throws ends it, and is told', async (t) => {
    const created = await river(t);
    const subscription = await created.subscribe('scores', {
      onMessage: () => {
        throw new Error('no such team');
      },
    });
    await created.publish('scores', 'one');
    assert.match(String(await within('the end', subscription.ended)), /no such team/);
    assert.equal(created.stats().subscribers, 0);
  });

  test('a store of cursors is given the place it begins at, and each that was dealt with', async (t) => {
    const created = await river(t);
    let kept: string | null = null;
    const store = { load: () => kept, save: (cursor: string) => void (kept = cursor) };
    const first = await created.subscribe('scores', { after: store });
    assert.notEqual(kept, null);
    await publishNumbers(created, 0, 4);
    // Taken are three; the third is dealt with once the next is asked for, and it never was.
    assert.deepEqual(dataOf(await take(first, 3)), ['0', '1', '2']);
    assert.deepEqual(dataOf(await take(await created.subscribe('scores', { after: store }), 2)), ['2', '3']);
  });

  test('a reader that stands still holds one write of memory, nobody else up, and misses nothing', async (t) => {
    const created = await river(t, { ringBytes: '1mib' });
    const still = await created.subscribe('scores');
    const lively = await created.subscribe('scores');
    const count = 2000;
    const pad = 'x'.repeat(2000);
    const all = take(lively, count);
    await publishNumbers(created, 0, count, pad);
    await all;
    const { stalled, stalledBytes } = created.stats();
    assert.equal(stalled, 1);
    assert.ok((stalledBytes ?? 0) <= 512 * 1024, `${stalledBytes} bytes`);
    const data = dataOf(await take(still, count));
    assert.deepEqual(
      data,
      Array.from({ length: count }, (_, i) => `${i}${pad}`),
    );
  });

  test('a quick reader of much holds nobody up', async (t) => {
    const created = await river(t);
    // Somebody follows, so that all of it is in memory.
    await created.subscribe('scores', { onMessage: () => undefined });
    await publishNumbers(created, 0, 20_000, ' '.repeat(100));
    let turns = 0;
    let isRead = false;
    const turn = (): void => {
      turns += 1;
      if (!isRead) setImmediate(turn);
    };
    let read = 0;
    let done = (): void => undefined;
    const all = new Promise<void>((resolve) => {
      done = resolve;
    });
    const onMessage = (): void => {
      read += 1;
      if (read === 1) turn();
      if (read === 20_000) done();
    };
    await created.subscribe('scores', { after: 'earliest', onMessage });
    await within('all messages', all);
    isRead = true;
    assert.ok(turns > 5, `${turns} turns`);
  });

  test('one whose store of cursors fails leaves nothing behind', async (t) => {
    const created = await river(t);
    const after = {
      load: () => null,
      save: () => {
        throw new Error('no room');
      },
    };
    await assert.rejects(created.subscribe('scores', { after }), /no room/);
    assert.equal(created.stats().subscribers, 0);
  });

  test('one that is cut as too slow goes on where it was, once it reads', async (t) => {
    const created = await river(t, { slowAfterMs: '1s', slowEntries: 10, heartbeatMs: '1s' });
    const subscription = await created.subscribe('scores');
    // The second write waits behind the first, which nobody takes.
    await publishNumbers(created, 0, 1);
    await publishNumbers(created, 1, 100);
    const cut = async (): Promise<void> => {
      while (created.stats().subscribers !== 0) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await within('it to be cut', cut());
    assert.deepEqual(
      dataOf(await take(subscription, 100)),
      Array.from({ length: 100 }, (_, i) => `${i}`),
    );
  });

  test('a gap is told, or ends it', async (t) => {
    const created = await river(t);
    const { id: after } = await created.publish('scores', 'first');
    await publishNumbers(created, 1, 9);
    const { id: last } = await created.publish('scores', 'last');
    await removeBefore(t, created, last);
    const gaps: Gap[] = [];
    const told = await created.subscribe('scores', { after, onGap: (gap) => gaps.push(gap) });
    assert.deepEqual(dataOf(await take(told, 1)), ['last']);
    assert.deepEqual(
      gaps.map(({ channel, reason, lost }) => [channel, reason, lost]),
      [['scores', 'trimmed', null]],
    );
    const untold = await created.subscribe('scores', { after });
    await assert.rejects(take(untold, 1), GapError);
    assert.ok((await untold.ended) instanceof GapError);
    assert.equal(created.stats().subscribers, 0);
  });

  test('a close of the server gives out what is stored, then ends it and says where it would go on', async (t) => {
    const created = await river(t);
    const idle = await created.subscribe('scores');
    const busy = await created.subscribe('scores');
    await publishNumbers(created, 0, 10);
    const taken = take(idle, 11);
    assert.equal(await within('the close', created.close()), true);
    assert.deepEqual((await taken).length, 10);
    assert.equal(await idle.ended, null);
    const rest = await take(busy, 11);
    assert.equal(rest.length, 10);
    assert.equal(busy.after, rest.at(-1)?.cursor);
    await assert.rejects(created.subscribe('scores'), { code: 'draining' });
  });

  test('what cannot be followed is refused with its code', async (t) => {
    const created = await river(t);
    await assert.rejects(created.subscribe('no channel'), { code: 'bad_channel' });
    await assert.rejects(created.subscribe('scores', { after: 'yesterday' }), { code: 'bad_cursor' });
    const subscription = await created.subscribe('scores');
    await created.publish('scores', 'one');
    await take(subscription, 1);
    await assert.rejects(take(subscription, 1), { code: 'bad_request' });
  });
});
