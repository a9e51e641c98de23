/** The client's queue of what is to be published, against servers that refuse it for a while, or for good. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { connect, type RiverError, type SocketClass } from '../../src/client/index.ts';
import { Publisher } from '../../src/client/publisher.ts';
import { type ErrorCode, RivercastError } from '../../src/errors.ts';
import { GatedLog } from '../support/gated-log.ts';
import { dataOf, page } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until, within } from '../support/within.ts';

const Class: SocketClass = WebSocket;

test('what is refused for a while is sent again in its order, and before what comes then', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({}, log);
  const river = connect(server.address, { WebSocket: Class });
  await river.publish('local-q', -1);
  log.failNext('append', new RivercastError('log_unavailable', 'a fault'));
  const early = Array.from({ length: 50 }, (_, n) => river.publish('local-q', n));
  // Answers come in order: by then the refusals are there, and the next try is half a second away.
  await within('what was not refused', early[49] as Promise<string>);
  await within('all', Promise.all([...early, river.publish('local-q', 50)]));
  const numbers = dataOf((await page(server)).messages) as number[];
  assert.deepEqual(
    numbers.toSorted((a, b) => a - b),
    Array.from({ length: 52 }, (_, n) => n - 1),
  );
  assert.equal(numbers.at(-1), 50);
  // Those that were stored at once, then those that were refused: each of the two in order.
  const steps = numbers.filter((number, i) => number < (numbers[i - 1] ?? -1)).length;
  assert.equal(steps, 1, numbers.join(' '));
  river.close();
});

test('one that no server takes is refused, and the others are stored', async () => {
  await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '1kib' });
  const river = connect(server.address, { WebSocket: Class });
  const before = river.publish('local-q', 'before');
  const large = river.publish('local-q', 'x'.repeat(200_000));
  const behind = river.publish('local-q', 'behind');
  await assert.rejects(within('a refusal', large), (error: RiverError) => error.code === 'too_large');
  await within('the others', Promise.all([before, behind]));
  assert.deepEqual(dataOf((await page(server)).messages), ['before', 'behind']);
  river.close();
});

test('what is refused again is not overtaken by what was published behind it', async (t) => {
  t.mock.method(Math, 'random', () => 0);
  const log = new GatedLog();
  await using server = await TestServer.start({}, log);
  const river = connect(server.address, { WebSocket: Class });
  await river.publish('local-q', -1);
  // The first one is appended alone, the others behind it together: both fail, and then the first one by itself.
  log.hold('append');
  for (let n = 0; n < 3; n++) log.failNext('append', new RivercastError('log_unavailable', 'a fault'));
  const all = Array.from({ length: 20 }, (_, n) => river.publish('local-q', n));
  await until('all are received', () => server.stats.unstoredBytes >= 20);
  log.release('append');
  await within('all', Promise.all(all));
  assert.deepEqual(
    dataOf((await page(server)).messages),
    Array.from({ length: 21 }, (_, n) => n - 1),
  );
  assert.ok(log.count('append') >= 23, 'one by one');
  river.close();
});

test('a channel that is refused for a while does not hold up the others', async (t) => {
  t.mock.method(Math, 'random', () => 0.99);
  const log = new GatedLog();
  await using server = await TestServer.start({}, log);
  const river = connect(server.address, { WebSocket: Class });
  await river.publish('other', 0);
  log.failNext('append', new RivercastError('overloaded', 'a fault'));
  let isStored = false;
  const refused = river.publish('local-q', 1).then(() => (isStored = true));
  await within('the other', river.publish('other', 1));
  await within('the other, once more', river.publish('other', 2));
  assert.equal(isStored, false);
  await within('the refused one', refused);
  river.close();
});

test('faster than it may, a publisher comes through in order', async () => {
  await using server = await TestServer.start({ MAX_PUBLISHES_PER_SECOND: '20' });
  const river = connect(server.address, { WebSocket: Class });
  const all = Array.from({ length: 50 }, (_, n) => river.publish('local-q', n));
  const refused = within('what was let through at once', all[0] as Promise<string>);
  await refused;
  await within('all', Promise.all([...all, river.publish('local-q', 50)]));
  const numbers = dataOf((await page(server)).messages) as number[];
  assert.equal(numbers.length, 51);
  assert.equal(numbers.at(-1), 50);
  // What was on its way when the first was refused may have come through, in its order.
  const steps = numbers.filter((number, i) => number < (numbers[i - 1] ?? -1)).length;
  assert.ok(steps <= 1, numbers.join(' '));
  river.close();
});

/** A message that is refused, then the clock goes on: unless told otherwise, beyond the life of keys. */
async function refusedLongAgo(
  t: TestContext,
  code: ErrorCode,
  { window = '10m', agoMs = 600_000 }: { readonly window?: string; readonly agoMs?: number } = {},
): Promise<string> {
  const log = new GatedLog();
  const server = await TestServer.start({ IDEMPOTENCY_WINDOW_MS: window }, log);
  const river = connect(server.address, { WebSocket: Class });
  t.after(async () => {
    river.close();
    await server.stop();
  });
  await river.publish('local-q', 0);
  await river.publish('b', 0);
  log.hold('append');
  log.failNext('append', new RivercastError(code, 'a fault'));
  const refused = river.publish('local-q', 1);
  // Answers come in order: when this one is there, so is the refusal.
  const behind = river.publish('b', 1);
  await until('both are received', () => log.running('append') === 2);
  log.release('append');
  await within('the answer', behind);
  const { now } = Date;
  t.mock.method(Date, 'now', () => now() + agoMs);
  return refused;
}

