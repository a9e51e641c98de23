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
import { type EntryId, idMs, idSeq, idsAfter } from '../../protocol/id.ts';
import type { AppendResult, NewEntry, TrimPolicy } from '../log.ts';
import { ENTRY_HEADER_BYTES, type IdParts, KEY_BYTES, writeEntry, writeKey } from '../record.ts';
import { type ChannelState, isOver, recordOf } from './channel.ts';
import type { Reader } from './reader.ts';
import type { Writes } from './store.ts';

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

export type Job = AppendJob | TrimJob;

interface PlannedAppend {
  readonly job: AppendJob;
  readonly ids: readonly EntryId[];
  /** The values of all entries, one after the other. */
  readonly values: Buffer;
}

/** Encoding takes about 1 microsecond an entry and blocks the event loop: a group is some milliseconds at most. */
const MAX_ENTRIES = 4096;
const MAX_BYTES = 4 * 1024 * 1024;
/** Removals beyond what the group appends: lets retention catch up, and a long trim take turns with appends. */
const EXTRA_REMOVALS = 1000;

export class Group {
  readonly jobs: Job[] = [];
  readonly #retention: (channel: string) => Retention;
  readonly #reader: Reader;
  readonly #nowMs: number;
  readonly #appends: PlannedAppend[] = [];
  readonly #removals: { readonly channel: number; readonly id: IdParts }[] = [];
  readonly #touched = new Set<ChannelState>();
  /** The first entry the group appends to a channel. */
  readonly #firsts = new Map<ChannelState, EntryId>();
  #removalsLeft = EXTRA_REMOVALS;

  constructor(options: { clock: Clock; retention: (channel: string) => Retention }, reader: Reader) {
    this.#retention = options.retention;
    this.#reader = reader;
    this.#nowMs = Math.floor(options.clock.now());
  }

  /** Takes at least one job from the queue; returns the rest. */
  take(queue: Job[]): Job[] {
    let entries = 0;
    let bytes = 0;
    let taken = 0;
    for (; taken < queue.length && entries < MAX_ENTRIES && bytes < MAX_BYTES; taken++) {
      const job = queue[taken] as Job;
      this.jobs.push(job);
      if (job.kind === 'trim') continue;
      entries += job.entries.length;
      bytes += this.#planAppend(job);
    }
    this.#removalsLeft += entries;
    for (const state of this.#firsts.keys()) this.#planRemovals(state, this.#retention(state.name));
    for (const job of this.jobs) {
      if (job.kind === 'trim') job.removed += this.#planRemovals(job.state, job.policy);
    }
    return queue.slice(taken);
  }

  write(writes: Writes): void {
    const key = Buffer.alloc(KEY_BYTES);
    for (const { channel, id } of this.#removals) {
      writeKey(key, channel, id.ms, id.seq);
      writes.removeEntry(key);
    }
    for (const { job, ids, values } of this.#appends) {
      const first = partsOf(ids[0] as EntryId);
      let at = 0;
      for (const [i, { data }] of job.entries.entries()) {
        const end = at + ENTRY_HEADER_BYTES + data.length;
        writeKey(key, job.state.number, first.ms, first.seq + i);
        writes.putEntry(key, values.subarray(at, end));
        at = end;
      }
    }
    for (const state of this.#touched) writes.putChannel(state.name, recordOf(state));
  }

  /** Returns the channels that have new entries. */
  settle(): Iterable<ChannelState> {
    for (const [state, first] of this.#firsts) {
      state.flushed = state.written;
      state.floor ??= first;
    }
    for (const { job, ids } of this.#appends) job.resolve(ids.map((id) => ({ id, duplicate: false })));
    for (const job of this.jobs) {
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
    return jobs;
  }

  #planAppend(job: AppendJob): number {
    const { state, entries } = job;
    const ids = idsAfter(state.written.id, this.#nowMs, entries.length);
    let bytes = 0;
    for (const { data } of entries) bytes += data.length;
    const values = Buffer.allocUnsafe(bytes + entries.length * ENTRY_HEADER_BYTES);
    const { ms, seq } = partsOf(ids[0] as EntryId);
    let prev = partsOf(state.written.id);
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
    this.#appends.push({ job, ids, values });
    this.#touched.add(state);
    if (!this.#firsts.has(state)) this.#firsts.set(state, ids[0] as EntryId);
    return values.length;
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

function partsOf(id: EntryId): IdParts {
  return { ms: idMs(id), seq: idSeq(id) };
}
