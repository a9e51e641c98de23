/** Two writers, two channels, one reader, and a network and a Redis that fail at random: no loss, no double. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisLog } from '../../src/log/redis.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { LIMITS, openLog, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const CHANNELS = ['local-q', 'other'];
const WRITERS = ['a', 'b'];
const CHAOS_MS = 6000;
const deadlines = { connectMs: 300, appendMs: 300, readMs: 300, checkMs: 300 };

/** `<writer> <number>`, as delivered, by channel. */
type Delivered = Map<string, string[]>;

test('every acknowledged entry is delivered once and in order, whatever happens on the way', async (t) => {
  await using server = await RedisServer.start();
  await using proxy = await TcpProxy.start(server.port);
  const url = `redis://127.0.0.1:${proxy.port}`;
  const stop = new AbortController();
  const logs = await Promise.all([...WRITERS, 'reader'].map(() => openLog(t, url, { deadlines })));
  const reader = logs.pop() as RedisLog;
  const delivered: Delivered = new Map(CHANNELS.map((channel) => [channel, []]));
  const reading = new AbortController();
  const read = follow(reader, delivered, reading.signal);
  const writes = logs.flatMap((log, i) =>
    CHANNELS.map((channel) => write(log, channel, WRITERS[i] as string, stop.signal)),
  );
  for (const end = performance.now() + CHAOS_MS; performance.now() < end; ) await misfortune(server, proxy);
  proxy.heal();
  proxy.cut();
  stop.abort();
  const written = (await Promise.all(writes)).reduce((sum, count) => sum + count, 0);
  const arrived = (): number => [...delivered.values()].reduce((sum, own) => sum + own.length, 0);
  for (const end = performance.now() + 20_000; arrived() < written && performance.now() < end; )
    await delay(10);
  assert.equal(arrived(), written);
  reading.abort();
  await read;
  for (const log of [...logs, reader]) await log.close();
  for (const [channel, all] of delivered) {
    for (const writer of WRITERS) {
      const own = all.filter((text) => text.startsWith(`${writer} `));
      own.forEach((text, i) => assert.equal(text, `${writer} ${i}`, channel));
    }
  }
});

async function write(log: RedisLog, channel: string, name: string, stop: AbortSignal): Promise<number> {
  let count = 0;
  while (!stop.aborted) {
    const batch = Array.from({ length: 1 + Math.floor(Math.random() * 20) }, () => `${name} ${count++}`);
    await log.append(channel, texts(...batch));
  }
  return count;
}

async function follow(log: RedisLog, delivered: Delivered, signal: AbortSignal): Promise<void> {
  const cursors = new Map<string, Cursor>(CHANNELS.map((channel) => [channel, START]));
  while (!signal.aborted) {
    for (const [channel, page] of await log.wait(cursors, LIMITS, signal)) {
      assert.deepEqual(page.gaps, []);
      delivered.get(channel)?.push(...page.entries.map((entry) => entry.data.toString()));
      cursors.set(channel, page.end);
    }
  }
}

/** One fault for a moment, then a working system for a moment. */
async function misfortune(server: RedisServer, proxy: TcpProxy): Promise<void> {
  const faults: (() => unknown)[] = [
    () => proxy.cut(),
    () => proxy.drop('down'),
    () => proxy.drop('up'),
    () => proxy.delay(50),
    () => server.pause(),
    () => server.cli('SCRIPT', 'FLUSH'),
  ];
  await Promise.resolve(faults[Math.floor(Math.random() * faults.length)]?.());
  await delay(Math.random() * 400);
  server.resume();
  proxy.heal();
  await delay(Math.random() * 200);
}
