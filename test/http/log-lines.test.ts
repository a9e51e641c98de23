/** What is logged: a line for each change of state, and none for each try or message. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { TestServer } from '../support/running-server.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { until } from '../support/within.ts';

const REGULAR = { HEARTBEAT_MS: '100ms', IDLE_TIMEOUT_MS: '20s' };

function among(said: readonly string[], words: string): number {
  return said.filter((line) => line.includes(words)).length;
}

test('that the log can not be followed is said once, and once more when it can', async () => {
  const said: string[] = [];
  const log = new GatedLog();
  for (let n = 0; n < 3; n++) log.failNext('wait', new Error('a read failed'));
  await using server = await TestServer.start({ LOG_LEVEL: 'info' }, log, said);
  await using subscriber = await server.subscriber();
  await until('it was tried again', () => log.count('wait') > 3);
  await using publisher = await server.publisher();
  publisher.send('x');
  await subscriber.take(1);
  await until('it is said', () => among(said, 'followed again') === 1);
  assert.equal(among(said, 'following the log failed'), 1);
});

test('that a log takes nothing is said once, however many are refused, and once more when it does', async () => {
  const said: string[] = [];
  const log = new GatedLog();
  const settings = { ...REGULAR, OVERLOADED_AFTER_MS: '100ms', LOG_LEVEL: 'info' };
  await using server = await TestServer.start(settings, log, said);
  await using publisher = await V1PublisherClient.open(server);
  log.hold('append');
  for (let n = 0; n < 10; n++) publisher.publish(n);
  await publisher.take(10);
  await until('it is said', () => among(said, 'takes nothing') === 1);
  for (let n = 0; n < 100; n++) publisher.publish(n);
  await publisher.take(100);
  log.release('append');
  await until('it is said', () => among(said, 'takes everything again') === 1);
  assert.equal(among(said, 'takes nothing'), 1);
});

test('nothing is said of messages, refusals and connections', async () => {
  const said: string[] = [];
  await using server = await TestServer.start({ LOG_LEVEL: 'info' }, undefined, said);
  const before = said.length;
  await using subscriber = await server.subscriber();
  await using publisher = await V1PublisherClient.open(server);
  for (let n = 0; n < 50; n++) publisher.publish(n, n % 2 === 0 ? {} : { channel: 'no name' });
  await publisher.take(50);
  await subscriber.take(25);
  await fetch(`${server.address}/api/channels/c/messages?after=nonsense`);
  await subscriber.close();
  assert.deepEqual(said.slice(before), []);
});
