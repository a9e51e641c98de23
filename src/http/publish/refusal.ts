/** What a publisher is told of an entry that could not be stored, or not in time. */
import { RivercastError } from '../../errors.ts';
import type { Refusal } from '../request.ts';

/** Why the server failed is said by the manager, once for all the entries that it failed. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof RivercastError) return { code: error.code, detail: error.message };
  return { code: 'internal', detail: 'the server failed to store the message' };
}
