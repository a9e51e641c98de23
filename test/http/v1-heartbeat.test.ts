/** Where a quiet channel stands is said at every heartbeat, so that whoever is cut off resumes from close by. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { GatedLog } from '../support/gated-log.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client, type V1Frame } from '../support/v1-client.ts';

const QUICK = { HEARTBEAT_MS: '200', IDLE_TIMEOUT_MS: '600' };

async function store(log: GatedLog, channel: string, text: string): Promise<void> {
  await log.append(channel, [{ type: 'text', data: Buffer.from(text) }]);
}

test('a quiet channel is told its cursor, about once a heartbeat, and the cursor resumes', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start(QUICK, log);
  await using client = await V1Client.open(server, '?channel=a&channel=b');
  for (let i = 0; i < 2; i++) await client.expect('subscribed');
  await store(log, 'a', '0');
  const [first] = await client.messages('a', 1);
  const start = performance.now();
  const cursors: V1Frame[] = [];
  while (cursors.length < 6) cursors.push(await client.expect('cursor'));
  const elapsed = performance.now() - start;
  // Three for each channel: the first comes after a heartbeat of silence, and a visit more at most.
  assert.ok(elapsed > 450, `${elapsed} ms`);
  const ofA = cursors.filter(({ channel }) => channel === 'a');
  assert.deepEqual([ofA.length, cursors.filter(({ channel }) => channel === 'b').length], [3, 3]);
  assert.match(String(ofA[0]?.['cursor']), new RegExp(`^${first?.id}@\\w+\\.1$`));
  await store(log, 'a', '1');
  await store(log, 'b', '0');
  await using resumed = await V1Client.open(server);
  for (const [channel, text] of [
    ['a', '1'],
    ['b', '0'],
  ] as const) {
    const { cursor } = cursors.findLast((frame) => frame['channel'] === channel) ?? assert.fail();
    await resumed.subscribe(channel, { after: cursor, on_gap: 'fail' });
    assert.deepEqual(await resumed.data(channel, 1), [text]);
  }
});

test('a busy channel is told nothing beside its messages, while a quiet one of the same connection is', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start(QUICK, log);
  await using client = await V1Client.open(server, '?channel=busy&channel=quiet');
  for (let i = 0; i < 2; i++) await client.expect('subscribed');
  for (let n = 0; n < 30; n++) {
    await store(log, 'busy', String(n));
    await delay(20);
  }
  await store(log, 'busy', 'end');
  let cursors = 0;
  for (let last: unknown = null; last !== 'end'; ) {
    const frame = await client.next();
    if (frame['type'] === 'cursor') {
      assert.equal(frame['channel'], 'quiet');
      cursors += 1;
      continue;
    }
    last = (frame['messages'] as { data: unknown }[]).at(-1)?.data;
  }
  assert.ok(cursors >= 1 && cursors <= 4, `${cursors} cursors`);
});

test('a channel that was left is told nothing more', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({ HEARTBEAT_MS: '100', IDLE_TIMEOUT_MS: '1s' }, log);
  await using client = await V1Client.open(server, '?channel=a&channel=b');
  for (let i = 0; i < 2; i++) await client.expect('subscribed');
  client.send({ type: 'unsubscribe', channel: 'a' });
  await client.expect('unsubscribed');
  for (let i = 0; i < 3; i++) assert.equal((await client.expect('cursor'))['channel'], 'b');
});
