/**
 * Waiting for news: a blocking XREAD on a connection of its own, with explicit ids, never `$`.
 *
 * What XREAD returns is handed on as it is when its chain proves that nothing is missing; else, and every
 * CHECK_MS, and after every new connection, an atomic look is the judge: Redis tells a blocked reader nothing
 * of a deleted key, a lost tail or an id given twice. A channel whose look fails (a key of another type) is
 * left out of the XREAD, so that it can not silence the others.
 */
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { background } from '../../background.ts';
import { pause } from '../../backoff.ts';
import type { Clock } from '../../clock.ts';
import { RivercastError } from '../../errors.ts';
import type { Cursor } from '../../protocol/cursor.ts';
import { ID_ZERO } from '../../protocol/id.ts';
import { follows } from '../judge.ts';
import { type Entry, MAX_WATCHED, type Page, type PageLimits } from '../log.ts';
import { redisBackoff } from './connection/backoff.ts';
import { Keeper, type KeeperOptions } from './connection/keeper.ts';
import { type Link, RedisFault } from './connection/link.ts';
import { decodeStreams } from './entries.ts';
import { countFor, cut, type Reader } from './reader.ts';
import type { RedisLogger, Trouble } from './trouble.ts';
import type { Witnesses } from './witness.ts';

/**
 * A blocked read that an abort does not bring back loses its connection: it had read nothing. That is after 20
 * short pauses, each with a turn of the event loop, so that one long stall of this process counts as one.
 */
const UNBLOCK_PAUSES = 20;
const UNBLOCK_PAUSE_MS = 5;
/** How soon a channel that could not be looked at is looked at again. */
const LAME_MS = 500;
const MAX_IDLE_LINKS = 4;

export interface WatcherOptions {
  readonly clock: Clock;
  readonly reader: Reader;
  readonly connect: KeeperOptions;
  readonly witnesses: Witnesses;
  readonly trouble: Trouble;
  readonly logger: RedisLogger;
  readonly checkMs: number;
  /** How long an overdue reply of a blocking read is waited for. */
  readonly graceMs: number;
}

type Cursors = ReadonlyMap<string, Cursor>;

interface BlockedRead {
  settled: boolean;
}

