/**
 * When is a subscriber too slow? Pure. Being behind is not enough (someone who replays a week is far behind),
 * nor is standing still (a quiet channel); it must have taken nothing for a while and be far behind.
 */

export interface SlowLimits {
  readonly slowAfterMs: number;
  readonly slowEntries: number;
  readonly slowBytes: number;
}

export interface Lag {
  /** How long the socket has taken nothing. */
  readonly stalledMs: number;
  /** At least this many entries, and bytes, came to the channel that were not sent to it. */
  readonly entries: number;
  readonly bytes: number;
}

export function isTooSlow(lag: Lag, limits: SlowLimits): boolean {
  return (
    lag.stalledMs >= limits.slowAfterMs && (lag.entries > limits.slowEntries || lag.bytes > limits.slowBytes)
  );
}
