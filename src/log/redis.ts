/**
 * The log in Redis Streams. A channel is a stream, so `redis-cli XADD` writes to it and XRANGE reads it; what
 * Rivercast needs to prove a history lies beside it (redis/keys.ts).
 *
 *   connection/ from an address, or the sentinels that name a master, to commands and replies
 *   appender   batches, stored once, on a connection of their own         scripts/append.lua
 *   durable    what makes them safe: replicas, disk
 *   key-memory idempotency keys are forgotten in time                     scripts/forget.lua
 *   reader     atomic looks: pages and bounds                             scripts/look.lua, rotate.lua
 *   locate     where a start without a cursor begins                      scripts/last.lua
 *   watcher    blocking reads, one connection per concurrent wait, and one to unblock them
 *   registry   the names of all channels                                  scripts/list.lua
 *   sweep      retention for idle channels                                scripts/sweep.lua, lease.lua
 *   this file  trimming, the probe, opening and closing                   scripts/trim.lua
 *
 * Nothing gives up while the log is open; trouble is told by `probe` and by one log line per change.
 */
import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Retention } from '../channels.ts';
import type { Clock } from '../clock.ts';
import type { Durability, Idempotency } from '../config/shape.ts';
import { RivercastError, StartError } from '../errors.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { LAST_ID } from '../protocol/id.ts';
import { DEFAULT_IDEMPOTENCY, forgottenEarly } from './idempotency.ts';
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
import { Appender } from './redis/appender.ts';
import { readCa } from './redis/connection/ca.ts';
import { Connector } from './redis/connection/connector.ts';
import { Keeper } from './redis/connection/keeper.ts';
import { type Link, RedisFault } from './redis/connection/link.ts';
import { parseTarget, type Target } from './redis/connection/target.ts';
import { Durable } from './redis/durable.ts';
import { warnOfEviction } from './redis/eviction.ts';
import { KeyMemory } from './redis/key-memory.ts';
import { probeKey } from './redis/keys.ts';
import { locate } from './redis/locate.ts';
import { Reader } from './redis/reader.ts';
import { Registry } from './redis/registry.ts';
import { boundText, loadScript, runScript } from './redis/script.ts';
import { SWEEP_TIMES, type SweepTimes, sweep } from './redis/sweep.ts';
import { type RedisLogger, Trouble } from './redis/trouble.ts';
import { Watcher } from './redis/watcher.ts';
import { Witnesses } from './redis/witness.ts';

/** How long each kind of call may take before the connection counts as dead. */
export interface RedisDeadlines {
  readonly connectMs: number;
  readonly appendMs: number;
  readonly readMs: number;
  readonly probeMs: number;
  /** How often a watched channel is checked for lost history. */
  readonly checkMs: number;
  /** How long close() lets appends finish that Redis is about to answer. */
  readonly closeMs: number;
}

export interface RedisLogOptions {
  readonly url: string;
  /** A file of certificates (PEM) to trust instead of the well-known ones. */
  readonly caFile?: string | null;
  /** The key of the default channel, and its name. */
  readonly stream: string;
  readonly clock: Clock;
  readonly retention: (channel: string) => Retention;
  readonly durability?: Durability;
  readonly idempotency?: Idempotency;
  readonly logger?: RedisLogger;
  readonly random?: () => number;
  readonly deadlines?: Partial<RedisDeadlines>;
  readonly sweepTimes?: Partial<SweepTimes>;
}

const DEADLINES: RedisDeadlines = {
  connectMs: 1000,
  appendMs: 5000,
  readMs: 1900,
  probeMs: 1000,
  checkMs: 3000,
  closeMs: 1000,
};
const DURABILITY: Durability = { level: 'memory', replicas: 1, timeoutMs: 1000 };
const TRIM = loadScript('trim');
const SILENT: RedisLogger = { info: () => undefined, warn: () => undefined, error: () => undefined };

