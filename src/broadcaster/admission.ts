/**
 * A subscription that may begin, decided before its connection is accepted: where it starts, and what it has
 * missed for good. It is held: until it is used or disposed of, its channel's tail is not given up, and one with a
 * long way to go keeps its place among those.
 */
import type { Gap } from '../log/log.ts';
import type { Cursor } from '../protocol/cursor.ts';
import type { Tail } from './tail.ts';

export interface Beginning {
  /** Null: at the tip, whatever it is when the subscription begins. */
  readonly cursor: Cursor | null;
  readonly fresh: boolean;
  /** What the requested cursor can not have any more; `cursor` lies after it. */
  readonly gap: Gap | null;
  /** It has a long way to go, and is counted as one that does. */
  readonly deep: boolean;
}

export class Admission implements Beginning, Disposable {
  readonly tail: Tail;
  readonly cursor: Cursor | null;
  readonly fresh: boolean;
  readonly gap: Gap | null;
  readonly deep: boolean;
  readonly #free: () => void;
  #isHeld = true;

  /** `free` is called once, when it is held no more. */
  constructor(tail: Tail, { cursor, fresh, gap, deep }: Beginning, free: () => void) {
    this.tail = tail;
    this.cursor = cursor;
    this.fresh = fresh;
    this.gap = gap;
    this.deep = deep;
    this.#free = free;
  }

  [Symbol.dispose](): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#free();
  }
}

/** Several, for one connection. */
export class Admissions implements Disposable {
  readonly list: readonly Admission[];

  constructor(list: readonly Admission[]) {
    this.list = list;
  }

  [Symbol.dispose](): void {
    for (const admission of this.list) admission[Symbol.dispose]();
  }
}
