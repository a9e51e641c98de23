/**
 * A cursor names a place in a channel: everything up to and including `id` has been delivered.
 *
 *   <ms>-<seq>[@<epoch>[.<ordinal>]]      at most 80 characters
 *
 * The epoch identifies the channel's history and the ordinal counts the entries ever added up to `id`, so
 * that a resume can say whether, and how much, was lost. Clients treat the text as opaque; the id of a
 * delivered entry alone is a cursor too, with less to check by.
 */
import { type EntryId, parseId } from './id.ts';

export interface Cursor {
  readonly id: EntryId;
  /** Null: the history is not known (a plain id, or a channel that has no entry of ours yet). */
  readonly epoch: string | null;
  /** How many entries were ever added to the channel up to and including `id`; null when not known. */
  readonly ordinal: number | null;
}

export const MAX_CURSOR_LENGTH = 80;

const CURSOR_PATTERN = /^([0-9]{1,20}-[0-9]{1,20})(?:@([A-Za-z0-9]{1,16})(?:\.(0|[1-9][0-9]{0,15}))?)?$/;

export function formatCursor(cursor: Cursor): string {
  if (cursor.epoch === null) return cursor.id;
  if (cursor.ordinal === null) return `${cursor.id}@${cursor.epoch}`;
  return `${cursor.id}@${cursor.epoch}.${cursor.ordinal}`;
}

/** The cursor in `text`, or null when it is not one. */
export function parseCursor(text: string): Cursor | null {
  if (text.length > MAX_CURSOR_LENGTH) return null;
  const match = CURSOR_PATTERN.exec(text);
  if (match === null) return null;
  const id = parseId(match[1] as string);
  if (id === null) return null;
  const ordinal = match[3] === undefined ? null : Number(match[3]);
  if (ordinal !== null && !Number.isSafeInteger(ordinal)) return null;
  return { id, epoch: match[2] ?? null, ordinal };
}
