/** A RedisLog for a test, closed when the test ends, and shorthands for what tests do with it. */
import { randomBytes } from 'node:crypto';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import type { NewEntry, Page, PageLimits } from '../../src/log/log.ts';
import { RedisLog, type RedisLogOptions } from '../../src/log/redis.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';

export const LIMITS: PageLimits = { maxEntries: 1000, maxBytes: 1024 * 1024 };
export const START: Cursor = { id: '0-0', epoch: null, ordinal: null };

/** `t` is a TestContext, or whatever else runs what it is given when all is over. */
export async function openLog(
  t: { after(close: () => Promise<void>): void },
  url: string,
  options: Partial<RedisLogOptions> = {},
): Promise<RedisLog> {
  const log = await RedisLog.open({
    url,
    stream: 'local-q',
    clock: systemClock,
    retention: () => DEFAULT_RETENTION,
    ...options,
  });
  t.after(() => log.close());
  return log;
}

/** A channel no other test uses, and the key of its stream when the default channel is `local-q`. */
export function ownChannel(): { channel: string; key: string } {
  const channel = `test.${randomBytes(6).toString('hex')}`;
  return { channel, key: `local-q:${channel}` };
}

export function texts(...values: string[]): NewEntry[] {
  return values.map((value) => ({ type: 'text', data: Buffer.from(value) }));
}

export function payloads(page: Page | undefined): string[] {
  return (page?.entries ?? []).map((entry) => entry.data.toString());
}

/** The next page for one channel. */
export async function next(
  log: RedisLog,
  channel: string,
  after: Cursor,
  signal: AbortSignal = AbortSignal.timeout(20_000),
): Promise<Page> {
  const page = (await log.wait(new Map([[channel, after]]), LIMITS, signal)).get(channel);
  if (page === undefined) throw new Error('nothing came');
  return page;
}
