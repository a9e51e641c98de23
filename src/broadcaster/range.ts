/** Older items of a channel, read back from the log for subscribers that fell off the ring. */
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds } from '../protocol/id.ts';
import type { Item, Keeper } from './block.ts';
import { findPlace, type Place, type Source } from './ring.ts';

const START: Place = { no: 0, index: 0 };

export class Range implements Source {
  readonly #items: readonly Item[];
  /** The cursor it follows, with the epoch it was found in. */
  readonly start: Cursor;
  /** The cursor after the last item: where the next range, or the ring, goes on. */
  readonly end: Cursor;

  constructor(start: Cursor, items: readonly Item[], end: Cursor) {
    this.start = start;
    this.#items = items;
    this.end = end;
  }

  get nextNo(): number {
    return this.#items.length;
  }

  get memoryBytes(): number {
    return this.#items.reduce((sum, item) => sum + item.memoryBytes, 0);
  }

  item(no: number): Item | undefined {
    return this.#items[no];
  }

  set keeper(keeper: Keeper | null) {
    for (const item of this.#items) item.keeper = keeper;
  }

  /**
   * Where one with this cursor goes on in the range; null when the range cannot tell. `epoch` is the channel's
   * present one, for a plain id, which names none.
   */
  locate(cursor: Cursor, epoch: string | null): Place | null {
    const isOneHistory = this.start.epoch === this.end.epoch && this.start.epoch !== null;
    if (!isOneHistory || (cursor.epoch ?? epoch) !== this.start.epoch) return null;
    if (cursor.id === this.start.id) return START;
    const isInside = compareIds(this.start.id, cursor.id) < 0 && compareIds(cursor.id, this.end.id) < 0;
    return isInside ? findPlace(this, 0, cursor) : null;
  }
}
