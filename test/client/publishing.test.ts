/** The client's queue of what is to be published, against servers that refuse it for a while, or for good. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { connect, type RiverError, type SocketClass } from '../../src/client/index.ts';
import { RivercastError } from '../../src/errors.ts';
import { GatedLog } from '../support/gated-log.ts';
import { dataOf, page } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { within } from '../support/within.ts';

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
