/**
 * The log in a directory, for a server without Redis. Group commit: appends of all channels that arrive while
 * a transaction is being flushed share the next one; each resolves after its flush. What readers see ends at
 * the last flushed entry. A failed write is final: nothing is acknowledged after it, whatever comes, because
 * what a failed flush left on disk is unknown until the directory is opened again.
 *
 * Parts: guard.ts (one server per directory), file-check.ts (is it whole?), store.ts (LMDB), record.ts (bytes), channel.ts (state),
 * group.ts (what one transaction does), key-plan.ts and generations.ts (idempotency keys), reader.ts (pages and
 * places).
 */
import { access, constants, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isForgotten, type Retention } from '../channels.ts';
import type { Clock } from '../clock.ts';
import type { Idempotency } from '../config/shape.ts';
import { RivercastError, StartError } from '../errors.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { type EntryId, idMs, idsAfter } from '../protocol/id.ts';
import { Arrivals } from './arrivals.ts';
import { type ChannelState, isOver, lookAt, newChannel, restoredChannel } from './embedded/channel.ts';
import { checkFile } from './embedded/file-check.ts';
import { forgetPast, newGenerations } from './embedded/generations.ts';
import { forgetJob, Group, type GroupOptions, type Job } from './embedded/group.ts';
import { DirectoryGuard } from './embedded/guard.ts';
import { Reader } from './embedded/reader.ts';
import { causeOf, makeRoom } from './embedded/room.ts';
import { Store } from './embedded/store.ts';
import { newEpoch } from './epoch.ts';
import { DEFAULT_IDEMPOTENCY, forgottenEarly, lookEveryMs, type WarningLogger } from './idempotency.ts';
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
  Side,
  Swept,
  TrimPolicy,
} from './log.ts';

export interface EmbeddedLogOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly retention: (channel: string) => Retention;
  readonly idempotency?: Idempotency;
  readonly logger?: WarningLogger;
  readonly channelTtlMs?: number;
  /** Told once when the log fails for good. */
  readonly onFailure?: (error: Error) => void;
}

/** The event loop has its turn after looking at so many channels. */
const SWEPT_PER_TURN = 200;
/** A flush that takes longer than this means that the disk hangs: the server is not ready. */
const SLOW_FLUSH_MS = 2000;

export class EmbeddedLog implements Log {
  readonly #options: EmbeddedLogOptions;
  readonly #guard: DirectoryGuard;
  readonly #store: Store;
  readonly #reader: Reader;
  readonly #channels = new Map<string, ChannelState>();
  readonly #arrivals = new Arrivals();
  readonly #group: GroupOptions;
  readonly #forgetting: NodeJS.Timeout;
  #nextNumber = 1;
  #queue: Job[] = [];
  /** Set while jobs are being worked off. */
  #working: Promise<void> | null = null;
  #flushingSince: number | null = null;
  #failure: Error | null = null;
  #closing: Promise<void> | null = null;

  private constructor(options: EmbeddedLogOptions, guard: DirectoryGuard, store: Store) {
    this.#options = options;
    this.#guard = guard;
    this.#store = store;
    this.#reader = new Reader(store, options.clock);
    const { clock, retention, idempotency = DEFAULT_IDEMPOTENCY, logger } = options;
    const onForgottenEarly = forgottenEarly(logger, clock, idempotency);
    this.#group = { clock, retention, idempotency, onForgottenEarly };
    this.#nextNumber = store.nextNumber();
    for (const { name, record } of store.loadChannels()) {
      const floor = this.#reader.floorOf(record);
      this.#channels.set(name, restoredChannel(name, record, floor));
      this.#nextNumber = Math.max(this.#nextNumber, record.number + 1);
    }
    this.#restoreKeys();
    this.#forgetting = setInterval(() => this.#forget(), lookEveryMs(idempotency));
    this.#forgetting.unref();
  }

