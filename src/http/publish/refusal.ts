/** What a publisher is told of an entry that could not be stored, or not in time. */
import { RivercastError } from '../../errors.ts';
import type { Refusal } from '../request.ts';

/** Of one that publishes faster than it may. */
export const TOO_FAST: Refusal = {
  code: 'rate_limited',
  detail: 'you publish faster than you may; this is not stored',
};

/** Why the server failed is said by the manager, once for all the entries that it failed. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof RivercastError) return { code: error.code, detail: error.message };
  return { code: 'internal', detail: 'the server failed to store the message' };
}
