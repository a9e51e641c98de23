/**
 * What a reader of one channel is owed, from a list of everything ever put into it. Knows nothing of epochs,
 * chains and ordinals: only what was there after a cursor, and what of it is kept.
 */
import assert from 'node:assert/strict';
import type { Cursor } from '../../src/protocol/cursor.ts';
import type { EntryId } from '../../src/protocol/id.ts';
import type { Followed } from './follow.ts';

interface Item {
  readonly id: EntryId;
  readonly text: string;
  readonly isForeign: boolean;
  /** Removed by name; Redis remembers only the highest such id. */
  isDeleted: boolean;
  isKept: boolean;
}

/** Somebody's place: all of `history` up to `count` entries of it were delivered, or passed over. */
export interface Place {
  readonly history: number;
  readonly count: number;
  readonly cursor: Cursor;
}

export class Oracle {
  #items: Item[] = [];
  #history = 0;

  get tip(): EntryId {
    return this.#items.at(-1)?.id ?? '0-0';
  }

  get ids(): readonly EntryId[] {
    return this.#items.map(({ id }) => id);
  }

  get keptIds(): readonly EntryId[] {
    return this.#items.filter(({ isKept }) => isKept).map(({ id }) => id);
  }

  added(id: EntryId, text: string, isForeign = false): void {
    this.#items.push({ id, text, isForeign, isDeleted: false, isKept: true });
  }

  deleted(id: EntryId): void {
    for (const item of this.#items) if (item.id === id) item.isDeleted = true;
  }

  /** The ids that the store itself lists. */
  keeps(ids: ReadonlySet<EntryId>): void {
    for (const item of this.#items) item.isKept = ids.has(item.id);
  }

  /** Everything is gone, and is no longer what the ids name. */
  replaced(): void {
    this.#items = [];
    this.#history += 1;
  }

  /** Where `cursor` is when it was made now; null when it names no entry. */
  placeOf(cursor: Cursor): Place | null {
    const at = this.#items.findIndex(({ id }) => id === cursor.id);
    if (at < 0 && cursor.id !== '0-0') return null;
    return { history: this.#history, count: at + 1, cursor };
  }

  /** Fails unless who went on from `place` as `asked` was told exactly what is missing, and has all the rest. */
  check(place: Place, asked: Cursor, { texts, told, gaps }: Followed): void {
    const isSame = place.history === this.#history || (asked.id === '0-0' && asked.epoch === null);
    const due = this.#items.slice(isSame ? Math.min(place.count, this.#items.length) : 0);
    const kept = due.filter(({ isKept }) => isKept);
    assert.deepEqual(
      texts,
      kept.map(({ text }) => text),
      'the kept entries, once and in order',
    );
    if (isSame) {
      this.#checkCounts(due, asked, { told, gaps });
      return;
    }
    // At 0-0 nothing was delivered, and what others wrote and deleted before anybody looked left no trace.
    const isTold = told.length > 0 || asked.id === '0-0' || this.#isRegrown(asked);
    assert.ok(isTold, 'another history passed for the same');
  }

  #checkCounts(due: readonly Item[], asked: Cursor, { told, gaps }: Pick<Followed, 'told' | 'gaps'>): void {
    const missing = due.filter(({ isKept }) => !isKept);
    const hidden = missing.filter((item) => this.#isHidden(item));
    if (missing.length > hidden.length) assert.ok(told.length > 0, `${missing.length} missing, not told`);
    if (missing.length === 0 && !this.#isVague(asked, due[0]))
      assert.deepEqual(told, [], 'nothing is missing');
    assert.ok(!told.includes('reset'), 'a reset within one history');
    const lost = gaps.map((gap) => gap.lost);
    const sum = lost.reduce((all: number, count) => all + (count ?? 0), 0);
    assert.ok(sum <= missing.length, `${sum} told to be lost, ${missing.length} are`);
    if (!lost.includes(null) && hidden.length === 0) assert.equal(sum, missing.length);
    if (this.#isCountable(asked)) assert.ok(!lost.includes(null), 'the count is known');
  }

  /** Deleted before somebody else's entry, which bears no chain, and before a later deletion: nobody can know. */
  #isHidden(item: Item): boolean {
    const next = this.#items.slice(this.#items.indexOf(item)).find(({ isKept }) => isKept);
    return next !== undefined && next.isForeign && this.#isBeforeDeletion(next);
  }

  /** Somebody else's stream has no epoch: made anew and trimmed to the same count, it looks like the one before. */
  #isRegrown(asked: Cursor): boolean {
    const first = this.#items.findIndex(({ isKept }) => isKept);
    return asked.epoch === null && first === asked.ordinal && (this.#items[first]?.isForeign ?? false);
  }

  /** Whether it can not be known that `next` follows the cursor: its own entry is gone, and so is the count. */
  #isVague(asked: Cursor, next: Item | undefined): boolean {
    const own = this.#items.find(({ id }) => id === asked.id);
    if (next === undefined || !next.isForeign || own === undefined || own.isKept) return false;
    return asked.ordinal === null || this.#isBeforeDeletion(next);
  }

  #isBeforeDeletion(item: Item): boolean {
    return this.#items.slice(this.#items.indexOf(item)).some(({ isDeleted }) => isDeleted);
  }

  /** Whether every count has to be told: each entry bears its ordinal, and the cursor's is known. */
  #isCountable(asked: Cursor): boolean {
    if (this.#items.some(({ isForeign }) => isForeign)) return false;
    const own = this.#items.find(({ id }) => id === asked.id);
    return asked.id === '0-0' || asked.ordinal !== null || (own?.isKept ?? false);
  }
}