export class Watcher {
  readonly #options: WatcherOptions;
  readonly #waits = new Map<AbortController, Promise<unknown>>();
  /** Connections for blocking reads that nobody uses just now, at most MAX_IDLE_LINKS. */
  readonly #idle: Keeper[] = [];
  /** Unblocks the others, and shares nothing with what can make Redis slow to answer. */
  readonly #control: Keeper;
  /** Rises with every connection opened: what was checked over another one has to be checked again. */
  #generation = 0;
  #closed = false;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#control = new Keeper(options.connect);
  }

  reconnected(): void {
    this.#generation += 1;
  }

  async wait(after: Cursors, limits: PageLimits, signal: AbortSignal): Promise<ReadonlyMap<string, Page>> {
    if (after.size > MAX_WATCHED) throw new RivercastError('internal', `more than ${MAX_WATCHED} channels`);
    this.#assertOpen();
    const stop = new AbortController();
    const onAbort = (): void => stop.abort();
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) stop.abort();
    const keeper = this.#idle.pop() ?? this.#connection();
    const news = this.#untilNews(keeper, after, limits, stop.signal);
    this.#waits.set(stop, news);
    try {
      return await news;
    } finally {
      this.#waits.delete(stop);
      signal.removeEventListener('abort', onAbort);
      this.#options.trouble.end(stop.signal);
      if (this.#closed || this.#idle.length >= MAX_IDLE_LINKS) keeper.close();
      else this.#idle.push(keeper);
    }
  }

  /** Resolves when nobody waits any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const stop of this.#waits.keys()) stop.abort();
    await Promise.allSettled([...this.#waits.values()]);
    for (const keeper of [this.#control, ...this.#idle.splice(0)]) keeper.close();
  }

  async #untilNews(
    keeper: Keeper,
    after: Cursors,
    limits: PageLimits,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Page>> {
    const backoff = redisBackoff(this.#options.connect.random);
    while (!signal.aborted) {
      let link: Link | null = null;
      try {
        link = await untilAborted(keeper.get(), signal);
        if (link === null) break;
        const pages = await this.#round(link, after, limits, signal);
        if (pages.size > 0) return pages;
        backoff.reset();
      } catch (error) {
        if (!(error instanceof RedisFault)) throw error;
        if (signal.aborted) break;
        // A connection says it works by a check; that XREAD is refused, only XREAD can unsay.
        const part = error.kind === 'connection' ? 'live connection' : 'live reading';
        this.#options.trouble.set(part, error.message, signal);
        // The keeper paces its own tries.
        if (link !== null) await backoff.wait(signal);
      }
    }
    this.#assertOpen();
    return new Map();
  }

  /** Checks what is due, then blocks until something comes, the next check is due, or the signal aborts. */
  async #round(
    link: Link,
    after: Cursors,
    limits: PageLimits,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Page>> {
    const checked = await untilAborted(this.#check(after, limits), signal);
    if (checked !== null && checked.sound.size > 0) this.#options.trouble.clear('live connection');
    if (checked === null || checked.pages.size > 0) return checked?.pages ?? new Map();
    const { checkMs } = this.#options;
    if (checked.sound.size === 0) {
      await pause(Math.min(LAME_MS, checkMs), signal);
      return checked.pages;
    }
    // A channel that is left out is looked at again sooner.
    const blockMs = checked.sound.size < after.size ? Math.min(LAME_MS, checkMs) : checkMs;
    const found = await this.#block(link, checked.sound, { limits, blockMs }, signal);
    this.#options.trouble.clear('live reading');
    return this.#judge(found, after, limits, signal);
  }

  async #check(
    after: Cursors,
    limits: PageLimits,
  ): Promise<{ pages: Map<string, Page>; sound: Map<string, Cursor> }> {
    const { clock, checkMs, trouble, witnesses } = this.#options;
    const pages = new Map<string, Page>();
    const sound = new Map<string, Cursor>();
    const since = clock.monotonic() - checkMs;
    const looks = [...after].map(async ([channel, cursor]) => {
      try {
        if (!witnesses.of(channel).isChecked(cursor, this.#generation, since)) {
          const page = await this.#read(channel, cursor, limits);
          if (hasNews(page)) pages.set(channel, page);
        }
        sound.set(channel, cursor);
        trouble.clear(`reading ${channel}`);
      } catch (error) {
        trouble.lame(`reading ${channel}`, reasonOf(error));
      }
    });
    await Promise.all(looks);
    return { pages, sound };
  }

  async #block(
    link: Link,
    after: Cursors,
    { limits, blockMs }: { limits: PageLimits; blockMs: number },
    signal: AbortSignal,
  ): Promise<Map<string, Entry[]>> {
    const { reader, witnesses, graceMs, logger } = this.#options;
    const byKey = new Map([...after.keys()].map((channel) => [reader.keysOf(channel).stream, channel]));
    const count = countFor(
      [...after.keys()].map((channel) => witnesses.of(channel)),
      limits,
    );
    const ids = [...after.values()].map((cursor) => cursor.id);
    const args = ['BLOCK', `${Math.ceil(blockMs)}`, 'COUNT', `${count}`, 'STREAMS', ...byKey.keys(), ...ids];
    // A flag and not a signal: this is done for every message of a quiet channel, and aborting is dear.
    const read: BlockedRead = { settled: false };
    const onAbort = (): void => {
      const work = Promise.all([this.#askToUnblock(link, read), giveUpUnlessSettled(link, read)]);
      background('unblocking a read', work, logger);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      const streams = decodeStreams(await link.callRaw('xread', args, blockMs + graceMs));
      return new Map([...streams].map(([key, entries]) => [byKey.get(key) as string, entries]));
    } finally {
      read.settled = true;
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #judge(
    found: ReadonlyMap<string, Entry[]>,
    after: Cursors,
    limits: PageLimits,
    signal: AbortSignal,
  ): Promise<Map<string, Page>> {
    const pages = new Map<string, Page>();
    for (const [channel, entries] of found) {
      const cursor = after.get(channel) as Cursor;
      const proven = this.#provenPage(channel, cursor, cut(entries, limits));
      const page = proven ?? (await untilAborted(this.#readOrNull(channel, cursor, limits), signal));
      if (page !== null && hasNews(page)) pages.set(channel, page);
    }
    return pages;
  }

  /** The entries as a page when they follow the cursor in the epoch that was last seen; else null. */
  #provenPage(channel: string, cursor: Cursor, entries: readonly Entry[]): Page | null {
    const witness = this.#options.witnesses.of(channel);
    const last = entries.at(-1);
    if (last === undefined || cursor.epoch === null || cursor.epoch !== witness.epoch) return null;
    // The first entry of every history follows it, whichever was flushed just before.
    if (cursor.id === ID_ZERO) return null;
    if (cursor.id !== witness.checkedId || !follows(cursor, entries)) return null;
    witness.see(witness.epoch, last.id, last.ordinal);
    witness.remember(entries);
    witness.checkedId = last.id;
    const end = { id: last.id, epoch: witness.epoch, ordinal: last.ordinal };
    return { epoch: witness.epoch, entries, gaps: [], end };
  }

  async #readOrNull(channel: string, cursor: Cursor, limits: PageLimits): Promise<Page | null> {
    try {
      return await this.#read(channel, cursor, limits);
    } catch (error) {
      this.#options.trouble.lame(`reading ${channel}`, reasonOf(error));
      return null;
    }
  }

  async #read(channel: string, cursor: Cursor, limits: PageLimits): Promise<Page> {
    const { clock, reader, witnesses } = this.#options;
    const generation = this.#generation;
    const startedMs = clock.monotonic();
    const page = await reader.follow(channel, cursor, limits);
    const witness = witnesses.of(channel);
    witness.remember(page.entries);
    witness.checkedId = page.end.id;
    witness.checkedAtMs = startedMs;
    witness.checkedGeneration = generation;
    return page;
  }

  /** The read may not have reached Redis yet when CLIENT UNBLOCK does, so that is sent until it has settled. */
  async #askToUnblock(link: Link, read: BlockedRead): Promise<void> {
    try {
      while (!read.settled && link.alive) {
        const control = await this.#control.get();
        await control.call('client', ['unblock', `${link.clientId}`], this.#options.graceMs);
        this.#options.trouble.clear('unblocking');
        await delay(UNBLOCK_PAUSE_MS);
      }
    } catch (error) {
      if (!(error instanceof RedisFault)) throw error;
      // Without a control connection the read's own is given up; where that is so for good, it has to be told.
      if (error.kind !== 'connection') this.#options.trouble.lame('unblocking', error.message);
    }
  }

  #connection(): Keeper {
    return new Keeper({ ...this.#options.connect, onOpen: () => this.reconnected() });
  }

  #assertOpen(): void {
    if (this.#closed) throw new RivercastError('log_unavailable', 'the log is closed');
  }
}

async function giveUpUnlessSettled(link: Link, read: BlockedRead): Promise<void> {
  for (let i = 0; i < UNBLOCK_PAUSES && !read.settled; i++) {
    await delay(UNBLOCK_PAUSE_MS);
    await turn();
  }
  if (!read.settled) link.destroy('was not unblocked in time');
}

function hasNews(page: Page): boolean {
  return page.entries.length > 0 || page.gaps.length > 0;
}

/** Why one channel can not be read; throws what concerns the others too. */
function reasonOf(error: unknown): string {
  if (!(error instanceof RivercastError)) throw error;
  if (error.cause instanceof RedisFault && error.cause.kind !== 'redis') throw error.cause;
  return error.message;
}

/** Null when the signal aborts first; the promise goes on in the background. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) {
    promise.catch(() => undefined);
    return null;
  }
  let onAbort = (): void => undefined;
  const aborted = new Promise<null>((resolve) => {
    onAbort = () => resolve(null);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
