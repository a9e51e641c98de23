/** How tries at Redis are paced. */
import { Backoff } from '../../../backoff.ts';

const FIRST_MS = 20;
/** With the time to connect it is what a recovery takes at the most, once Redis is back. */
const MAX_MS = 500;

export function redisBackoff(random: () => number): Backoff {
  return new Backoff({ firstMs: FIRST_MS, maxMs: MAX_MS, random });
}
