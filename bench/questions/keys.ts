/**
 * What does an idempotency key cost, and is it given back once the window is over?
 *
 * A million messages of 16 B with a key each, and as many without, each on a server of its own: the difference of
 * what Redis says it uses, and of the size of the embedded log's file and of the process, is that of the keys. The
 * file of the embedded log does not shrink: there it is asked how much it grows by as many again.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Answer, Bench } from '../answer.ts';
import { startAcknowledged } from '../load/load.ts';
import { residentMib } from '../support/proc.ts';
import { scratchDirectory } from '../support/processes.ts';
import { type RunningTarget, startRivercast } from '../targets.ts';

const BYTES = 16;
const CONNECTIONS = 8;
const WINDOW = 64;
const POLL_MS = 500;
const MIB = 1024 * 1024;
/** Given back: no more than this share of what the keys took is left. */
const LEFT = 0.05;

interface Ask {
  readonly messages: number;
  readonly windowMs: number;
}

function env({ messages, windowMs }: Ask): Record<string, string> {
  return {
    IDEMPOTENCY_WINDOW_MS: `${windowMs}`,
    IDEMPOTENCY_MAX_KEYS: `${messages * 2}`,
    RETENTION_MAX_ENTRIES: `${messages * 4}`,
  };
}

async function flood(server: RunningTarget, messages: number, keys: string | null): Promise<void> {
  const { remote, process: client } = startAcknowledged();
  const { port, path } = server.publish;
  try {
    await remote.call('flood', {
      port,
      path,
      bytes: BYTES,
      connections: CONNECTIONS,
      window: WINDOW,
      messages,
      keys,
    });
  } finally {
    await client.stop();
  }
}

interface InRedis {
  readonly bytes: number;
  /** After the window. */
  readonly bytesAfter: number;
  readonly secondsUntilFree: number;
}

async function inRedis(ask: Ask, keys: string | null, freeBelow: number): Promise<InRedis> {
  const server = await startRivercast({ env: env(ask) });
  const redis = new Redis(server.redisUrl ?? '');
  const used = async (): Promise<number> =>
    Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
  try {
    const before = await used();
    await flood(server, ask.messages, keys);
    const bytes = (await used()) - before;
    const storedAt = Date.now();
    while ((await used()) - before > freeBelow && Date.now() - storedAt < 2 * ask.windowMs)
      await sleep(POLL_MS);
    return {
      bytes,
      bytesAfter: (await used()) - before,
      secondsUntilFree: (Date.now() - storedAt) / 1000,
    };
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

interface Embedded {
  readonly fileBytes: number;
  readonly processBytes: number;
  /** By how much the file grows when as many come again after the window. */
  readonly againBytes: number;
}

async function embedded(ask: Ask, keys: string | null): Promise<Embedded> {
  const dataDirectory = scratchDirectory();
  const server = await startRivercast({ store: 'embedded', keep: { dataDirectory }, env: env(ask) });
  const file = (): number => statSync(join(dataDirectory, 'data.mdb')).size;
  try {
    const before = residentMib(server.pid);
    await flood(server, ask.messages, keys);
    const fileBytes = file();
    const processBytes = (residentMib(server.pid) - before) * MIB;
    await sleep(ask.windowMs * 1.5);
    await flood(server, ask.messages, keys === null ? null : `${keys}-again`);
    return { fileBytes, processBytes, againBytes: file() - fileBytes };
  } finally {
    await server.stop();
  }
}

export async function keys(bench: Bench): Promise<Answer> {
  const messages = bench.quick ? 100_000 : 1_000_000;
  const ask: Ask = { messages, windowMs: bench.quick ? 10_000 : 30_000 };
  const plain = await inRedis({ ...ask, windowMs: 1000 }, null, Infinity);
  const keyed = await inRedis(ask, 'k', plain.bytes * (1 + LEFT));
  bench.say('  Redis asked');
  const plainFile = await embedded({ ...ask, windowMs: 1000 }, null);
  const keyedFile = await embedded(ask, 'k');
  const each = (bytes: number): number => bytes / messages;
  const ofKeys = keyed.bytes - plain.bytes;
  const left = (keyed.bytesAfter - plain.bytes) / ofKeys;
  const fileEach = each(keyedFile.fileBytes - plainFile.fileBytes);
  const againEach = each(keyedFile.againBytes - plainFile.againBytes);
  const text = (bytes: number): string => `${bytes.toFixed(0)} B`;
  return {
    question: 'keys',
    title: `${messages} idempotency keys of 14 B`,
    head: ['where', 'each', 'after the window'],
    rows: [
      ['Redis, memory', text(each(ofKeys)), text(each(keyed.bytesAfter - plain.bytes))],
      ['embedded, file', text(fileEach), `${text(againEach)} for each of as many new ones`],
      ['embedded, process', text(each(keyedFile.processBytes - plainFile.processBytes)), ''],
    ],
    verdicts: [
      {
        must: 'Redis has the memory of the keys back within one and a half windows',
        measured: `${(left * 100).toFixed(1)} % left ${keyed.secondsUntilFree.toFixed(0)} s after the last key, window ${ask.windowMs / 1000} s`,
        pass: left <= LEFT && keyed.secondsUntilFree * 1000 <= 1.6 * ask.windowMs,
      },
      {
        must: 'the embedded log writes new keys into the space of old ones',
        measured: `${text(againEach)} of growth for each new key, ${text(fileEach)} for each of the first`,
        pass: againEach <= fileEach / 4,
      },
    ],
    notes: [
      'Against as many messages without a key. The process maps its file: what is resident of it, the kernel can take back.',
    ],
    figures: { redis: each(ofKeys), file: fileEach, again: againEach },
  };
}
