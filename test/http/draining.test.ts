/** How a stop sends subscribers elsewhere: a few at a time, and each gets what is new until its turn. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { durationFor, inWaves } from '../../src/broadcaster/waves.ts';
import { systemClock } from '../../src/clock.ts';
import { EventStream } from '../support/event-stream.ts';
import { GatedLog } from '../support/gated-log.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { cursorOf } from '../support/websocket-client.ts';
import { until } from '../support/within.ts';

/** The most that lie within so many ms of each other. */
function mostWithin(times: readonly number[], ms: number): number {
  const sorted = times.toSorted((left, right) => left - right);
  return Math.max(
    ...sorted.map((start, i) => sorted.filter((time, j) => j >= i && time < start + ms).length),
  );
}

async function readyz(server: TestServer): Promise<{ status: number; draining: boolean }> {
  const response = await fetch(`${server.address}/readyz`);
  const { checks } = (await response.json()) as { checks: { draining: boolean } };
  return { status: response.status, draining: checks.draining };
}

describe('a stop with DRAIN_SECONDS', () => {
  test('closes subscribers evenly over that time, and delivers to the others meanwhile', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({ DRAIN_SECONDS: '1' }, log);
    const raw = await Promise.all(Array.from({ length: 30 }, () => server.subscriber()));
    const v1 = await Promise.all(Array.from({ length: 15 }, () => V1Client.open(server, '?channel=local-q')));
    const url = `${server.address}/sse`;
    const sse = await Promise.all(Array.from({ length: 15 }, () => EventStream.open(url)));
    const start = performance.now();
    const since = async (end: Promise<unknown>): Promise<number> => {
      await end;
      return performance.now() - start;
    };
    const ends = [...raw.map(({ closed }) => closed), ...v1.map(({ closed }) => closed)];
    const times = Promise.all([...ends, ...sse.map(({ ended }) => ended)].map(since));
    const stopping = server.stop();
    for (let sent = 0; server.stats.subscribers !== 0; sent++) {
      await log.append('local-q', [{ type: 'text', data: Buffer.from(String(sent)) }]);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(await stopping, true);
    const at = await times;
    assert.ok(Math.max(...at) > 800 && Math.max(...at) < 5000, `the last after ${Math.max(...at)} ms`);
    // 60 a second: 15 in 250 ms, were each wave exactly in time, on a machine that does nothing else.
    assert.ok(mostWithin(at, 250) <= 40, `${mostWithin(at, 250)} within 250 ms`);
    const counts: number[] = [];
    for (const client of raw) {
      const closed = await client.closed;
      const texts = (await client.rest()).map(({ data }) => data.toString());
      assert.equal(closed.code, 1012);
      assert.deepEqual(texts, [...texts.keys()].map(String));
      if (texts.length > 0) assert.match(cursorOf(closed), new RegExp(`\\.${texts.length}$`));
      counts.push(texts.length);
    }
    assert.ok(
      Math.max(...counts) > 2 * Math.min(...counts),
      `${Math.min(...counts)} to ${Math.max(...counts)}`,
    );
    for (const client of v1) assert.equal((await client.closed).code, 1012);
    assert.ok(new Set(sse.map(({ retryMs }) => retryMs)).size > 1, 'browsers come back at different times');
  });

  test('does not make a few wait', async () => {
    await using server = await TestServer.start({ DRAIN_SECONDS: '60' });
    await using first = await server.subscriber();
    await using second = await server.subscriber();
    const start = performance.now();
    assert.equal(await server.stop(), true);
    assert.ok(performance.now() - start < 1500, `${performance.now() - start} ms`);
    for (const { closed } of [first, second]) assert.equal((await closed).code, 1012);
  });

  test('ends in bounded time although subscribers do not answer the close', async () => {
    await using server = await TestServer.start({ DRAIN_SECONDS: '300ms', DRAIN_TIMEOUT_MS: '300ms' });
    const mute = await Promise.all(Array.from({ length: 20 }, () => server.subscriber()));
    for (const client of mute) client.pause();
    const start = performance.now();
    assert.equal(await server.stop(), true);
    assert.ok(performance.now() - start < 2000, `${performance.now() - start} ms`);
    for (const client of mute) client.terminate();
  });
});

describe('a stop with DRAIN_DELAY_SECONDS', () => {
  test('is not ready at once, and serves as before until then', async () => {
    await using server = await TestServer.start({ DRAIN_DELAY_SECONDS: '0.7' });
    assert.deepEqual(await readyz(server), { status: 200, draining: false });
    const stopping = server.stop();
    assert.deepEqual(await readyz(server), { status: 503, draining: true });
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    publisher.send('late, and welcome');
    assert.equal(await subscriber.text(), 'late, and welcome');
    assert.equal((await subscriber.closed).code, 1012);
    await assert.rejects(readyz(server));
    assert.equal(await stopping, true);
  });
});

describe('waves', () => {
  test('take as long as they are to, but few are not kept, and many not told faster than can be', () => {
    assert.equal(durationFor(2000, 5000), 5000);
    assert.equal(durationFor(3, 5000), 300);
    assert.equal(durationFor(0, 5000), 0);
    assert.equal(durationFor(10_000, 0), 2000);
  });

  test('close what is left at once when time is up', async () => {
    const members = new Set(Array.from({ length: 1000 }, (_, i) => i));
    const close = (member: number): void => void members.delete(member);
    const stop = new AbortController();
    const closing = inWaves({ members, close, overMs: 60_000, clock: systemClock }, stop.signal);
    await until('it has begun', () => members.size < 1000);
    assert.ok(members.size > 900, `${members.size} left`);
    stop.abort();
    await closing;
    assert.equal(members.size, 0);
  });
});
