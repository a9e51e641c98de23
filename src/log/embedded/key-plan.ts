/**
 * The idempotency keys of one transaction: which entries are repetitions, what is to be remembered of the
 * others, and which forgotten keys are removed. A key goes into the transaction of its entry, and whoever
 * repeats it within that transaction is answered after the same flush.
 */
import type { Idempotency } from '../../config/shape.ts';
import { type EntryId, idMs, idSeq } from '../../protocol/id.ts';
import type { AppendResult, NewEntry } from '../log.ts';
import { decodePlace, encodeGeneration, encodePlace, generationKey, placeKey } from '../record.ts';
import type { ChannelState } from './channel.ts';
import { forgetPast, type Generation, newGenerations, takingGeneration } from './generations.ts';
import type { Store, Writes } from './store.ts';

/** Where an entry of an append is: stored before, or at a place among the new ones. */
type Place = { readonly id: EntryId } | { readonly at: number; readonly duplicate: boolean };

/** An append, its repetitions put aside. */
export interface Sifted {
  readonly fresh: readonly NewEntry[];
  /** For every entry of the append; null when all of them are fresh. */
  readonly places: readonly Place[] | null;
}

export interface KeyPlanOptions {
  readonly idempotency: Idempotency;
  /** Told when keys of a channel are forgotten before their window is over. */
  readonly onForgottenEarly: (channel: string) => void;
}

/** Forgotten keys that one transaction removes: some milliseconds of work. */
const MAX_REMOVALS = 2000;
/** Of LMDB, as the log is opened. */
export const PAGE_BYTES = 4096;
const BYTES_PER_REMOVAL = 128;

export class KeyPlan {
  readonly #options: KeyPlanOptions;
  readonly #store: Store;
  readonly #nowMs: number;
  /** What this transaction remembers, and can not be looked up yet. */
  readonly #pending = new Map<ChannelState, Map<string, EntryId>>();
  readonly #puts: { readonly key: Buffer; readonly value: Buffer }[] = [];
  readonly #touched = new Map<Generation, number>();
  readonly #removals: Buffer[] = [];

  constructor(options: KeyPlanOptions, store: Store, nowMs: number) {
    this.#options = options;
    this.#store = store;
    this.#nowMs = nowMs;
  }

  sift(state: ChannelState, entries: readonly NewEntry[]): Sifted {
    if (!entries.some(({ key }) => key !== undefined)) return { fresh: entries, places: null };
    this.#forgetPast(state);
    const fresh: NewEntry[] = [];
    const places: Place[] = [];
    const own = new Map<string, number>();
    for (const entry of entries) {
      const { key } = entry;
      const first = key === undefined ? undefined : own.get(key);
      const id = key === undefined || first !== undefined ? null : this.#idOf(state, key);
      if (id !== null) places.push({ id });
      else if (first !== undefined) places.push({ at: first, duplicate: true });
      else {
        if (key !== undefined) own.set(key, fresh.length);
        places.push({ at: fresh.length, duplicate: false });
        fresh.push(entry);
      }
    }
    return { fresh, places };
  }

  /** Remembers the keys of those that were given ids, and says what became of each entry of the append. */
  results(state: ChannelState, { fresh, places }: Sifted, ids: readonly EntryId[]): AppendResult[] {
    if (places === null) return ids.map((id) => ({ id, duplicate: false }));
    for (const [i, { key }] of fresh.entries()) {
      if (key !== undefined) this.#remember(state, key, ids[i] as EntryId);
    }
    return places.map((place) =>
      'id' in place
        ? { id: place.id, duplicate: true }
        : { id: ids[place.at] as EntryId, duplicate: place.duplicate },
    );
  }

  /** Plans to remove forgotten keys that are on disk, as many as one transaction may. */
  planRemovals({ keys, number }: ChannelState): void {
    const dead = keys?.dead ?? [];
    while (dead.length > 0) {
      const [generation = 0] = dead;
      const start = generationKey(number, generation);
      const end = generationKey(number, generation + 1);
      const limit = MAX_REMOVALS - this.#removals.length;
      const found = this.#store.keysBetween(start, end, limit);
      this.#removals.push(...found);
      if (found.length === limit) return;
      dead.shift();
    }
  }

  /** What `write` takes on disk at most: keys lie anywhere, each may change a page of its own. */
  get diskBytes(): number {
    return (this.#puts.length + this.#touched.size) * PAGE_BYTES + this.#removals.length * BYTES_PER_REMOVAL;
  }

  write(writes: Writes): void {
    for (const key of this.#removals) writes.removeKey(key);
    for (const { key, value } of this.#puts) writes.putKey(key, value);
    for (const [generation, channel] of this.#touched) {
      const key = generationKey(channel, generation.number);
      writes.putKey(key, encodeGeneration(key, generation));
    }
  }

  #forgetPast(state: ChannelState): void {
    if (state.keys === null) return;
    const isEarly = forgetPast(state.keys, this.#nowMs, this.#options.idempotency);
    if (isEarly) this.#options.onForgottenEarly(state.name);
  }

  #idOf(state: ChannelState, key: string): EntryId | null {
    const pending = this.#pending.get(state)?.get(key);
    if (pending !== undefined) return pending;
    const live = state.keys?.live ?? [];
    for (let i = live.length - 1; i >= 0; i--) {
      const at = placeKey(state.number, (live[i] as Generation).number, key);
      const value = this.#store.findKey(at);
      // One that is damaged is not known: better stored twice than answered with an id that is not its own.
      const id = value === undefined ? null : decodePlace(at, value);
      if (id !== null) return id;
    }
    return null;
  }

  #remember(state: ChannelState, key: string, id: EntryId): void {
    state.keys ??= newGenerations();
    const generation = takingGeneration(state.keys, this.#nowMs, this.#options.idempotency);
    generation.count += 1;
    generation.lastMs = Math.max(generation.lastMs, this.#nowMs);
    this.#touched.set(generation, state.number);
    const at = placeKey(state.number, generation.number, key);
    this.#puts.push({ key: at, value: encodePlace(at, { ms: idMs(id), seq: idSeq(id) }) });
    const pending = this.#pending.get(state);
    if (pending === undefined) this.#pending.set(state, new Map([[key, id]]));
    else pending.set(key, id);
  }
}
