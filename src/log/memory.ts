/**
 * The log in memory: nothing survives the process. For trying things out, for tests of what stands around a
 * log, and as the plainest statement of what a Log does.
 */
import { isForgotten, type Retention } from '../channels.ts';
import type { Clock } from '../clock.ts';
import type { Idempotency } from '../config/shape.ts';
import { RivercastError } from '../errors.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { type EntryId, ID_ZERO, idBefore, idMs, idsAfter } from '../protocol/id.ts';
import { Arrivals } from './arrivals.ts';
import { newEpoch } from './epoch.ts';
import { DEFAULT_IDEMPOTENCY, forgottenEarly, lookEveryMs, type WarningLogger } from './idempotency.ts';
import { judgePage, type Look } from './judge.ts';
import { pageOf } from './listing.ts';
import type {
  AppendResult,
  Bounds,
  ChannelPage,
  FreshStart,
  Log,
  NewEntry,
  Page,
  PageLimits,
  Swept,
  TrimPolicy,
} from './log.ts';
import { PackedEntries } from './memory/packed-entries.ts';

interface Channel {
  readonly epoch: string;
  readonly entries: PackedEntries;
  /** Of the idempotency window, oldest first. */
  readonly keys: Map<string, Known>;
}

/** What is remembered of an idempotency key. */
interface Known {
  readonly id: EntryId;
  readonly atMs: number;
}

export interface MemoryLogOptions {
  readonly clock: Clock;
  readonly retention: (channel: string) => Retention;
  readonly idempotency?: Idempotency;
  readonly logger?: WarningLogger;
  readonly channelTtlMs?: number;
}

export class MemoryLog implements Log {
  readonly #options: MemoryLogOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #arrivals = new Arrivals();
  readonly #idempotency: Idempotency;
  readonly #onForgottenEarly: (channel: string) => void;
  readonly #forgetting: NodeJS.Timeout;
  #closed = false;

