/**
 * What one transaction does: a few appends, and removals of oldest entries as retention or a trim asks.
 *
 *   take      plans the jobs at the head of the queue: gives ids, encodes values, picks what to remove
 *   write     hands it all to the store
 *   settle    once it is on disk: readers may see it, and those who asked are answered
 *
 * Only one group is under way at a time, so while one is planned, all that was written is on disk.
 */
import type { Retention } from '../../channels.ts';
import type { Clock } from '../../clock.ts';
import { type EntryId, ID_ZERO, type IdParts, idParts, idsAfter } from '../../protocol/id.ts';
import type { AppendResult, NewEntry, TrimPolicy } from '../log.ts';
import { ENTRY_HEADER_BYTES, KEY_BYTES, writeEntry, writeKey } from '../record.ts';
import { type ChannelState, isOver, recordOf } from './channel.ts';
import { KeyPlan, type KeyPlanOptions, PAGE_BYTES } from './key-plan.ts';
import type { Reader } from './reader.ts';
import type { Store, Writes } from './store.ts';

export interface AppendJob {
  readonly kind: 'append';
  readonly state: ChannelState;
  readonly entries: readonly NewEntry[];
  readonly resolve: (results: AppendResult[]) => void;
  readonly reject: (error: Error) => void;
}

export interface TrimJob {
  readonly kind: 'trim';
  readonly state: ChannelState;
  readonly policy: TrimPolicy;
  /** By the transactions before. */
  removed: number;
  readonly resolve: (removed: number) => void;
  readonly reject: (error: Error) => void;
}

/** Removes idempotency keys that are forgotten. */
export interface ForgetJob {
  readonly kind: 'forget';
  readonly state: ChannelState;
  readonly reject: (error: Error) => void;
}

/** Removes the record of a channel whose entries and keys are gone. */
export interface DropJob {
  readonly kind: 'drop';
  readonly state: ChannelState;
  /** The number of the next new channel: none is given twice. */
  readonly nextNumber: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export type Job = AppendJob | TrimJob | ForgetJob | DropJob;

export interface GroupOptions extends KeyPlanOptions {
  readonly clock: Clock;
  readonly retention: (channel: string) => Retention;
}

interface PlannedAppend {
  readonly job: AppendJob;
  /** Those of its entries that are no repetitions, and their ids. */
  readonly fresh: readonly NewEntry[];
  readonly ids: readonly EntryId[];
  readonly results: AppendResult[];
  /** The values of all entries, one after the other. */
  readonly values: Buffer;
}

/** Encoding takes about 1 microsecond an entry and blocks the event loop: a group is some milliseconds at most. */
const MAX_ENTRIES = 4096;
const MAX_BYTES = 4 * 1024 * 1024;
/** Removals beyond what the group appends: lets retention catch up, and a long trim take turns with appends. */
const EXTRA_REMOVALS = 1000;
/** Pages above those that hold something, and the lists of free ones. */
const BYTES_PER_GROUP = 256 * 1024;
/** What LMDB adds to one, and the index of its page. */
const BYTES_PER_ENTRY = 128;
const BYTES_PER_REMOVAL = 512;

export class Group {
  readonly jobs: Job[] = [];
  readonly #retention: (channel: string) => Retention;
  readonly #reader: Reader;
  readonly #nowMs: number;
  readonly #keys: KeyPlan;
  readonly #appends: PlannedAppend[] = [];
  readonly #removals: { readonly channel: number; readonly id: IdParts }[] = [];
  readonly #touched = new Set<ChannelState>();
  /** The first entry the group appends to a channel. */
  readonly #firsts = new Map<ChannelState, EntryId>();
  #removalsLeft = EXTRA_REMOVALS;

  constructor(options: GroupOptions, reader: Reader, store: Store) {
    this.#retention = options.retention;
    this.#reader = reader;
    this.#nowMs = Math.floor(options.clock.now());
    this.#keys = new KeyPlan(options, store, this.#nowMs);
  }

