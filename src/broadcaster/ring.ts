/**
 * The recent items of one channel, numbered from 0 for ever, the oldest given up first. A subscriber's place
 * is a number (and an index inside that block), so following the ring takes no search; only one that comes
 * from elsewhere is located, by its cursor.
 *
 * A range of older items read back from the log has the same shape (see `Source`), so that catching up and
 * live delivery run through the same code.
 */
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds } from '../protocol/id.ts';
import { firstAbove, type Item } from './block.ts';

/** A sequence of items by number. */
export interface Source {
  /** The item with this number, or undefined when it is not here: given up, or not yet come. */
  item(no: number): Item | undefined;
  /** The number of the next item to come. */
  readonly nextNo: number;
}

export interface Place {
  readonly no: number;
  readonly index: number;
}

export type Located =
  | Place
  /** Before the ring, or not provably on its history: the log must say. */
  | 'unknown'
  /** Past the tip: another process has seen more than this one, so far. */
  | 'ahead';

export class Ring implements Source {
  #items: (Item | undefined)[] = [];
  #head = 0;
  #firstNo = 0;
  /** The cursor before the first item kept. */
  #start: Cursor;
  #end: Cursor;
  /** Where the present history begins: what lies before a reset must not be found by id. */
  #historyNo = 0;
  #historyStart: Cursor;

  constructor(start: Cursor) {
    this.#start = start;
    this.#end = start;
    this.#historyStart = start;
  }

  /** The cursor before the first item kept. */
  get start(): Cursor {
    return this.#start;
  }

  get end(): Cursor {
    return this.#end;
  }

  get nextNo(): number {
    return this.#firstNo + this.#items.length - this.#head;
  }

  item(no: number): Item | undefined {
    return no < this.#firstNo ? undefined : this.#items[this.#head + no - this.#firstNo];
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#end = item.end;
    if (item.kind === 'gap' && item.gap.reason === 'reset') {
      this.#historyNo = this.nextNo;
      this.#historyStart = item.end;
    }
  }

  /** Gives up the oldest item, and returns it. */
  shift(): Item | undefined {
    const oldest = this.#items[this.#head];
    if (oldest === undefined) return undefined;
    this.#items[this.#head] = undefined;
    this.#head += 1;
    this.#firstNo += 1;
    this.#start = oldest.end;
    if (this.#historyNo < this.#firstNo) {
      this.#historyNo = this.#firstNo;
      this.#historyStart = oldest.end;
    }
    if (this.#head > 64 && this.#head > this.#items.length / 2) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return oldest;
  }

  /** Where a subscriber with this cursor goes on, when the ring alone can prove that nothing is missing. */
  locate(cursor: Cursor): Located {
    if (cursor.epoch !== null && cursor.epoch !== this.#end.epoch) return 'unknown';
    const beyond = compareIds(cursor.id, this.#end.id);
    if (beyond > 0) return 'ahead';
    if (beyond === 0) return { no: this.nextNo, index: 0 };
    const fromStart = compareIds(cursor.id, this.#historyStart.id);
    if (fromStart < 0) return 'unknown';
    if (fromStart === 0) return { no: this.#historyNo, index: 0 };
    return findPlace(this, this.#historyNo, cursor) ?? 'unknown';
  }
}

/**
 * Where a cursor's entry lies among the items from number `low` on: the place after it. Null when no entry there
 * has its id: an id that no entry has is not a place, it may come from another history.
 */
export function findPlace(source: Source, low: number, { id }: Cursor): Place | null {
  let from = low;
  let to = source.nextNo - 1;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (compareIds((source.item(middle) as Item).end.id, id) < 0) from = middle + 1;
    else to = middle;
  }
  const item = source.item(from);
  if (item === undefined || item.kind === 'gap') return null;
  const index = firstAbove(item, id);
  if (index === 0 || item.ids[index - 1] !== id) return null;
  return index === item.ids.length ? { no: from + 1, index: 0 } : { no: from, index };
}
