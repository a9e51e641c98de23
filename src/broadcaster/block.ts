/**
 * A block: a run of consecutive entries of one channel and its encoded bytes, made once and written to every
 * subscriber as they are.
 *
 * The raw WebSocket frames are the block's only copy of its payloads. They lie one after the other, so any
 * run of its entries is a view of the same memory, and a subscriber may start or stop inside a block at no
 * cost. Where entries are missing between two blocks stands a gap mark.
 */
import type { Entry, Gap, Page } from '../log/log.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds, type EntryId } from '../protocol/id.ts';
import { frameHeaderLength, OPCODE_BINARY, OPCODE_TEXT, writeFrame } from '../protocol/websocket-frame.ts';

/** What an id string and its place in the tables take, roughly; the budget counts it beside the bytes. */
const ENTRY_OVERHEAD_BYTES = 64;
const GAP_MARK_BYTES = 256;

export interface GapMark {
  readonly kind: 'gap';
  readonly gap: Gap;
  readonly end: Cursor;
  readonly memoryBytes: number;
}

export interface Block {
  readonly kind: 'block';
  readonly ids: readonly EntryId[];
  /** The frames of entries 0 to i end at `frameEnds[i]` in `frames`. */
  readonly frameEnds: Uint32Array;
  readonly frames: Buffer;
  /** The cursor after the last entry. */
  readonly end: Cursor;
  readonly memoryBytes: number;
}

export type Item = Block | GapMark;

/** The blocks and gap marks of a page, in order. */
export function itemsOf(page: Page): Item[] {
  const items: Item[] = [];
  let from = 0;
  for (const { before, gap } of page.gaps) {
    if (before > from) items.push(makeBlock(page, from, before));
    items.push({ kind: 'gap', gap, end: gap.resumeAt, memoryBytes: GAP_MARK_BYTES });
    from = before;
  }
  if (page.entries.length > from) items.push(makeBlock(page, from, page.entries.length));
  return items;
}

/** The cursor after entry `index` of the block. */
export function cursorInside(block: Block, index: number): Cursor {
  const last = block.ids.length - 1;
  if (index === last) return block.end;
  const { epoch, ordinal } = block.end;
  const id = block.ids[index] as EntryId;
  return { id, epoch, ordinal: ordinal === null ? null : ordinal - (last - index) };
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

/** The frames of entries `from` (included) to `to` (excluded), as a view. */
export function framesOf(block: Block, from: number, to: number): Buffer {
  if (from === 0 && to === block.ids.length) return block.frames;
  return block.frames.subarray(frameStart(block, from), block.frameEnds[to - 1]);
}

export function frameStart(block: Block, index: number): number {
  return index === 0 ? 0 : (block.frameEnds[index - 1] as number);
}

function makeBlock(page: Page, from: number, to: number): Block {
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
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const entry = entries[from + i] as Entry;
    ids.push(entry.id);
    offset = writeFrame(frames, offset, entry.type === 'binary' ? OPCODE_BINARY : OPCODE_TEXT, entry.data);
    frameEnds[i] = offset;
  }
  return {
    kind: 'block',
    ids,
    frameEnds,
    frames,
    end: endOf(page, entries[to - 1] as Entry),
    memoryBytes: size + count * ENTRY_OVERHEAD_BYTES,
  };
}

/** The page's end knows more of its last entry, unless a gap follows that entry. */
function endOf(page: Page, entry: Entry): Cursor {
  if (entry.id === page.end.id) return page.end;
  return { id: entry.id, epoch: page.epoch, ordinal: entry.ordinal };
}