  /** Opens the directory, made when missing. Throws a StartError when it can not be used. */
  static async open(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
    const { dataDir } = options;
    try {
      await mkdir(dataDir, { recursive: true, mode: 0o700 });
      await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      // What is said of a directory that can not be made may be that it is not there.
      const cause = await access(dirname(dataDir), constants.W_OK).then(
        () => error,
        (reason: unknown) => reason,
      );
      throw new StartError(`the data directory ${dataDir} is not writable: ${String(cause)}`, 1, { cause });
    }
    const guard = await DirectoryGuard.take(dataDir);
    let store: Store | null = null;
    try {
      const isNew = !(await checkFile(dataDir));
      await makeRoom(dataDir, isNew);
      store = await Store.open(dataDir);
      return new EmbeddedLog(options, guard, store);
    } catch (error) {
      await store?.close();
      await guard.release();
      if (error instanceof StartError) throw error;
      const why = causeOf(error, dataDir);
      throw new StartError(`cannot open the log in ${dataDir}: ${why}`, 1, { cause: error });
    }
  }

  append(channel: string, entries: readonly NewEntry[]): Promise<AppendResult[]> {
    if (entries.length === 0) return this.#nothing();
    return this.#enqueue((settle) => ({
      kind: 'append',
      state: this.#stateFor(channel),
      entries,
      ...settle,
    }));
  }

  async trim(channel: string, policy: TrimPolicy): Promise<number> {
    this.#assertWritable();
    const state = this.#channels.get(channel);
    if (state === undefined) return 0;
    return this.#enqueue((settle) => ({ kind: 'trim', state, policy, removed: 0, ...settle }));
  }

  async read(channel: string, after: Cursor, limits: PageLimits): Promise<Page> {
    this.#assertOpen();
    return this.#reader.page(this.#channels.get(channel), after, limits);
  }

  async locate(channel: string, start: FreshStart): Promise<Cursor> {
    this.#assertOpen();
    return this.#reader.locate(this.#channels.get(channel), start);
  }

  async wait(
    after: ReadonlyMap<string, Cursor>,
    limits: PageLimits,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Page>> {
    for (;;) {
      this.#assertOpen();
      if (signal.aborted) return new Map();
      const pages = this.#reader.pages(this.#channels, after, limits);
      if (pages.size > 0) return pages;
      await this.#arrivals.next(after.keys(), signal);
    }
  }

  async bounds(channel: string): Promise<Bounds> {
    this.#assertOpen();
    const { epoch, floor, tip, tipOrdinal, length } = lookAt(this.#channels.get(channel));
    return { epoch, floor, tip, tipOrdinal, length };
  }

  async channels({ after, limit }: { after: string | null; limit: number }): Promise<ChannelPage> {
    this.#assertOpen();
    return pageOf(this.#channels, { after, limit }, lookAt);
  }

  async sweep(signal: AbortSignal): Promise<Swept | null> {
    this.#assertWritable();
    const { clock, retention } = this.#options;
    const swept = { channels: 0, removed: 0, forgotten: 0 };
    for (const state of [...this.#channels.values()]) {
      if (signal.aborted) break;
      swept.channels += 1;
      const policy = retention(state.name);
      if (isOver(state, policy, clock.now())) swept.removed += await this.trim(state.name, policy);
      else if (swept.channels % SWEPT_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (await this.#drop(state)) swept.forgotten += 1;
    }
    return swept;
  }

  async probe(side?: Side): Promise<void> {
    if (side === 'read') return this.#assertOpen();
    this.#assertWritable();
    const flushingMs = this.#options.clock.monotonic() - (this.#flushingSince ?? Infinity);
    if (flushingMs > SLOW_FLUSH_MS) {
      throw new RivercastError(
        'log_unavailable',
        `a flush to disk has not ended for ${Math.round(flushingMs)} ms`,
      );
    }
    this.#store.check();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #restoreKeys(): void {
    const states = new Map([...this.#channels.values()].map((state) => [state.number, state]));
    for (const { channel, number, record } of this.#store.loadGenerations()) {
      const state = states.get(channel);
      if (state === undefined) continue;
      state.keys ??= newGenerations();
      state.keys.nextNumber = number + 1;
      if (record === null) state.keys.dead.push(number);
      else state.keys.live.push({ ...record });
    }
  }

  /** Forgets keys of channels that nobody publishes to. */
  #forget(): void {
    if (this.#failure !== null || this.#closing !== null) return;
    const nowMs = Math.floor(this.#options.clock.now());
    for (const state of this.#channels.values()) {
      if (state.keys === null) continue;
      const isEarly = forgetPast(state.keys, nowMs, this.#group.idempotency);
      if (isEarly) this.#group.onForgottenEarly(state.name);
      const job = forgetJob(state);
      if (job !== null) this.#push(job);
    }
  }

  async #close(): Promise<void> {
    clearInterval(this.#forgetting);
    this.#arrivals.announceAll();
    await this.#working;
    await this.#store.close();
    await this.#guard.release();
  }

  /**
   * Removes a channel that had no entry for long: first its entries, then, when still nobody has appended, its
   * record. Nobody finds the channel from then on; who appends begins a new one, under another number.
   */
  async #drop(state: ChannelState): Promise<boolean> {
    const { clock, retention, channelTtlMs } = this.#options;
    const { id } = state.written;
    const isDue = isForgotten(idMs(id), retention(state.name), clock.now(), channelTtlMs);
    // Keys are found by the number of their channel: they have to go before it.
    if (!isDue || state.flushed === null || hasKeys(state)) return false;
    await this.trim(state.name, { before: idsAfter(id, 0, 1)[0] as EntryId });
    const isWanted = state.written.id !== id || this.#queue.some((job) => job.state === state);
    if (isWanted || this.#channels.get(state.name) !== state) return false;
    this.#channels.delete(state.name);
    const nextNumber = this.#nextNumber;
    await this.#enqueue<void>((settle) => ({ kind: 'drop', state, nextNumber, ...settle }));
    this.#arrivals.announce(state.name);
    return true;
  }

  async #nothing(): Promise<AppendResult[]> {
    this.#assertWritable();
    return [];
  }

  #stateFor(channel: string): ChannelState {
    let state = this.#channels.get(channel);
    if (state === undefined) {
      state = newChannel(channel, this.#nextNumber++, newEpoch());
      this.#channels.set(channel, state);
    }
    return state;
  }

  async #enqueue<T>(
    make: (settle: { resolve: (value: T) => void; reject: (error: Error) => void }) => Job,
  ): Promise<T> {
    this.#assertWritable();
    return new Promise((resolve, reject) => {
      this.#push(make({ resolve, reject }));
    });
  }

  #push(job: Job): void {
    this.#queue.push(job);
    this.#working ??= this.#work();
  }

  /** Works off the queue, one transaction at a time. Never rejects. */
  async #work(): Promise<void> {
    // All that arrives in this turn of the event loop shares the first transaction.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0 && this.#failure === null) await this.#commit();
    this.#working = null;
  }

  async #commit(): Promise<void> {
    const group = new Group(this.#group, this.#reader, this.#store);
    this.#flushingSince = this.#options.clock.monotonic();
    try {
      this.#queue = group.take(this.#queue);
      await this.#store.transact(group.diskBytes, (writes) => group.write(writes));
    } catch (error) {
      this.#fail(error as Error, group.jobs);
      return;
    } finally {
      this.#flushingSince = null;
    }
    for (const state of group.settle()) this.#arrivals.announce(state.name);
    for (const job of group.unfinished()) {
      if (this.#closing === null) this.#queue.push(job);
      else job.reject(closed());
    }
  }

  #fail(error: Error, jobs: readonly Job[]): void {
    this.#failure = error;
    const waiting = this.#queue;
    this.#queue = [];
    for (const job of [...jobs, ...waiting]) job.reject(this.#unavailable(error));
    this.#options.onFailure?.(error);
  }

  #unavailable(cause: Error): RivercastError {
    return new RivercastError('log_unavailable', cause.message, { cause });
  }

  #assertWritable(): void {
    this.#assertOpen();
    if (this.#failure !== null) throw this.#unavailable(this.#failure);
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw closed();
  }
}

function hasKeys({ keys }: ChannelState): boolean {
  return keys !== null && keys.live.length + keys.dead.length > 0;
}

function closed(): RivercastError {
  return new RivercastError('log_unavailable', 'the log is closed');
}
