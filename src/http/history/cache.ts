/**
 * How long an answer may be kept by a browser or a CDN. Pure.
 *
 * What lies between two ids of one history never changes: ids rise, so nothing is added between them later, and
 * a copy of what was since trimmed is still true. So an answer is immutable when its URL says all of this: the
 * history (an `after` with an epoch; a reset begins another one), the beginning (no gap after it) and the end
 * (the page is full, or a `before` was reached). Everything else is asked for again each time, by its ETag.
 *
 * No copy outlives the retention by age: it may be kept as long as its oldest entry may.
 */
import type { Cursor } from '../../protocol/cursor.ts';
import { type EntryId, idMs } from '../../protocol/id.ts';
import type { HistoryAsk } from './request.ts';

/** More means nothing to a cache. */
const MAX_AGE_S = 365 * 24 * 3600;

export interface Answered {
  /** The entries' history. */
  readonly epoch: string | null;
  readonly hasGap: boolean;
  /** The oldest entry; null when there is none. */
  readonly oldest: EntryId | null;
  /** Whether it ends where the URL says: at the limit, or at `before`. */
  readonly isComplete: boolean;
}

export interface Keeping {
  readonly nowMs: number;
  /** How long the log keeps an entry. */
  readonly maxAgeMs: number;
  /** Whether the request bore credentials: the answer is then its sender's alone. */
  readonly isPrivate: boolean;
}

/** For how many seconds an answer may be kept without asking again; 0: not at all. */
export function immutableFor(
  { after, before }: Pick<HistoryAsk, 'after' | 'before'>,
  { epoch, hasGap, oldest, isComplete }: Answered,
  { nowMs, maxAgeMs }: Keeping,
): number {
  const cursor = pinned(after);
  if (cursor === null || cursor.epoch !== epoch || hasGap || oldest === null || !isComplete) return 0;
  // Another form of `before` means another place each time.
  if (before !== null && before.at !== 'cursor') return 0;
  const leftMs = idMs(oldest) + maxAgeMs - nowMs;
  return Math.max(0, Math.min(MAX_AGE_S, Math.floor(leftMs / 1000)));
}

/** The cursor that names a place in one history, if `after` is one. */
export function pinned(after: HistoryAsk['after']): Cursor | null {
  return after?.at === 'cursor' && after.cursor.epoch !== null ? after.cursor : null;
}

export function cacheControl(seconds: number, { isPrivate }: Keeping): string {
  if (seconds === 0) return isPrivate ? 'private, no-cache' : 'no-cache';
  return `${isPrivate ? 'private' : 'public'}, max-age=${seconds}, immutable`;
}

/** Whether the copy that the client has is the answer (RFC 9110 13.1.2: weak comparison). */
export function isUnchanged(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  const tags: readonly string[] = ifNoneMatch.match(/"[^"]*"/g) ?? [];
  return tags.includes(etag.replace(/^W\//, ''));
}
