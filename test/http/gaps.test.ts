/** What was trimmed is told, with a cursor that goes on behind it; nobody is left with a silent hole. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { TestServer } from '../support/running-server.ts';
import { cursorOf, type Refused, WebSocketClient } from '../support/websocket-client.ts';
import { until, within } from '../support/within.ts';

const CHANNEL = 'local-q';

interface Trimmed {
  readonly log: GatedLog;
  readonly server: TestServer;
  readonly publisher: WebSocketClient;
  /** After entry 1 of 10, which is trimmed with all but the last three. */
  readonly old: string;
}

async function trimmed(): Promise<Trimmed & AsyncDisposable> {
  const log = new GatedLog();
  const server = await TestServer.start({}, log);
  const publisher = await server.publisher();
  for (let n = 0; n < 10; n++) publisher.send(String(n));
  // Nobody follows yet: what was sent to somebody lately would be sent again from memory, trimmed or not.
  await untilStored(log, 10);
  const { id, epoch, ordinal } = await log.inner.locate(CHANNEL, { at: 'last', count: 8 });
  await log.trim(CHANNEL, { maxEntries: 3 });
  return {
    log,
    server,
    publisher,
    old: `${id}@${epoch}.${ordinal}`,
    [Symbol.asyncDispose]: async () => {
      publisher.terminate();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function untilStored(log: GatedLog, count: number): Promise<void> {
  await until(`${count} are stored`, async () => (await log.inner.bounds(CHANNEL)).tipOrdinal >= count);
}

function gapOf({ status, body }: Refused): Record<string, unknown> {
  assert.equal(status, 410);
  return body;
}

describe('a gap at the start', () => {
  test('is answered with 410, what is lost, and a cursor that resumes', async () => {
    await using scene = await trimmed();
    const { server, old } = scene;
    const body = gapOf(
      await WebSocketClient.refused(server.url(`/ws/broadcast?after=${encodeURIComponent(old)}`)),
    );
    assert.deepEqual([body['code'], body['reason'], body['lost']], ['gap', 'trimmed', 5]);
    assert.match(String(body['floor']), /^\d+-\d+$/);
    await using client = await server.subscriber(`?after=${encodeURIComponent(String(body['cursor']))}`);
    assert.deepEqual(await client.texts(3), ['7', '8', '9']);
  });

  test('is told to a browser by the close, with the same cursor', async () => {
    await using scene = await trimmed();
    const { server, old } = scene;
    await using client = await server.subscriber(`?after=${encodeURIComponent(old)}`, {
      origin: server.address,
    });
    const closed = await client.closed;
    assert.equal(closed.code, 4410);
    await using resumed = await server.subscriber(`?after=${encodeURIComponent(cursorOf(closed))}`);
    assert.deepEqual(await resumed.texts(3), ['7', '8', '9']);
  });

  test('is passed over with on_gap=skip', async () => {
    await using scene = await trimmed();
    const { server, old, publisher } = scene;
    await using client = await server.subscriber(`?after=${encodeURIComponent(old)}&on_gap=skip`);
    publisher.send('10');
    assert.deepEqual(await client.texts(4), ['7', '8', '9', '10']);
  });

  test('is met by a plain id as by a whole cursor, and by 0-0', async () => {
    await using scene = await trimmed();
    const { server, old } = scene;
    const id = old.split('@')[0] as string;
    const body = gapOf(await WebSocketClient.refused(server.url(`/ws/broadcast?after=${id}`)));
    assert.equal(body['reason'], 'trimmed');
    const fromZero = gapOf(await WebSocketClient.refused(server.url('/ws/broadcast?after=0-0')));
    assert.equal(fromZero['lost'], 7);
  });

  test('is never met by a start that claims nothing', async () => {
    await using scene = await trimmed();
    const { server } = scene;
    for (const after of ['earliest', 'last:8', '-5m', '2020-01-01']) {
      await using client = await server.subscriber(`?after=${after}`);
      assert.deepEqual(await client.texts(3), ['7', '8', '9'], after);
    }
  });

  test('of another history is a reset, and goes on from the beginning of this one', async () => {
    await using scene = await trimmed();
    const { server, old } = scene;
    const forged = old.replace(/@[0-9a-f]+/, '@feedfacecafe');
    const body = gapOf(await WebSocketClient.refused(server.url(`/ws/broadcast?after=${forged}`)));
    assert.deepEqual([body['reason'], body['lost']], ['reset', null]);
    await using client = await server.subscriber(`?after=${forged}&on_gap=skip`);
    assert.deepEqual(await client.texts(3), ['7', '8', '9']);
  });

  test('behind the tip is a reset, not a wait for an id that may never come', async () => {
    await using scene = await trimmed();
    const { server, publisher } = scene;
    const body = gapOf(await WebSocketClient.refused(server.url('/ws/broadcast?after=99999999999999-0')));
    assert.equal(body['reason'], 'reset');
    await using client = await server.subscriber(`?after=${encodeURIComponent(String(body['cursor']))}`);
    publisher.send('10');
    assert.equal(await client.text(), '10');
  });
});

describe('a gap while connected', () => {
  /** A subscriber that got entries 7 to 9; then follow-up entries are trimmed before anybody looks. */
  async function missing(scene: Trimmed): Promise<void> {
    const { inner } = scene.log;
    const entries = ['10', '11', '12'].map((text) => ({ type: 'text' as const, data: Buffer.from(text) }));
    // In one turn, so that whoever follows the log looks only afterwards.
    await Promise.all([inner.append(CHANNEL, entries), inner.trim(CHANNEL, { maxEntries: 1 })]);
  }

  test('closes a subscriber with 4410, and its cursor goes on behind the gap', async () => {
    await using scene = await trimmed();
    await using client = await scene.server.subscriber('?after=earliest');
    assert.deepEqual(await client.texts(3), ['7', '8', '9']);
    await missing(scene);
    const closed = await within('the close', client.closed);
    assert.equal(closed.code, 4410);
    assert.equal((await client.rest()).length, 0);
    await using resumed = await scene.server.subscriber(`?after=${encodeURIComponent(cursorOf(closed))}`);
    assert.equal(await resumed.text(), '12');
  });

  test('does not close one that asked for on_gap=skip', async () => {
    await using scene = await trimmed();
    await using client = await scene.server.subscriber('?after=earliest&on_gap=skip');
    assert.deepEqual(await client.texts(3), ['7', '8', '9']);
    await missing(scene);
    assert.equal(await client.text(), '12');
  });

  test('closes one that began at the tip and has been sent nothing yet', async () => {
    await using scene = await trimmed();
    await using client = await scene.server.subscriber();
    await missing(scene);
    const closed = await within('the close', client.closed);
    assert.equal(closed.code, 4410);
  });
});
