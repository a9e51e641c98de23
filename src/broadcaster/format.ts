/**
 * A wire format: how entries look to those who listen in it. A block is encoded once per format, as a row of
 * units that can each be sent alone: an entry (raw, SSE) or a frame of many (v1). What one write carries is a
 * run of units, the same bytes for everybody at the same place.
 */
import type { EntryType, Gap } from '../log/log.ts';
import type { Cursor } from '../protocol/cursor.ts';
import type { EntryId } from '../protocol/id.ts';

/** A block (block.ts), as far as a format looks at it. */
export interface Encodable {
  readonly channel: string;
  readonly epoch: string | null;
  readonly ids: readonly EntryId[];
  /** The raw WebSocket frames; that of entry i ends at `frameEnds[i]`. */
  readonly frames: Buffer;
  readonly frameEnds: Uint32Array;
  typeAt(index: number): EntryType;
  payloadAt(index: number): Buffer;
  /** The cursor after an entry. */
  cursorAt(index: number): Cursor;
  /** The whole block in a format, when somebody has made it already. */
  made(format: Format): Encoding | null;
}

export interface Encoding {
  /** The units, one after the other. */
  readonly bytes: Buffer;
  /** Unit i ends at `unitEnds[i]` in `bytes`. */
  readonly unitEnds: Uint32Array;
  /** Units 0 to i hold so many of the encoded entries; null: unit i is entry i. */
  readonly entryEnds: Uint32Array | null;
  /** What making it took beyond its bytes, in bytes that could have been written instead; absent: nothing. */
  readonly work?: number;
}

/** How it is called among numbers; a compressed one as the one it compresses. */
export type FormatName = 'raw' | 'v1' | 'sse';

export interface Format {
  readonly name: FormatName;
  /** Encodes entries `from` (included) to `to` (excluded). Pure: the same bytes every time. */
  encode(block: Encodable, from: number, to: number): Encoding;
  /** Tells that entries are gone; null when the format has no words for it. */
  notice(channel: string, gap: Gap): Buffer | null;
  /** Tells where a subscriber that was sent nothing for a while stands; null likewise. */
  position(channel: string, cursor: Cursor): Buffer | null;
}

/** The unit that holds the entry at `index`. */
export function unitOf({ entryEnds }: Encoding, index: number): number {
  if (entryEnds === null) return index;
  let low = 0;
  let high = entryEnds.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entryEnds[middle] as number) <= index) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Where a unit begins in `bytes`. */
export function unitStart({ unitEnds }: Encoding, unit: number): number {
  return unit === 0 ? 0 : (unitEnds[unit - 1] as number);
}

/** The first entry of a unit. */
export function firstEntry({ entryEnds }: Encoding, unit: number): number {
  if (entryEnds === null) return unit;
  return unit === 0 ? 0 : (entryEnds[unit - 1] as number);
}
