/** Whether Redis may remove what it was given to keep, when its memory is full. */
import { type Link, RedisFault } from './connection/link.ts';
import type { RedisLogger } from './trouble.ts';

/**
 * A warning when it may. Also a policy that takes only keys with a time to live (`volatile-…`) takes whole
 * streams: each has one. Who may not ask is not warned, only told so.
 */
export async function warnOfEviction(link: Link, logger: RedisLogger, deadlineMs: number): Promise<void> {
  let info: string;
  try {
    info = String(await link.call('info', ['memory'], deadlineMs));
  } catch (error) {
    if (!(error instanceof RedisFault)) throw error;
    logger.info(
      { reason: error.message },
      'whether Redis may evict streams can not be told: INFO is refused',
    );
    return;
  }
  const [, maxmemory = '0'] = /^maxmemory:(\d+)/m.exec(info) ?? [];
  const [, policy = 'noeviction'] = /^maxmemory_policy:(\S+)/m.exec(info) ?? [];
  if (maxmemory === '0' || policy === 'noeviction') return;
  const which = policy.startsWith('volatile-')
    ? 'whole streams, for they have a time to live,'
    : 'whole streams';
  logger.warn(
    { policy, maxmemory: Number(maxmemory) },
    `Redis may evict ${which} when its memory is full; set maxmemory-policy noeviction`,
  );
}
