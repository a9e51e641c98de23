/**
 * Does what comes next in a channel follow a cursor without a hole? Pure; the rules, in order, for a resume
 * with cursor C when N is the first entry after it and T the last id the channel ever gave:
 *
 *   1. C is of another epoch        reset: the history was replaced; on after min(C, where the epoch began), or
 *                                   after C when its entry is there and this history goes on from C's
 *   2. T before C                   reset: the log lost its tail; on after T
 *   3. N.prev = C gapless; later    trimmed (deleted when entries before C are still there), counted by
 *                                   the ordinals; earlier: reset, on with N,
 *                                   unless C's entry is still there
 *   4. N has no prev (foreign)      by the ordinals where both are known (0-0 has the ordinal 0); else gapless
 *                                   when C's entry is still there; else trimmed (deleted)
 *   5. no N                         gapless when T = C; else trimmed (deleted), on after T
 *
 * Within one page, an entry whose prev is not the entry before it follows a deletion; so does a foreign one when
 * the ordinals do not meet, or when the last entry deleted by name lay between.
 */
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds, type EntryId, ID_ZERO, idBefore, lowestId } from '../protocol/id.ts';
import type { Entry, Gap, GapReason, Page, PageGap } from './log.ts';

/** One atomic look at a channel. */
export interface Look {
  readonly epoch: string | null;
  /** The id after which the epoch began. */
  readonly from: EntryId;
  /**
   * Epochs before it that lost no more than their newest entries: what is there of them is what it was, and what
   * came after the loss may have been delivered under their names, before anybody noticed.
   */
  readonly prior: readonly string[];
  readonly tip: EntryId;
  readonly tipOrdinal: number;
  readonly length: number;
  readonly floor: EntryId | null;
  /** Whether the entry that the cursor names is still in the channel. */
  readonly cursorKept: boolean;
  /** The ordinal which that entry itself bears: a plain id has none, and needs none then. */
  readonly cursorOrdinal: number | null;
  /** The highest id ever deleted by name, 0-0 for none: an entry was there. */
  readonly maxDeleted: EntryId;
}

/**
 * The page that a read from `after` returns, given the entries found after it. A gap that moves the cursor
 * elsewhere (rules 1, 2 and 5) yields a page without entries; the next read goes on from `end`.
 */
export function judgePage(after: Cursor, look: Look, found: readonly Entry[]): Page {
  const first = found[0];
  const seen = { ...after, ordinal: look.cursorOrdinal ?? after.ordinal };
  const judged = judgeStart(seen, look, first);
  const gap = judged === null ? null : { ...judged, requested: after };
  const entries = gap !== null && isElsewhere(gap, first) ? [] : found;
  const start: Cursor = gap?.resumeAt ?? cursorAt(seen.id, seen.ordinal, look);
  const gaps: PageGap[] = gap === null ? [] : [{ before: 0, gap }];
  const last = entries.at(-1);
  if (last === undefined) return { epoch: look.epoch, entries, gaps, end: start };
  for (let i = 1; i < entries.length; i++) {
    const hole = judgeInside(entries[i - 1] as Entry, entries[i] as Entry, look);
    if (hole !== null) gaps.push({ before: i, gap: hole });
  }
  return { epoch: look.epoch, entries, gaps, end: cursorAt(last.id, last.ordinal, look) };
}

/** Whether entries that follow each other in one page do so in the channel, without a look at it. */
export function follows(after: Cursor, entries: readonly Entry[]): boolean {
  let id = after.id;
  for (const entry of entries) {
    if (entry.prev !== id) return false;
    id = entry.id;
  }
  return true;
}

/** Rules 1 to 5: the gap between `after` and `next`, or null when there is none. */
function judgeStart(after: Cursor, look: Look, next: Entry | undefined): Gap | null {
  if (after.epoch !== null && after.epoch !== look.epoch) return judgeEpoch(after, look, next);
  if (compareIds(look.tip, after.id) < 0) return gapAt('reset', after, look, { id: look.tip });
  if (next === undefined) {
    if (look.tip === after.id) return null;
    return gapAt(removal(after, look), after, look, { id: look.tip, ordinal: look.tipOrdinal });
  }
  if (next.prev === null) return judgeForeign(after, look, next);
  const order = compareIds(next.prev, after.id);
  if (order === 0) return null;
  // With the cursor's entry still there, a claim to follow an earlier one is no sign of another history: a torn
  // append-only file or somebody else's entry made it. Told again at every resume, nobody would get past it.
  if (order < 0) return look.cursorKept ? null : resetBefore(next, after, look);
  return gapAt(removal(after, look), after, look, { id: next.prev, ordinal: ordinalBefore(next) });
}

