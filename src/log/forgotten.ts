/** What all stores share about idempotency keys: the bounds when nobody says, and what is said when they pinch. */
import type { Clock } from '../clock.ts';
import type { Idempotency } from '../config-shape.ts';

export const DEFAULT_IDEMPOTENCY: Idempotency = { windowMs: 600_000, maxKeys: 1_000_000 };

/** The part of a logger that is needed here. */
export interface WarningLogger {
  warn(fields: object, message: string): void;
}

const EVERY_MS = 60_000;

/**
 * What to call when a channel's keys are forgotten before their window is over. It says so once a minute at
 * most, for all channels together: whoever publishes too many keys does so all the time.
 */
export function forgottenEarly(
  logger: WarningLogger | undefined,
  clock: Clock,
  { maxKeys }: Idempotency,
): (channel: string) => void {
  let saidAtMs = -Infinity;
  return (channel) => {
    const nowMs = clock.monotonic();
    if (nowMs - saidAtMs < EVERY_MS) return;
    saidAtMs = nowMs;
    logger?.warn(
      { channel, maxKeys },
      'more keys within IDEMPOTENCY_WINDOW_MS than IDEMPOTENCY_MAX_KEYS: the oldest are forgotten early',
    );
  };
}
