/** What comes between two steps of ours: something deleted between the looks of a read, an abort before a wait blocks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, next, openLog, ownChannel, payloads, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { within } from '../support/within.ts';

test('a deletion between the look and the entries of a read is told', async (t) => {
  await using server = await RedisServer.start();
  await using proxy = await TcpProxy.start(server.port);
  const log = await openLog(t, `redis://127.0.0.1:${proxy.port}`);
  const { channel, key } = ownChannel();
  // Somebody else's, since these do not say themselves what they follow.
  const ids: string[] = [];
  for (const text of ['a', 'b', 'c']) ids.push(await server.cli('XADD', key, '*', 'm', text));
  const start = await log.locate(channel, { at: 'earliest' });
  let interrupted = 0;
  proxy.interrupt('xrange', async () => {
    interrupted += 1;
    await server.cli('XDEL', key, ids[1] as string);
  });
  const page = await log.read(channel, start, LIMITS);
  assert.equal(interrupted, 1);
  assert.deepEqual(payloads(page), ['a', 'c']);
  assert.deepEqual(
    page.gaps.map(({ before, gap }) => [before, gap.reason]),
    [[1, 'deleted']],
  );
  await log.close();
});

test('a wait ends at once at whatever step of its way it is aborted', async (t) => {
  await using server = await RedisServer.start();
  const log = await openLog(t, server.url);
  const { channel } = ownChannel();
  await log.append(channel, texts('a'));
  const { end } = await next(log, channel, START);
  for (let steps = 0; steps < 50; steps++) {
    const abort = new AbortController();
    const waiting = log.wait(new Map([[channel, end]]), LIMITS, abort.signal);
    for (let i = 0; i < steps; i++) await Promise.resolve();
    abort.abort();
    // The next look would come after 3 s.
    const pages = await within(`a wait aborted after ${steps} steps`, waiting, 2000);
    assert.equal(pages.size, 0);
  }
  await log.close();
});
