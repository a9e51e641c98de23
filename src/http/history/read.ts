/**
 * A range of a channel, read page by page: entries and gaps in order, each with the cursor after it.
 *
 * Nothing is read ahead: the next page is read when it is asked for, so whoever takes slowly makes reading slow.
 * Between two pages the event loop has its turn, since a store in this process answers within the same one.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Entry, Gap, Log, Page } from '../../log/log.ts';
import type { Cursor } from '../../protocol/cursor.ts';
import { compareIds, type EntryId, ID_ZERO, idBefore } from '../../protocol/id.ts';
import type { Start } from '../../protocol/start.ts';
import type { HistoryAsk } from './request.ts';

/** What one page costs to encode stays within a few milliseconds, and what one reader keeps in memory small. */
const PAGE = { maxEntries: 1000, maxBytes: 256 * 1024 } as const;

/** Where reading begins and ends. */
export interface Range {
  readonly start: Cursor;
  /** Whether the start claims nothing about what was seen, so that what was trimmed before it is no loss. */
  readonly fresh: boolean;
  /** The greatest id that belongs to it; null: what there is. */
  readonly until: EntryId | null;
}

export interface Entries {
  readonly kind: 'entries';
  /** Consecutive, perhaps none. */
  readonly entries: readonly Entry[];
  readonly epoch: string | null;
  readonly end: Cursor;
  /** Why nothing follows it, though the limit is not reached: null while something may. */
  readonly last: 'nothing newer' | 'something beyond' | null;
}

export type Piece = Entries | { readonly kind: 'gap'; readonly gap: Gap; readonly end: Cursor };

/** Finds what the parameters mean now. Rejects as `Log.locate` does. */
export async function locateRange(log: Log, ask: HistoryAsk): Promise<Range> {
  const { channel, after, before, limit } = ask;
  const until = before === null ? null : await lastBefore(log, channel, before);
  if (after?.at === 'cursor') return { start: after.cursor, fresh: false, until };
  const fresh = after ?? { at: 'last', count: limit, ...(until === null ? {} : { until }) };
  return { start: await log.locate(channel, fresh), fresh: true, until };
}

/** The greatest id before a position. Null: it lies after everything. Rejects as `Log.locate` does. */
export async function lastBefore(log: Log, channel: string, before: Start): Promise<EntryId | null> {
  switch (before.at) {
    case 'cursor':
      return idBefore(before.cursor.id);
    case 'time':
      return idBefore(`${Math.ceil(before.ms)}-0`);
    case 'earliest':
      return ID_ZERO;
    case 'latest':
      return null;
    case 'last':
      return (await log.locate(channel, before)).id;
  }
}

/** Ends after `limit` entries, at `until`, when there is nothing newer, or when `signal` aborts. */
export async function* readRange(
  log: Log,
  { channel, limit }: Pick<HistoryAsk, 'channel' | 'limit'>,
  range: Range,
  signal: AbortSignal,
): AsyncGenerator<Piece, void, undefined> {
  const { until } = range;
  let { start: at, fresh } = range;
  let left = limit;
  for (;;) {
    if (left === 0 || isReached(until, at)) return;
    const limits = { maxEntries: Math.min(left, PAGE.maxEntries), maxBytes: PAGE.maxBytes };
    const page = await log.read(channel, at, limits);
    for (const whole of piecesOf(page)) {
      if (left === 0 || isReached(until, at)) return;
      const piece = cutAt(whole, at, until);
      at = piece.end;
      if (piece.kind === 'entries') {
        left -= piece.entries.length;
        yield piece;
        fresh = false;
        if (piece.last !== null) return;
      } else if (!fresh || piece.gap.reason !== 'trimmed') yield piece;
    }
    await turn();
    if (signal.aborted) return;
  }
}

/** The cursor after the entry at `index` of a piece. */
export function cursorInside({ entries, epoch, end }: Entries, index: number): Cursor {
  if (index === entries.length - 1) return end;
  const { id, ordinal } = entries[index] as Entry;
  return { id, epoch, ordinal };
}

export function isReached(until: EntryId | null, at: Cursor): boolean {
  return until !== null && compareIds(at.id, until) >= 0;
}

/** A page with nothing in it is one piece with nothing in it: it tells the epoch. */
function piecesOf({ entries, gaps, epoch, end }: Page): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  const run = (to: number): void => {
    const last = entries[to - 1] as Entry;
    const runEnd = last.id === end.id ? end : { id: last.id, epoch, ordinal: last.ordinal };
    pieces.push({ kind: 'entries', entries: entries.slice(from, to), epoch, end: runEnd, last: null });
  };
  for (const { before, gap } of gaps) {
    if (before > from) run(before);
    pieces.push({ kind: 'gap', gap, end: gap.resumeAt });
    from = before;
  }
  if (entries.length > from) run(entries.length);
  if (pieces.length === 0) pieces.push({ kind: 'entries', entries, epoch, end, last: 'nothing newer' });
  return pieces;
}

/** The part of a piece that does not lie beyond `until`. */
function cutAt(piece: Piece, at: Cursor, until: EntryId | null): Piece {
  if (piece.kind === 'gap' || until === null) return piece;
  const { entries, epoch } = piece;
  const count = entries.findIndex(({ id }) => compareIds(id, until) > 0);
  if (count === -1) return piece;
  const end = count === 0 ? { ...at, epoch: at.epoch ?? epoch } : cursorInside(piece, count - 1);
  return { ...piece, entries: entries.slice(0, count), end, last: 'something beyond' };
}
