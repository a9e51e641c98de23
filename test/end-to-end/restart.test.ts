/** The server is stopped, or killed, in the middle of everything, and comes back on the same data. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerProcess } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { cursorOf, WebSocketClient } from '../support/websocket-client.ts';
import { within } from '../support/within.ts';

const TOTAL = 20_000;

function range(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i));
}

/** Sends numbers from `from` on until the connection begins to close, or `to` is reached. Returns the next. */
async function publishUntilClosed(publisher: WebSocketClient, from: number, to: number): Promise<number> {
  let n = from;
  while (n < to && publisher.isOpen) {
    for (let i = 0; i < 20 && n < to; i++) publisher.send(String(n++));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return n;
}

function subscribe(server: ServerProcess, after: string): Promise<WebSocketClient> {
  return WebSocketClient.connect(server.url(`/ws/broadcast?after=${encodeURIComponent(after)}`));
}

async function textsOf(client: WebSocketClient): Promise<string[]> {
  return (await client.rest()).map(({ data }) => data.toString());
}

test('over a stop nothing is missed: the publisher reconnects, the subscriber resumes by its cursor', async (t) => {
  const server = await ServerProcess.start(t, { DATA_DIR: await tempDir(t) });
  await using subscriber = await subscribe(server, 'latest');
  await using publisher = await WebSocketClient.connect(server.url('/ws/manager'));
  const sending = publishUntilClosed(publisher, 0, Number.POSITIVE_INFINITY);
  await subscriber.take(500);
  assert.equal(await server.end('SIGTERM'), 0);
  const sent = await sending;
  const closed = await within('the close', subscriber.closed);
  assert.equal(closed.code, 1012);
  assert.equal((await publisher.closed).code, 1012);
  assert.deepEqual(await textsOf(subscriber), range(500, sent), 'all that was sent is stored and delivered');

  await server.restart();
  await using resumed = await subscribe(server, cursorOf(closed));
  await using again = await WebSocketClient.connect(server.url('/ws/manager'));
  await publishUntilClosed(again, sent, sent + TOTAL);
  assert.deepEqual(await resumed.texts(TOTAL), range(sent, sent + TOTAL));
  await using all = await subscribe(server, 'earliest');
  assert.deepEqual(await all.texts(sent + TOTAL), range(0, sent + TOTAL));
  assert.equal(await server.end('SIGTERM'), 0);
});

test('over a kill nothing that was delivered is lost, and what is stored is stored once and in order', async (t) => {
  const server = await ServerProcess.start(t, { DATA_DIR: await tempDir(t) });
  await using before = await subscribe(server, 'latest');
  await using seeding = await WebSocketClient.connect(server.url('/ws/manager'));
  await publishUntilClosed(seeding, 0, 100);
  await before.take(100);
  assert.equal(await server.end('SIGTERM'), 0);
  const known = cursorOf(await before.closed);

  await server.restart();
  await using live = await subscribe(server, known);
  await using publisher = await WebSocketClient.connect(server.url('/ws/manager'));
  const sending = publishUntilClosed(publisher, 100, Number.POSITIVE_INFINITY);
  await live.take(1000);
  assert.equal(await server.end('SIGKILL'), null);
  await sending;
  assert.equal((await live.closed).code, 1006);
  await live.rest();
  const seen = 100 + live.receivedCount;

  await server.restart();
  await using all = await subscribe(server, 'earliest');
  await using resumed = await subscribe(server, known);
  await using marking = await WebSocketClient.connect(server.url('/ws/manager'));
  marking.send('mark');
  const stored = await untilMark(all);
  assert.ok(stored.length >= seen, `${stored.length} stored, ${seen} seen`);
  assert.deepEqual(stored, range(0, stored.length), 'each once, in order');
  assert.deepEqual(await untilMark(resumed), range(100, stored.length));
  assert.equal(await server.end('SIGTERM'), 0);
});

/** The entries up to the mark. */
async function untilMark(client: WebSocketClient): Promise<string[]> {
  const texts: string[] = [];
  for (let text = await client.text(); text !== 'mark'; text = await client.text()) texts.push(text);
  return texts;
}