  /** Takes at least one job from the queue; returns the rest. */
  take(queue: Job[]): Job[] {
    let entries = 0;
    let bytes = 0;
    let taken = 0;
    for (; taken < queue.length && entries < MAX_ENTRIES && bytes < MAX_BYTES; taken++) {
      const job = queue[taken] as Job;
      this.jobs.push(job);
      if (job.kind !== 'append') continue;
      entries += job.entries.length;
      bytes += this.#planAppend(job);
    }
    this.#removalsLeft += entries;
    for (const state of this.#firsts.keys()) this.#planRemovals(state, this.#retention(state.name));
    for (const job of this.jobs) {
      if (job.kind === 'trim') job.removed += this.#planRemovals(job.state, job.policy);
      if (job.kind === 'forget') this.#keys.planRemovals(job.state);
    }
    return queue.slice(taken);
  }

  /**
   * What `write` takes on disk, rather too much: LMDB copies each page that it changes. Entries lie side by side and fill
   * half of their pages at worst; removing takes no page that holds several of them more than once.
   */
  get diskBytes(): number {
    let bytes = this.#removals.length * BYTES_PER_REMOVAL;
    for (const { values, ids } of this.#appends) bytes += 2 * values.length + ids.length * BYTES_PER_ENTRY;
    return BYTES_PER_GROUP + bytes + this.#touched.size * PAGE_BYTES + this.#keys.diskBytes;
  }

  write(writes: Writes): void {
    const key = Buffer.alloc(KEY_BYTES);
    for (const { channel, id } of this.#removals) {
      writeKey(key, channel, id.ms, id.seq);
      writes.removeEntry(key);
    }
    for (const { job, fresh, ids, values } of this.#appends) {
      const first = idParts(ids[0] ?? ID_ZERO);
      let at = 0;
      for (const [i, { data }] of fresh.entries()) {
        const end = at + ENTRY_HEADER_BYTES + data.length;
        writeKey(key, job.state.number, first.ms, first.seq + i);
        writes.putEntry(key, values.subarray(at, end));
        at = end;
      }
    }
    for (const job of this.jobs) {
      if (job.kind === 'drop') writes.removeChannel(job.state.name, job.nextNumber);
    }
    for (const state of this.#touched) writes.putChannel(state.name, recordOf(state));
    this.#keys.write(writes);
  }

  /** Returns the channels that have new entries. */
  settle(): Iterable<ChannelState> {
    for (const [state, first] of this.#firsts) {
      state.flushed = state.written;
      state.floor ??= first;
    }
    for (const { job, results } of this.#appends) job.resolve(results);
    for (const job of this.jobs) {
      if (job.kind === 'drop') job.resolve();
      if (job.kind === 'trim' && !isOver(job.state, job.policy, this.#nowMs)) job.resolve(job.removed);
    }
    return this.#firsts.keys();
  }

  /** What the next group has to go on with, once this one is settled. */
  unfinished(): Job[] {
    const jobs: Job[] = this.jobs.filter(
      (job) => job.kind === 'trim' && isOver(job.state, job.policy, this.#nowMs),
    );
    for (const state of this.#firsts.keys()) {
      const policy = this.#retention(state.name);
      if (!isOver(state, policy, this.#nowMs)) continue;
      jobs.push({ kind: 'trim', state, policy, removed: 0, resolve: () => {}, reject: () => {} });
    }
    for (const { kind, state } of this.jobs) {
      if (kind === 'forget' && state.keys !== null) state.keys.isForgetting = false;
      const job = forgetJob(state);
      if (job !== null) jobs.push(job);
    }
    return jobs;
  }

  #planAppend(job: AppendJob): number {
    const { state } = job;
    const sifted = this.#keys.sift(state, job.entries);
    const { fresh } = sifted;
    const ids = idsAfter(state.written.id, this.#nowMs, fresh.length);
    const values = ids.length === 0 ? Buffer.alloc(0) : this.#encode(state, fresh, ids);
    this.#appends.push({ job, fresh, ids, values, results: this.#keys.results(state, sifted, ids) });
    return values.length;
  }

  /** The values of the entries, one after the other; they are the channel's last ones from now on. */
  #encode(state: ChannelState, entries: readonly NewEntry[], ids: readonly EntryId[]): Buffer {
    let bytes = 0;
    for (const { data } of entries) bytes += data.length;
    const values = Buffer.allocUnsafe(bytes + entries.length * ENTRY_HEADER_BYTES);
    const { ms, seq } = idParts(ids[0] as EntryId);
    let prev = idParts(state.written.id);
    let ordinal = state.written.ordinal;
    let at = 0;
    for (const [i, entry] of entries.entries()) {
      const end = at + ENTRY_HEADER_BYTES + entry.data.length;
      const id = { ms, seq: seq + i };
      ordinal += 1;
      writeEntry(values.subarray(at, end), id, entry, { ordinal, prev });
      prev = id;
      at = end;
    }
    state.written = { id: ids.at(-1) as EntryId, ordinal };
    state.bytes += bytes;
    this.#touched.add(state);
    if (!this.#firsts.has(state)) this.#firsts.set(state, ids[0] as EntryId);
    return values;
  }

  /** Plans to remove oldest entries that are on disk, as far as the group may; returns how many. */
  #planRemovals(state: ChannelState, policy: TrimPolicy): number {
    if (!isOver(state, policy, this.#nowMs)) return 0;
    this.#touched.add(state);
    let removed = 0;
    this.#reader.scanKept(state, ({ ms, seq, value }) => {
      state.floor = `${ms}-${seq}`;
      if (this.#removalsLeft === 0 || !isOver(state, policy, this.#nowMs)) return false;
      this.#removalsLeft -= 1;
      this.#removals.push({ channel: state.number, id: { ms, seq } });
      state.trimmed = { id: state.floor, ordinal: state.trimmed.ordinal + 1 };
      state.bytes = Math.max(0, state.bytes - (value.length - ENTRY_HEADER_BYTES));
      state.floor = null;
      removed += 1;
      return true;
    });
    return removed;
  }
}

/** A job when the channel has forgotten keys to remove and nobody is at it. */
export function forgetJob(state: ChannelState): ForgetJob | null {
  const { keys } = state;
  if (keys === null || keys.isForgetting || keys.dead.length === 0) return null;
  keys.isForgetting = true;
  return { kind: 'forget', state, reject: () => {} };
}
