/** Entries that somebody else wrote into Redis, of any shape: each comes by every door, and what is behind it too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStream } from '../support/event-stream.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';

const STREAM = 'local-q';
const LARGE = 10 * 1024 * 1024;

test('entries of any shape in the stream hold nobody up, whatever their size', async () => {
  await using redis = await RedisServer.start();
  await using server = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url });
  await using raw = await server.subscriber();
  await using v1 = await V1Client.open(server, `?channel=${STREAM}`);
  await v1.expect('subscribed');
  await using events = await EventStream.open(`${server.address}/sse`);
  await events.until('the first id', () => events.lastEventId !== '');
  await redis.cli('XADD', STREAM, '*', 'message', 'a field of its own');
  await redis.cli(
    'EVAL',
    `return redis.call('XADD', KEYS[1], '*', 'data', string.rep('x', ${LARGE}))`,
    '1',
    STREAM,
  );
  await redis.cli('EVAL', "return redis.call('XADD', KEYS[1], '*', '\\255\\254', '\\0\\255')", '1', STREAM);
  await redis.cli('XADD', STREAM, '*', 'data', '', 'type', 'no such type', 'p', 'x', 'n', '-1');
  await redis.cli('XADD', STREAM, '*', 'data', '{"half":', 'type', 'json');
  await redis.cli('XADD', STREAM, '*', ...Array.from({ length: 400 }, (_, i) => `f${i}`));
  await using publisher = await server.publisher();
  publisher.send('behind them');

  const sizes = [18, LARGE, 2, 0, 8, 2, 11];
  const received = await raw.take(sizes.length);
  assert.deepEqual(
    received.map(({ data }) => data.length),
    sizes,
  );
  assert.deepEqual([received[2]?.type, received.at(-1)?.data.toString()], ['binary', 'behind them']);
  const messages = await v1.messages(STREAM, sizes.length);
  assert.deepEqual([messages[0]?.data, messages.at(-1)?.data], ['a field of its own', 'behind them']);
  const data = await events.data(sizes.length);
  assert.deepEqual([data[0], data[1]?.length, data.at(-1)], ['a field of its own', LARGE, 'behind them']);
});
