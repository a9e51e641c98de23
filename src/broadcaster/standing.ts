/**
 * How far a subscription is behind its channel, looked at from outside; pure. What the ring holds is reckoned
 * exactly; off the ring it is at most as much as is said here.
 */
import type { Cursor } from '../protocol/cursor.ts';
import { idMs } from '../protocol/id.ts';
import type { Subscription } from './subscription.ts';

export interface Standing {
  /** Entries it has not been sent; null where that can not be told: somebody else wrote some of them. */
  readonly entries: number | null;
  /** For so long the oldest of them waits, by the time in its id; off the ring: since what it was sent last. */
  readonly ms: number;
  /** What it needs next is not in memory any more, so that trimming can take it away. */
  readonly offRing: boolean;
}

const AT_THE_TIP: Standing = { entries: 0, ms: 0, offRing: false };

/** `nowMs`: wall clock. */
export function standingOf({ feed: { ring }, cursor }: Subscription, nowMs: number): Standing {
  if (cursor.id === ring.end.id) return AT_THE_TIP;
  const located = ring.locate(cursor);
  if (located === 'ahead') return AT_THE_TIP;
  const entries = entriesBetween(cursor, ring.end);
  if (located === 'unknown') {
    // 0-0, of one that begins with the earliest, is no time.
    const sinceMs = idMs(cursor.id) || idMs(ring.start.id);
    return { entries, ms: Math.max(0, nowMs - sinceMs), offRing: true };
  }
  const item = ring.item(located.no);
  if (item === undefined) return AT_THE_TIP;
  const next = (item.kind === 'block' ? item.ids[located.index] : undefined) ?? item.end.id;
  return { entries, ms: Math.max(0, nowMs - idMs(next)), offRing: false };
}

function entriesBetween(cursor: Cursor, end: Cursor): number | null {
  if (cursor.ordinal === null || end.ordinal === null) return null;
  return cursor.epoch === null || cursor.epoch === end.epoch
    ? Math.max(0, end.ordinal - cursor.ordinal)
    : null;
}
