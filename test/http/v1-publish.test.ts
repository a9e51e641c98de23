/** Publishing with `rivercast.v1` over real servers: what is acknowledged is stored, in order, under that id. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { page } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { until } from '../support/within.ts';

function messagesPath(channel: string): string {
  return `/api/channels/${channel}/messages`;
}

test('each publish is acknowledged with the id it is stored under, in its own words', async () => {
  await using server = await TestServer.start();
  await using subscriber = await server.subscriber('?channel=scores');
  await using publisher = await V1PublisherClient.open(server, '?channel=scores');
  publisher.publish('text', { ref: 1 });
  publisher.publish({ a: [1, null] }, { ref: 'two' });
  publisher.send({ type: 'publish', data64: Buffer.from([0, 255]).toString('base64') });
  publisher.publish('elsewhere', { channel: 'other', ref: 4 });
  const acks = await publisher.take(4);
  assert.deepEqual(
    acks.map(({ type, ref, duplicate }) => [type, ref, duplicate]),
    [
      ['ack', 1, false],
      ['ack', 'two', false],
      ['ack', undefined, false],
      ['ack', 4, false],
    ],
  );
  const { messages } = await page(server, { after: 'earliest' }, messagesPath('scores'));
  assert.deepEqual(messages, [
    { id: acks[0]?.['id'], data: 'text' },
    { id: acks[1]?.['id'], data: { a: [1, null] } },
    { id: acks[2]?.['id'], data64: 'AP8=' },
  ]);
  const other = await page(server, { after: 'earliest' }, messagesPath('other'));
  assert.deepEqual(other.messages, [{ id: acks[3]?.['id'], data: 'elsewhere' }]);
  const live = await subscriber.take(3);
  assert.deepEqual(
    live.map(({ type, data }) => [type, data.toString('latin1')]),
    [
      ['text', 'text'],
      ['text', '{"a":[1,null]}'],
      ['binary', '\0\xff'],
    ],
  );
});

test('the hello names server, heartbeat and the life of keys, and the default channel is published to', async () => {
  await using server = await TestServer.start({ IDEMPOTENCY_WINDOW_MS: '90s' });
  await using socket = await server.publisher('', { protocols: ['rivercast.v1'] });
  assert.equal(socket.protocol, 'rivercast.v1');
  const hello = JSON.parse(await socket.text()) as Record<string, unknown>;
  assert.match(String(hello['server']), /^rivercast\/\d/);
  assert.deepEqual([hello['type'], hello['heartbeat'], hello['keys']], ['hello', 25, 90]);
  socket.send('{"type":"publish","data":"x"}');
  const { id } = JSON.parse(await socket.text()) as { id: string };
  assert.deepEqual((await page(server)).messages, [{ id, data: 'x' }]);
});

describe('answers come in the order of asking', () => {
  test('across channels of which one stands still, refusals among them', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await using publisher = await V1PublisherClient.open(server);
    log.hold('append');
    publisher.publish('1', { ref: 1, channel: 'slow' });
    await until('the append is under way', () => log.running('append') === 1);
    log.release('append');
    log.hold('append');
    publisher.publish('2', { ref: 2, channel: 'slow' });
    publisher.publish('3', { ref: 3, channel: 'quick' });
    publisher.send('not JSON');
    publisher.publish('5', { ref: 5, channel: 'not a channel' });
    publisher.publish('6', { ref: 6 });
    assert.equal((await publisher.expect('ack'))['ref'], 1);
    await until('both are under way', () => log.running('append') === 3);
    assert.equal(publisher.socket.receivedCount, 2);
    log.release('append');
    const answers = await publisher.take(5);
    assert.deepEqual(
      answers.map(({ type, ref, code }) => [type, ref, code]),
      [
        ['ack', 2, undefined],
        ['ack', 3, undefined],
        ['error', undefined, 'bad_request'],
        ['error', 5, 'bad_channel'],
        ['ack', 6, undefined],
      ],
    );
  });

  test('with thousands in flight to random channels, each under its id in the history', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    const count = 5000;
    const channels = Array.from({ length: 37 }, (_, i) => `c${i}`);
    const sent = Array.from({ length: count }, (_, n) => ({
      channel: channels[(n * 7919) % 37] as string,
      n,
    }));
    for (const { channel, n } of sent) publisher.publish(n, { channel, ref: n });
    const acks = await publisher.take(count);
    assert.deepEqual(
      acks.map(({ ref }) => ref),
      sent.map(({ n }) => n),
    );
    for (const channel of channels) {
      const { messages } = await page(server, { after: 'earliest', limit: 1000 }, messagesPath(channel));
      const expected = sent
        .filter((one) => one.channel === channel)
        .map(({ n }) => ({ id: acks[n]?.['id'], data: n }));
      assert.deepEqual(messages, expected);
    }
  });
});

test('what cannot be done is an error, and the connection goes on', async () => {
  await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '1kib' });
  await using publisher = await V1PublisherClient.open(server);
  publisher.send(Buffer.from('{"type":"publish","data":"x"}'));
  publisher.send('{"type":"subscribe","channel":"c","ref":1}');
  publisher.publish('x'.repeat(1025), { ref: 2 });
  publisher.publish('x', { ref: 3, key: '' });
  publisher.publish('\0'.repeat(1024), { ref: 4 });
  const answers = await publisher.take(5);
  assert.deepEqual(
    answers.map(({ type, code, ref, retry }) => [type, code, ref, retry]),
    [
      ['error', 'bad_request', undefined, false],
      ['error', 'bad_request', 1, false],
      ['error', 'too_large', 2, false],
      ['error', 'bad_request', 3, false],
      ['ack', undefined, 4, undefined],
    ],
  );
  assert.equal(publisher.socket.isOpen, true);
});

test('a frame that is larger than any message could make it ends the connection, and no other', async () => {
  await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '1kib' });
  await using bystander = await V1PublisherClient.open(server);
  await using publisher = await V1PublisherClient.open(server);
  await publisher.published('before');
  publisher.publish('x'.repeat(6 * 1024 + 4096));
  assert.equal((await publisher.socket.closed).code, 1009);
  await bystander.published('after');
  assert.deepEqual(
    (await page(server)).messages.map(({ data }) => data),
    ['before', 'after'],
  );
});
