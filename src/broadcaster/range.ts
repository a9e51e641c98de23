/** Older items of a channel, read back from the log for subscribers that fell off the ring. */
import type { Cursor } from '../protocol/cursor.ts';
import type { Item } from './block.ts';
import type { Source } from './ring.ts';

export class Range implements Source {
  readonly #items: readonly Item[];
  /** The cursor it follows, with the epoch it was found in. */
  readonly start: Cursor;
  /** The cursor after the last item: where the next range, or the ring, goes on. */
  readonly end: Cursor;
  readonly memoryBytes: number;

  constructor(start: Cursor, items: readonly Item[], end: Cursor) {
    this.start = start;
    this.#items = items;
    this.end = end;
    this.memoryBytes = items.reduce((sum, item) => sum + item.memoryBytes, 0);
  }

  get nextNo(): number {
    return this.#items.length;
  }

  item(no: number): Item | undefined {
    return this.#items[no];
  }
}
