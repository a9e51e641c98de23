/**
 * The Redis keys of a channel. The default channel is the stream key itself, so that anybody can add to it
 * by the name they know; what Rivercast keeps beside a stream has the stream's key as hash tag, so that a
 * script touches one slot.
 */

export interface ChannelKeys {
  readonly stream: string;
  /** Hash: epoch, from, tip, n (entries ever added), size (mean payload), max (largest payload), keys (generations). */
  readonly meta: string;
  /** Prefix of the last batch of each writer. */
  readonly batch: string;
  /** Prefix of the hashes of idempotency keys. */
  readonly generation: string;
}

export function channelKeys(defaultChannel: string, channel: string): ChannelKeys {
  const stream = channel === defaultChannel ? channel : `${defaultChannel}:${channel}`;
  const meta = `{${stream}}:meta`;
  return { stream, meta, batch: `{${stream}}:batch:`, generation: `{${stream}}:keys:` };
}

/** Where the readiness probe would write; never there. */
export function probeKey(defaultChannel: string): string {
  return `{${defaultChannel}}:probe`;
}

/**
 * The names of all channels: a sorted set in which every score is 0, so that it is in the order of the names
 * (ZRANGE BYLEX). When a channel got its last entry is told by its stream, also when somebody else added it.
 */
export function registryKey(defaultChannel: string): string {
  return `{${defaultChannel}}:channels`;
}

/** Held by the one server that sweeps. */
export function sweepKey(defaultChannel: string): string {
  return `{${defaultChannel}}:sweep`;
}