test('what was refused, and certainly not stored, is sent again however late', async (t) => {
  assert.match(await within('an answer', refusedLongAgo(t, 'overloaded')), /^\d+-\d+$/);
});

test('what may have been stored is not sent again once the server may have forgotten its key', async (t) => {
  const refused = refusedLongAgo(t, 'log_unavailable');
  await assert.rejects(within('an answer', refused), { code: 'unknown', retry: false });
});

test('for how long its keys are known, the server says', async (t) => {
  const minute = 60_000;
  // Nothing is sent again in the last minute.
  for (const [window, keptMs] of [
    ['10m', 9 * minute],
    ['3m', 2 * minute],
    ['1h', 59 * minute],
  ] as const) {
    const early = refusedLongAgo(t, 'log_unavailable', { window, agoMs: keptMs - minute / 2 });
    assert.match(await within(`an answer within ${window}`, early), /^\d+-\d+$/);
    t.mock.restoreAll();
    const late = refusedLongAgo(t, 'log_unavailable', { window, agoMs: keptMs + 1 });
    await assert.rejects(within(`an answer after ${window}`, late), { code: 'unknown' });
    t.mock.restoreAll();
  }
});

test('so it is with what was not answered before the connection was lost', async (t) => {
  await using server = await TestServer.start();
  await using proxy = await TcpProxy.start(Number(new URL(server.address).port));
  const river = connect(`http://127.0.0.1:${proxy.port}`, { WebSocket: Class });
  await river.publish('local-q', 0);
  proxy.drop('down');
  const unanswered = river.publish('local-q', 1);
  await until('it is stored', async () => (await page(server)).messages.length === 2);
  const { now } = Date;
  t.mock.method(Date, 'now', () => now() + 600_000);
  proxy.heal();
  proxy.cut();
  const later = river.publish('local-q', 2);
  await assert.rejects(within('an answer', unanswered), { code: 'unknown' });
  await within('the next one', later);
  assert.deepEqual(dataOf((await page(server)).messages), [0, 1, 2]);
  river.close();
});

test('what waits is bounded in bytes too, but one alone may be as large as it likes', async () => {
  await using server = await TestServer.start();
  await using proxy = await TcpProxy.start(Number(new URL(server.address).port));
  const river = connect(`http://127.0.0.1:${proxy.port}`, { WebSocket: Class, maxQueuedBytes: 1000 });
  proxy.drop('up');
  const waiting = [river.publish('local-q', 'x'.repeat(600))];
  await assert.rejects(river.publish('local-q', 'y'.repeat(600)), { code: 'queue_full', retry: true });
  waiting.push(river.publish('local-q', 'z'));
  proxy.heal();
  proxy.cut();
  await within('both', Promise.all(waiting));
  await within('a large one', river.publish('local-q', 'x'.repeat(2000)));
  river.close();
});

test('a large message on a slow line is sent once', async () => {
  await using server = await TestServer.start();
  await using proxy = await TcpProxy.start(Number(new URL(server.address).port));
  proxy.throttle(1_000_000);
  const where = { url: `ws://127.0.0.1:${proxy.port}/ws/manager`, WebSocket: Class };
  const publisher = new Publisher(where, 200);
  await within('it is stored', publisher.publish('local-q', 'x'.repeat(1_000_000), {}));
  assert.equal(proxy.accepted, 1);
  publisher.close();
});

test('publishing goes to another server, if that is said', async () => {
  await using followed = await TestServer.start();
  await using published = await TestServer.start();
  const river = connect(followed.address, { WebSocket: Class, publishUrl: `${published.address}/` });
  river.subscribe('local-q', { onMessage: () => undefined });
  await until('it is followed', () => followed.stats.subscriptions === 1);
  await river.publish('local-q', 'there');
  assert.deepEqual(dataOf((await page(published)).messages), ['there']);
  assert.deepEqual(dataOf((await page(followed)).messages), []);
  river.close();
});
