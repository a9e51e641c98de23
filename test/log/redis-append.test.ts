/** Batches in Redis: how their entries are numbered and chained, and what becomes of one that comes late or twice. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { Log } from '../../src/log/log.ts';
import { LIMITS, openLog, ownChannel, payloads, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';

let server: RedisServer;

before(async () => {
  server = await RedisServer.start();
});

after(async () => {
  await server[Symbol.asyncDispose]();
});

test('a batch numbers its entries on from the last, each with the one before it, whatever they are', async (t) => {
  const log = await openLog(t, server.url);
  const { channel, key } = ownChannel();
  const sizes = [1, 7, 2, 1, 90, 1, 897, 3];
  for (const [i, size] of sizes.entries()) {
    const batch = texts(...Array.from({ length: size }, (_, n) => `${i}.${n}`));
    // Other types take another way through the script.
    await log.append(channel, i % 3 === 2 ? [...batch, { type: 'json', data: Buffer.from('1') }] : batch);
  }
  const { entries } = await log.read(channel, START, { ...LIMITS, maxEntries: 2000 });
  assert.equal(entries.length, 1004);
  assert.deepEqual(
    entries.map(({ ordinal }) => ordinal),
    entries.map((_, n) => n + 1),
  );
  assert.deepEqual(
    entries.map(({ prev }) => prev),
    ['0-0', ...entries.slice(0, -1).map(({ id }) => id)],
  );
  const stored = await server.cli('XRANGE', key, '-', '+');
  assert.deepEqual(
    [...stored.matchAll(/^n\n(.*)$/gm)].map(([, n]) => n),
    entries.map((_, n) => `${n + 1}`),
  );
});

test('a batch that comes late, after a later one of its writer, is refused', async (t) => {
  const log = await openLog(t, server.url);
  const { channel, key } = ownChannel();
  await log.append(channel, texts('a'));
  await log.append(channel, texts('b'));
  const [batch] = (await server.cli('KEYS', `{${key}}:batch:*`)).split('\n') as [string];
  const script = readFileSync(new URL('../../src/log/scripts/append.lua', import.meta.url), 'utf8');
  const fixed = ['candidate', '', '0-0', '', '', '', '1', '1', 't', '1000', '1000', '', 'late'];
  const keys = [key, `{${key}}:meta`, batch, `{${key}}:keys:`];
  const reply = await server.cli('EVAL', script, '4', ...keys, '1', ...fixed);
  assert.match(reply, /^(\(error\) )?STALE/);
  assert.deepEqual(payloads(await log.read(channel, START, LIMITS)), ['a', 'b']);
});

test('a batch is stored although Redis forgot the scripts', async (t) => {
  const log = await openLog(t, server.url);
  const { channel } = ownChannel();
  await log.append(channel, texts('a'));
  await server.cli('SCRIPT', 'FLUSH');
  await log.append(channel, texts('b'));
  assert.deepEqual(payloads(await log.read(channel, START, LIMITS)), ['a', 'b']);
});

test('a batch of one of two processes follows those of the other without a break', async (t) => {
  const { channel } = ownChannel();
  const logs = [await openLog(t, server.url), await openLog(t, server.url)];
  const write = async (log: Log, name: string): Promise<void> => {
    for (let i = 0; i < 50; i++) await log.append(channel, texts(`${name}${i}`, `${name}${i}'`));
  };
  await Promise.all(logs.map((log, i) => write(log, `w${i}.`)));
  const page = await (logs[0] as Log).read(channel, START, LIMITS);
  assert.equal(page.entries.length, 200);
  assert.deepEqual(page.gaps, []);
  page.entries.forEach((entry, i) => {
    assert.equal(entry.prev, page.entries[i - 1]?.id ?? '0-0');
    assert.equal(entry.ordinal, i + 1);
  });
  for (const name of ['w0.', 'w1.']) {
    const own = payloads(page).filter((text) => text.startsWith(name));
    assert.deepEqual(own, Array.from({ length: 50 }, (_, i) => [`${name}${i}`, `${name}${i}'`]).flat());
  }
});
