/** What all stores share about idempotency keys: the bounds when nobody says, and what is said when they pinch. */
import type { Clock } from '../clock.ts';
import type { Idempotency } from '../config/shape.ts';

export const DEFAULT_IDEMPOTENCY: Idempotency = { windowMs: 600_000, maxKeys: 1_000_000 };

/** How often keys of channels that are idle are looked at: a part of their window, within bounds. */
const LOOKS_PER_WINDOW = 8;
const MAX_LOOK_MS = 60_000;

/** How long a store that forgets keys by itself may wait between two looks at channels that are idle. */
export function lookEveryMs({ windowMs }: Idempotency): number {
  return Math.min(MAX_LOOK_MS, windowMs / LOOKS_PER_WINDOW);
}

/** The part of a logger that is needed here. */
export interface WarningLogger {
  warn(fields: object, message: string): void;
}

const SAID_EVERY_MS = 60_000;

/**
 * What to call when a channel's keys are forgotten before their window is over. It says so once a minute at
 * most, for all channels together: whoever publishes too many keys does so all the time.
 */
export function forgottenEarly(
  logger: WarningLogger | undefined,
  clock: Clock,
  { windowMs, maxKeys }: Idempotency,
): (channel: string) => void {
  let saidAtMs = -Infinity;
  return (channel) => {
    const nowMs = clock.monotonic();
    if (nowMs - saidAtMs < SAID_EVERY_MS) return;
    saidAtMs = nowMs;
    logger?.warn(
      { channel, windowMs, maxKeys },
      'more idempotency keys within IDEMPOTENCY_WINDOW_MS than IDEMPOTENCY_MAX_KEYS: the oldest are forgotten early',
    );
  };
}
