/**
 * Where a subscriber asks to start: the forms of the `after` parameter, the same at every door.
 *
 *   latest | earliest | last:N | <cursor> | <ISO time> | -30s -5m -2h -1d
 *
 * Only a cursor claims "I have seen everything up to here", so only a cursor can meet a gap.
 */
import { type Cursor, parseCursor } from './cursor.ts';

export type Start =
  | { readonly at: 'latest' }
  | { readonly at: 'earliest' }
  | { readonly at: 'last'; readonly count: number }
  /** Entries whose id is at or after this time, in milliseconds since 1970. */
  | { readonly at: 'time'; readonly ms: number }
  | { readonly at: 'cursor'; readonly cursor: Cursor };

/** `last:N` walks N entries backwards; beyond this a time or a cursor is the right tool. */
export const MAX_LAST_COUNT = 1_000_000;

/** The forms in words, for who got them wrong. */
export const START_FORMS =
  'latest, earliest, last:N, a cursor, an ISO time, or a time ago such as -30s, -5m, -2h';

const LAST_PATTERN = /^last:([1-9][0-9]{0,6}|0)$/;
const AGO_PATTERN = /^-([0-9]{1,9})(ms|s|m|h|d)$/;
const ISO_PATTERN =
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The start in `text`, or null when it is none (empty text included). `nowMs` anchors relative times. */
export function parseStart(text: string, nowMs: number): Start | null {
  if (text === 'latest' || text === 'earliest') return { at: text };
  const cursor = parseCursor(text);
  if (cursor !== null) return { at: 'cursor', cursor };
  const last = LAST_PATTERN.exec(text);
  if (last !== null) {
    const count = Number(last[1]);
    return count <= MAX_LAST_COUNT ? { at: 'last', count } : null;
  }
  const ago = AGO_PATTERN.exec(text);
  if (ago !== null) {
    const unit = UNIT_MS[ago[2] as string] as number;
    return { at: 'time', ms: Math.max(0, nowMs - Number(ago[1]) * unit) };
  }
  return parseIsoTime(text);
}

/** A time without a zone is UTC; a `+` that a query string turned into a space is put back. */
function parseIsoTime(text: string): Start | null {
  const iso = text.replace(/ (?=[0-9]{2}:?[0-9]{2}$)/, '+');
  const match = ISO_PATTERN.exec(iso);
  if (match === null) return null;
  if (!isDay(iso.slice(0, 10))) return null;
  const ms = Date.parse(match[1] !== undefined && match[4] === undefined ? `${iso}Z` : iso);
  return Number.isNaN(ms) || ms < 0 ? null : { at: 'time', ms };
}

/** `Date.parse` takes 30 February for 1 March. */
function isDay(date: string): boolean {
  const ms = Date.parse(date);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(date);
}
