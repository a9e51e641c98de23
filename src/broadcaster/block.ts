/**
 * A block: a run of consecutive entries of one channel and its encoded bytes, made once for each wire format
 * that somebody listens in, and written to every subscriber as they are.
 *
 * The raw WebSocket frames are the block's only copy of its payloads. They lie one after the other, so any
 * run of its entries is a view of the same memory, and a subscriber may start or stop inside a block at no
 * cost. The other formats are made from them when the first subscriber needs them. Where entries are missing
 * between two blocks stands a gap mark.
 */
import type { Entry, EntryType, Gap, Page } from '../log/log.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds, type EntryId } from '../protocol/id.ts';
import {
  frameHeaderLength,
  headerLengthAt,
  OPCODE_BINARY,
  OPCODE_TEXT,
  writeFrame,
} from '../protocol/websocket-frame.ts';
import type { Encodable, Encoding, Format } from './format.ts';

/** What an id string and its place in the tables take, roughly; the budget counts it beside the bytes. */
const ENTRY_OVERHEAD_BYTES = 64;
const GAP_MARK_BYTES = 256;

/** Who keeps items, and answers for the memory they take. */
export interface Keeper {
  /** One of its items has grown by so many bytes. */
  grew(bytes: number): void;
}

export class GapMark {
  readonly kind = 'gap';
  readonly channel: string;
  readonly gap: Gap;
  readonly end: Cursor;
  readonly memoryBytes: number = GAP_MARK_BYTES;
  keeper: Keeper | null = null;
  /** The last notice made, and its format: all who meet the mark in one pass share it. */
  #notice: { readonly format: Format; readonly bytes: Buffer | null } | null = null;

  constructor(channel: string, gap: Gap) {
    this.channel = channel;
    this.gap = gap;
    this.end = gap.resumeAt;
  }

  /** How `format` tells of the gap; null when it has no words for it. */
  notice(format: Format): Buffer | null {
    if (this.#notice?.format !== format) {
      this.#notice = { format, bytes: format.notice(this.channel, this.gap) };
    }
    return this.#notice.bytes;
  }
}

export interface BlockParts {
  readonly channel: string;
  readonly ids: readonly EntryId[];
  /** The indexes of entries that are JSON. Text and binary are told apart by their frames. */
  readonly jsonAt: ReadonlySet<number>;
  readonly frames: Buffer;
  readonly frameEnds: Uint32Array;
  readonly end: Cursor;
}

export class Block implements Encodable {
  readonly kind = 'block';
  readonly channel: string;
  readonly ids: readonly EntryId[];
  readonly frames: Buffer;
  /** The frames of entries 0 to i end at `frameEnds[i]` in `frames`. */
  readonly frameEnds: Uint32Array;
  /** The cursor after the last entry. */
  readonly end: Cursor;
  /** Grows with each format that is made. */
  memoryBytes: number;
  keeper: Keeper | null = null;
  readonly #jsonAt: ReadonlySet<number>;
  #encodings: Map<Format, Encoding> | null = null;

  constructor({ channel, ids, jsonAt, frames, frameEnds, end }: BlockParts) {
    this.channel = channel;
    this.ids = ids;
    this.#jsonAt = jsonAt;
    this.frames = frames;
    this.frameEnds = frameEnds;
    this.end = end;
    this.memoryBytes = frames.length + ids.length * ENTRY_OVERHEAD_BYTES;
  }

  get epoch(): string | null {
    return this.end.epoch;
  }

  /** The cursor after entry `index`. */
  cursorAt(index: number): Cursor {
    const last = this.ids.length - 1;
    if (index === last) return this.end;
    const { epoch, ordinal } = this.end;
    const id = this.ids[index] as EntryId;
    return { id, epoch, ordinal: ordinal === null ? null : ordinal - (last - index) };
  }

  has(format: Format): boolean {
    return this.#encodings?.has(format) === true;
  }

  /** The whole block in a format: made once. */
  encoded(format: Format): Encoding {
    const made = this.made(format);
    if (made !== null) return made;
    const encoding = format.encode(this, 0, this.ids.length);
    this.#encodings ??= new Map();
    if (!this.#holds(encoding.bytes)) {
      const bytes = encoding.bytes.length + encoding.unitEnds.byteLength;
      this.memoryBytes += bytes;
      this.keeper?.grew(bytes);
    }
    this.#encodings.set(format, encoding);
    return encoding;
  }

  made(format: Format): Encoding | null {
    return this.#encodings?.get(format) ?? null;
  }

  /** Whether the bytes are counted already, as those of another format. */
  #holds(bytes: Buffer): boolean {
    if (bytes === this.frames) return true;
    for (const made of this.#encodings?.values() ?? []) if (made.bytes === bytes) return true;
    return false;
  }

  typeAt(index: number): EntryType {
    if (((this.frames[frameStart(this, index)] as number) & 0xf) === OPCODE_BINARY) return 'binary';
    return this.#jsonAt.has(index) ? 'json' : 'text';
  }

  /** A view of an entry's payload. */
  payloadAt(index: number): Buffer {
    const start = frameStart(this, index);
    return this.frames.subarray(start + headerLengthAt(this.frames, start), this.frameEnds[index]);
  }
}

export type Item = Block | GapMark;

const NO_JSON: ReadonlySet<number> = new Set();

/** The blocks and gap marks of a page, in order. */
export function itemsOf(channel: string, page: Page): Item[] {
  const items: Item[] = [];
  let from = 0;
  for (const { before, gap } of page.gaps) {
    if (before > from) items.push(makeBlock(channel, page, from, before));
    items.push(new GapMark(channel, gap));
    from = before;
  }
  if (page.entries.length > from) items.push(makeBlock(channel, page, from, page.entries.length));
  return items;
}

/** The index of the first entry above `id`; the block's length when there is none. */
export function firstAbove(block: Block, id: EntryId): number {
  let low = 0;
  let high = block.ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareIds(block.ids[middle] as EntryId, id) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function frameStart(block: Block, index: number): number {
  return index === 0 ? 0 : (block.frameEnds[index - 1] as number);
}

function makeBlock(channel: string, page: Page, from: number, to: number): Block {
  const { entries } = page;
  const count = to - from;
  let size = 0;
  for (let i = from; i < to; i++) {
    const { length } = (entries[i] as Entry).data;
    size += length + frameHeaderLength(length);
  }
  // Not from the shared pool: a block is freed as a whole when it leaves the ring.
  const frames = Buffer.allocUnsafeSlow(size);
  const frameEnds = new Uint32Array(count);
  const ids: EntryId[] = [];
  let jsonAt: Set<number> | null = null;
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const { id, type, data } = entries[from + i] as Entry;
    ids.push(id);
    if (type === 'json') (jsonAt ??= new Set()).add(i);
    offset = writeFrame(frames, offset, type === 'binary' ? OPCODE_BINARY : OPCODE_TEXT, data);
    frameEnds[i] = offset;
  }
  const end = endOf(page, entries[to - 1] as Entry);
  return new Block({ channel, ids, jsonAt: jsonAt ?? NO_JSON, frames, frameEnds, end });
}

/** The page's end knows more of its last entry, unless a gap follows that entry. */
function endOf(page: Page, entry: Entry): Cursor {
  if (entry.id === page.end.id) return page.end;
  return { id: entry.id, epoch: page.epoch, ordinal: entry.ordinal };
}