  constructor(options: MemoryLogOptions) {
    this.#options = options;
    this.#idempotency = options.idempotency ?? DEFAULT_IDEMPOTENCY;
    this.#onForgottenEarly = forgottenEarly(options.logger, options.clock, this.#idempotency);
    this.#forgetting = setInterval(() => {
      for (const [channel, state] of this.#channels) this.#forget(channel, state);
    }, lookEveryMs(this.#idempotency));
    this.#forgetting.unref();
  }

  async append(channel: string, entries: readonly NewEntry[]): Promise<AppendResult[]> {
    this.#assertOpen();
    if (entries.length === 0) return [];
    const state = this.#open(channel);
    this.#forget(channel, state);
    const nowMs = this.#options.clock.now();
    const results = entries.map((entry) => this.#store(state, entry, nowMs));
    state.entries.trim(this.#options.retention(channel), nowMs);
    if (results.some(({ duplicate }) => !duplicate)) this.#arrivals.announce(channel);
    return results;
  }

  async read(channel: string, after: Cursor, limits: PageLimits): Promise<Page> {
    this.#assertOpen();
    return this.#page(channel, after, limits);
  }

  async locate(channel: string, start: FreshStart): Promise<Cursor> {
    this.#assertOpen();
    const state = this.#channels.get(channel);
    if (state === undefined) return { id: ID_ZERO, epoch: null, ordinal: null };
    const next = startOrdinal(state.entries, start);
    return { id: state.entries.idBefore(next), epoch: state.epoch, ordinal: next - 1 };
  }

  async wait(
    after: ReadonlyMap<string, Cursor>,
    limits: PageLimits,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Page>> {
    for (;;) {
      this.#assertOpen();
      const pages = new Map<string, Page>();
      for (const [channel, cursor] of after) {
        const page = this.#page(channel, cursor, limits);
        if (page.entries.length > 0 || page.gaps.length > 0) pages.set(channel, page);
      }
      if (pages.size > 0 || signal.aborted) return pages;
      await this.#arrivals.next(after.keys(), signal);
    }
  }

  async bounds(channel: string): Promise<Bounds> {
    this.#assertOpen();
    const { epoch, floor, tip, tipOrdinal, length } = look(this.#channels.get(channel), ID_ZERO);
    return { epoch, floor, tip, tipOrdinal, length };
  }

  async trim(channel: string, policy: TrimPolicy): Promise<number> {
    this.#assertOpen();
    const state = this.#channels.get(channel);
    return state === undefined ? 0 : state.entries.trim(policy, this.#options.clock.now());
  }

  async channels({ after, limit }: { after: string | null; limit: number }): Promise<ChannelPage> {
    this.#assertOpen();
    return pageOf(this.#channels, { after, limit }, (state) => look(state, ID_ZERO));
  }

  async sweep(): Promise<Swept | null> {
    this.#assertOpen();
    const { clock, retention, channelTtlMs } = this.#options;
    const swept = { channels: this.#channels.size, removed: 0, forgotten: 0 };
    for (const [channel, state] of this.#channels) {
      const policy = retention(channel);
      swept.removed += state.entries.trim(policy, clock.now());
      if (!isForgotten(idMs(state.entries.tip), policy, clock.now(), channelTtlMs)) continue;
      this.#channels.delete(channel);
      this.#arrivals.announce(channel);
      swept.forgotten += 1;
    }
    return swept;
  }

  async probe(): Promise<void> {
    this.#assertOpen();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#forgetting);
    this.#arrivals.announceAll();
  }

  #store({ entries, keys }: Channel, entry: NewEntry, nowMs: number): AppendResult {
    const known = entry.key === undefined ? undefined : keys.get(entry.key);
    if (known !== undefined) return { id: known.id, duplicate: true };
    const [id] = idsAfter(entries.tip, nowMs, 1) as [EntryId];
    entries.add(id, entry);
    if (entry.key !== undefined) keys.set(entry.key, { id, atMs: nowMs });
    return { id, duplicate: false };
  }

  #forget(channel: string, { keys }: Channel): void {
    const { windowMs, maxKeys } = this.#idempotency;
    const pastMs = this.#options.clock.now() - windowMs;
    for (const [key, { atMs }] of keys) {
      if (atMs >= pastMs && keys.size <= maxKeys) return;
      if (atMs >= pastMs) this.#onForgottenEarly(channel);
      keys.delete(key);
    }
  }

  #page(channel: string, after: Cursor, limits: PageLimits): Page {
    const state = this.#channels.get(channel);
    return judgePage(after, look(state, after.id), state?.entries.readAfter(after.id, limits) ?? []);
  }

  #open(channel: string): Channel {
    let state = this.#channels.get(channel);
    if (state === undefined) {
      state = { epoch: newEpoch(), entries: new PackedEntries(), keys: new Map() };
      this.#channels.set(channel, state);
    }
    return state;
  }

  #assertOpen(): void {
    if (this.#closed) throw new RivercastError('log_unavailable', 'the log is closed');
  }
}

/** Every entry is ours, and none is ever deleted by name. */
const UNDELETED = { cursorOrdinal: null, maxDeleted: ID_ZERO, prior: [] };

function look(state: Channel | undefined, after: EntryId): Look {
  if (state === undefined) {
    const nothing = { epoch: null, from: ID_ZERO, tip: ID_ZERO, tipOrdinal: 0, length: 0, floor: null };
    return { ...nothing, ...UNDELETED, cursorKept: false };
  }
  const { epoch, entries } = state;
  const { tip, tipOrdinal, length, firstOrdinal } = entries;
  const floor = length === 0 ? null : entries.idBefore(firstOrdinal + 1);
  const cursorKept = entries.has(after);
  return { ...UNDELETED, epoch, from: ID_ZERO, tip, tipOrdinal, length, floor, cursorKept };
}

/** The ordinal of the entry to begin with. */
function startOrdinal(entries: PackedEntries, start: FreshStart): number {
  switch (start.at) {
    case 'earliest':
      return entries.firstOrdinal;
    case 'latest':
      return entries.tipOrdinal + 1;
    case 'last':
      return Math.max(entries.firstOrdinal, endOrdinal(entries, start.until) - start.count);
    case 'time':
      return entries.ordinalAfter(idBefore(`${Math.ceil(start.ms)}-0`));
  }
}

function endOrdinal(entries: PackedEntries, until: EntryId | undefined): number {
  return until === undefined ? entries.tipOrdinal + 1 : entries.ordinalAfter(until);
}