/** Rule 1. */
function judgeEpoch(after: Cursor, look: Look, next: Entry | undefined): Gap {
  const id = isOnThisBranch(after, look) ? after.id : lowestId([after.id, look.from, look.tip]);
  if (id !== after.id) return gapAt('reset', after, look, { id });
  if (next !== undefined) return resetBefore(next, after, look);
  return gapAt('reset', after, look, { id: look.tip });
}

/** Whether the cursor's entry is one of this history, however late its epoch was begun. */
function isOnThisBranch({ epoch }: Cursor, look: Look): boolean {
  return look.cursorKept && epoch !== null && look.prior.includes(epoch);
}

/** Rule 4. */
function judgeForeign(after: Cursor, look: Look, next: Entry): Gap | null {
  const ordinal = ordinalBefore(next);
  const missing = missingBetween(after, ordinal);
  if (missing === 0) return null;
  if (missing !== null && missing < 0) return look.cursorKept ? null : resetBefore(next, after, look);
  if (missing === null && look.cursorKept && !isDeletedBetween(after.id, next.id, look)) return null;
  return gapAt(removal(after, look), after, look, { id: idBefore(next.id), ordinal });
}

/** For certain; without the ordinals, what was deleted before the last deletion can not be told. */
function isDeletedBetween(id: EntryId, next: EntryId, { maxDeleted }: Look): boolean {
  return compareIds(id, maxDeleted) < 0 && compareIds(maxDeleted, next) < 0;
}

function judgeInside(previous: Entry, next: Entry, look: Look): Gap | null {
  if (next.prev === previous.id) return null;
  const requested = cursorAt(previous.id, previous.ordinal, look);
  if (next.prev === null) return judgeForeignInside(requested, look, next);
  if (compareIds(next.prev, previous.id) < 0) return gapAt('reset', requested, look, { id: previous.id });
  return gapAt('deleted', requested, look, { id: next.prev, ordinal: ordinalBefore(next) });
}

function judgeForeignInside(requested: Cursor, look: Look, next: Entry): Gap | null {
  const ordinal = ordinalBefore(next);
  const missing = missingBetween(requested, ordinal) ?? 0;
  if (missing <= 0 && !isDeletedBetween(requested.id, next.id, look)) return null;
  return gapAt('deleted', requested, look, { id: idBefore(next.id), ordinal });
}

/** Delivery goes on after `resume`. The ordinals count what lies between; after a reset they mean nothing. */
function gapAt(
  reason: GapReason,
  requested: Cursor,
  look: Look,
  resume: { readonly id: EntryId; readonly ordinal?: number | null },
): Gap {
  const { id, ordinal = null } = resume;
  const lost = reason === 'reset' ? null : lostBetween(requested, ordinal);
  return { reason, requested, floor: look.floor, lost, resumeAt: cursorAt(id, ordinal, look) };
}

/** Trimming removes from the front only: with entries at or before the cursor kept, it was a deletion. */
function removal(after: Cursor, look: Look): GapReason {
  return look.floor !== null && compareIds(look.floor, after.id) <= 0 ? 'deleted' : 'trimmed';
}

/** Whether delivery goes on anywhere but just before `first`. */
function isElsewhere(gap: Gap, first: Entry | undefined): boolean {
  if (first === undefined) return true;
  const before = first.prev ?? idBefore(first.id);
  return gap.resumeAt.id !== before && gap.resumeAt.id !== gap.requested.id;
}

/**
 * Delivery goes on with `next`, the first entry after the cursor. The cursor to resume by is the one before
 * `next` in this history: the requested id is none of its entries, and would be refused again and again.
 */
function resetBefore(next: Entry, after: Cursor, look: Look): Gap {
  return gapAt('reset', after, look, { id: next.prev ?? idBefore(next.id), ordinal: ordinalBefore(next) });
}

function ordinalBefore(entry: Entry): number | null {
  return entry.ordinal === null ? null : entry.ordinal - 1;
}

function lostBetween(after: Cursor, lastLost: number | null): number | null {
  const missing = missingBetween(after, lastLost);
  return missing === null || missing <= 0 ? null : missing;
}

/** How many entries lie after the cursor up to the one with the ordinal `last`; null when it can not be known. */
function missingBetween(after: Cursor, last: number | null): number | null {
  const seen = ordinalOf(after);
  return seen === null || last === null ? null : last - seen;
}

function ordinalOf(cursor: Cursor): number | null {
  return cursor.id === ID_ZERO ? 0 : cursor.ordinal;
}

function cursorAt(id: EntryId, ordinal: number | null, look: Look): Cursor {
  return { id, epoch: look.epoch, ordinal: id === look.tip ? look.tipOrdinal : ordinal };
}