export class RedisLog implements Log {
  readonly #options: RedisLogOptions;
  readonly #deadlines: RedisDeadlines;
  readonly #logger: RedisLogger;
  readonly #closing = new AbortController();
  readonly #trouble: Trouble;
  readonly #connector: Connector;
  readonly #writes: Keeper;
  readonly #reads: Keeper;
  readonly #appender: Appender;
  readonly #reader: Reader;
  readonly #watcher: Watcher;
  readonly #witnesses = new Witnesses();
  readonly #registry: Registry;
  readonly #sweepTimes: SweepTimes;
  #closed: Promise<void> | null = null;

  private constructor(options: RedisLogOptions, target: Target) {
    this.#options = options;
    this.#deadlines = { ...DEADLINES, ...options.deadlines };
    this.#sweepTimes = { ...SWEEP_TIMES, ...options.sweepTimes };
    this.#logger = options.logger ?? SILENT;
    this.#trouble = new Trouble(this.#logger);
    const { stream, clock, retention, random = Math.random } = options;
    const { connectMs, appendMs, readMs, checkMs } = this.#deadlines;
    const { signal } = this.#closing;
    // Every append that waits for a retry listens to it: as many as there are channels.
    setMaxListeners(0, signal);
    const witnesses = this.#witnesses;
    const connector = new Connector(target, this.#logger);
    this.#connector = connector;
    const open = (deadlineMs: number): Promise<Link> => connector.open(deadlineMs, signal);
    const connect = { open, connectMs, random, signal };
    const trouble = this.#trouble;
    const durable = new Durable(options.durability ?? DURABILITY, { connectMs, appendMs });
    this.#writes = new Keeper({ ...connect, prepare: (link) => durable.prepare(link) });
    this.#reads = new Keeper({ ...connect, onOpen: () => this.#watcher.reconnected() });
    const writerId = randomBytes(9).toString('base64url');
    const writing = { stream, writerId, keeper: this.#writes, witnesses, trouble };
    const { idempotency = DEFAULT_IDEMPOTENCY } = options;
    const onForgottenEarly = forgottenEarly(this.#logger, clock, idempotency);
    const remembering = { ...idempotency, onForgottenEarly, stream, callMs: readMs, trouble, signal };
    const keyMemory = new KeyMemory({ ...remembering, keeper: this.#reads, logger: this.#logger });
    const { channelTtlMs } = this.#sweepTimes;
    const storing = { ...writing, clock, retention, channelTtlMs, random, signal };
    this.#appender = new Appender({ ...storing, durable, keyMemory });
    this.#reader = new Reader({ stream, clock, keeper: this.#reads, witnesses, readMs, random, signal });
    const noting = { reader: this.#reader, logger: this.#logger };
    this.#registry = new Registry({ ...noting, stream, clock, random, signal });
    const watching = { clock, reader: this.#reader, connect, witnesses, trouble, logger: this.#logger };
    this.#watcher = new Watcher({ ...watching, checkMs, graceMs: readMs });
  }

  /** A Redis that is not there yet is waited for; one that can never serve is a StartError. */
  static async open(options: RedisLogOptions): Promise<RedisLog> {
    const ca = typeof options.caFile === 'string' ? readCa(options.caFile) : null;
    const log = new RedisLog(options, parseTarget(options.url, ca));
    try {
      await warnOfEviction(await log.#reads.get(), log.#logger, log.#deadlines.connectMs);
      // Whether it can be as durable as asked shows on the connection for appends.
      if (options.durability !== undefined && options.durability.level !== 'memory') await log.#writes.get();
    } catch (error) {
      if (!(error instanceof RedisFault)) throw error;
      if (error.kind === 'configuration') {
        await log.close();
        throw new StartError(error.message);
      }
      log.#logger.warn({ reason: error.message }, 'Redis does not answer yet; it is waited for');
    }
    return log;
  }

  async append(channel: string, entries: readonly NewEntry[]): Promise<AppendResult[]> {
    this.#assertOpen();
    try {
      return await this.#appender.append(channel, entries);
    } finally {
      // Also when replicas or the disk were late: the entries are stored.
      if (entries.length > 0) this.#registry.note(channel, this.#witnesses.of(channel).epoch);
    }
  }

  async read(channel: string, after: Cursor, limits: PageLimits): Promise<Page> {
    this.#assertOpen();
    return this.#reader.read(channel, after, limits);
  }

  async locate(channel: string, start: FreshStart): Promise<Cursor> {
    this.#assertOpen();
    return locate(this.#reader, channel, start);
  }

  async wait(
    after: ReadonlyMap<string, Cursor>,
    limits: PageLimits,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Page>> {
    this.#assertOpen();
    return this.#watcher.wait(after, limits, signal);
  }

  async bounds(channel: string): Promise<Bounds> {
    this.#assertOpen();
    const { epoch, floor, tip, tipOrdinal, length } = await this.#reader.look(channel);
    return { epoch, floor, tip, tipOrdinal, length };
  }

  async trim(channel: string, policy: TrimPolicy): Promise<number> {
    this.#assertOpen();
    const { stream, meta } = this.#reader.keysOf(channel);
    const { maxEntries, maxBytes, maxAgeMs, before = '' } = policy;
    const args = [boundText(maxEntries), boundText(maxBytes), boundText(maxAgeMs), before];
    const call = { script: TRIM, keys: [stream, meta], args };
    return Number(await this.#reader.ask((link, ms) => runScript(link, call, ms)));
  }

  async channels(page: { after: string | null; limit: number }): Promise<ChannelPage> {
    this.#assertOpen();
    return this.#registry.page(page);
  }

  async sweep(signal: AbortSignal): Promise<Swept | null> {
    this.#assertOpen();
    const { stream, clock, retention } = this.#options;
    const sweeping = { stream, clock, retention, times: this.#sweepTimes, registry: this.#registry };
    return sweep({ ...sweeping, reader: this.#reader }, signal);
  }

  async probe(side?: Side): Promise<void> {
    this.#assertOpen();
    await Promise.all([
      side === 'read' ? null : this.#probeAppends(),
      side === 'append' ? null : this.#probeReads(),
    ]);
    const reason = this.#trouble.reasonOf(side);
    if (reason !== null) throw new RivercastError('log_unavailable', reason);
  }

  /** Asks for what an append would be refused for, and writes nothing: the stream is not there, and not made. */
  async #probeAppends(): Promise<void> {
    const { stream, durability = DURABILITY } = this.#options;
    const { probeMs } = this.#deadlines;
    const args = [probeKey(stream), 'NOMKSTREAM', '*', 'data', ''];
    await this.#reader.ask((link, ms) => link.call('xadd', args, ms), probeMs);
    const { unansweredMs } = this.#appender;
    if (unansweredMs <= probeMs + (durability.level === 'memory' ? 0 : durability.timeoutMs)) return;
    throw new RivercastError('log_unavailable', `no append was answered for ${Math.round(unansweredMs)} ms`);
  }

  /** As a live reader asks, for what comes after the last id there can be: nothing. */
  async #probeReads(): Promise<void> {
    const args = ['COUNT', '1', 'STREAMS', this.#options.stream, LAST_ID];
    await this.#reader.ask((link, ms) => link.call('xread', args, ms), this.#deadlines.probeMs);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const patienceMs = this.#trouble.reason === null ? this.#deadlines.closeMs : 0;
    await this.#watcher.close();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patienceMs);
    });
    await Promise.race([this.#appender.settled(), late]);
    clearTimeout(timer);
    this.#closing.abort();
    this.#writes.close();
    this.#reads.close();
    this.#connector.close();
    await this.#appender.settled();
  }

  #assertOpen(): void {
    if (this.#closed !== null) throw new RivercastError('log_unavailable', 'the log is closed');
  }
}
