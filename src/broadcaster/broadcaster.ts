/**
 * Subscribers out: everything between the log and the transports.
 *
 *   log ──wait──▶ Waiter ──page──▶ Tail (ring of blocks) ──pass──▶ Subscription ──run──▶ Subscriber (transport)
 *   log ──read──▶ CatchUp ──range────────────────────────────────▶ Subscription (off the ring)
 *
 * A tail is made for a channel's first subscriber and given up some time after its last.
 */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { background } from '../background.ts';
import { Bursts } from '../bursts.ts';
import type { Clock } from '../clock.ts';
import type { BroadcasterConfig } from '../config.ts';
import { RivercastError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Logger } from '../logger.ts';
import { Pace } from '../pace.ts';
import { CLOSE } from '../protocol/close.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds, type EntryId } from '../protocol/id.ts';
import type { Start } from '../protocol/start.ts';
import { NO_TRACING, type Tracing } from '../tracing.ts';
import { Turnstile } from '../turnstile.ts';
import { Admission, Admissions, type Beginning } from './admission.ts';
import { Budget } from './budget.ts';
import { CatchUp } from './catch-up.ts';
import { type Counts, type DeliveryMeasures, NO_DELIVERY_MEASURES, noCounts } from './counts.ts';
import type { Format } from './format.ts';
import { Passes } from './passes.ts';
import { Progress } from './progress.ts';
import { Ranges } from './ranges.ts';
import { Runs } from './runs.ts';
import { isTooSlow } from './slow-reader.ts';
import { Stalls } from './stalls.ts';
import { Subscriber } from './subscriber.ts';
import { type OnGap, Subscription } from './subscription.ts';
import { Tail, type TailContext } from './tail.ts';
import type { Transport } from './transport.ts';
import { Turns } from './turns.ts';
import { Waiter } from './waiter.ts';
import { inWaves } from './waves.ts';

/** A page that is reloaded comes back well within this, and finds the ring warm. */
const TAIL_LINGER_MS = 30_000;
/** Of what one write carries, so much is payload: a block then goes out in one write, frame headers included. */
const PAYLOAD_SHARE = 7 / 8;
/** Channels followed at once: each 100 take a connection of their own to Redis, which knows 2,048 apart. */
const MAX_TAILS = 2000;
/** Looking a start up can take many steps (`last:1000000`); more at a time would only make each slower. */
const MAX_LOCATING = 4;
/** Further behind than this, one has a long way to go: thousands who lost a few seconds must not be refused. */
const DEEP_ENTRIES = 20_000;
/** Well below 1 ms of work, or somewhat more when each names a new channel. */
const ASKS_PER_TURN = 16;
const SETTLE_CHECK_MS = 10;
/** A look at all subscribers gives the event loop back after so long; asking for the time costs about as one of them. */
const SURVEY_MS = 2;
const SURVEY_STEP = 16;
/** At a stop, one that has taken nothing for so long is not waited for. */
const NOT_READING_MS = 1000;

export interface BroadcasterOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: BroadcasterConfig;
  /** Absent: nothing is measured. */
  readonly measures?: DeliveryMeasures;
  /** Absent: there are no spans. */
  readonly tracing?: Tracing;
}

export interface BroadcasterStats {
  readonly subscribers: number;
  readonly subscriptions: number;
  readonly stalled: number;
  readonly stalledBytes: number;
  readonly ringBytes: number;
  readonly catchUpReads: number;
  /** Subscriptions on a long way to the present. */
  readonly catchingUp: number;
  readonly slices: number;
  readonly longestSliceMs: number;
  /** Channels that are followed, or were a moment ago. */
  readonly channels: number;
  /** Subscribers cut because of what sockets had pending. */
  readonly cutForRoom: number;
  readonly counts: Counts;
}

export class Broadcaster {
  /** What all v1 sessions together answer in one turn. */
  readonly asks: Pace = new Pace(ASKS_PER_TURN);
  readonly #options: BroadcasterOptions;
  readonly #context: TailContext;
  readonly #ranges: Ranges;
  readonly #catchUp: CatchUp;
  readonly #progress: Progress;
  readonly #locating = new Turnstile(MAX_LOCATING);
  readonly #tails = new Map<string, Tail>();
  readonly #opening = new Map<string, Promise<Tail>>();
  readonly #subscribers = new Set<Subscriber>();
  readonly #tooSlow: Bursts;
  readonly #cutForRoom: Bursts;
  #cutSeen = 0;
  #waiters: Waiter[] = [];
  #closed = false;

  constructor(options: BroadcasterOptions) {
    const { log, clock, logger, config } = options;
    const budget = new Budget(config.ringBytes);
    const passes = new Passes(clock, logger);
    const turns = new Turns(clock, passes);
    const stalls = new Stalls<Subscriber>({ maxBytes: config.stalledBytes, writeBytes: config.writeBytes });
    this.#options = options;
    this.#progress = new Progress(log, clock);
    this.#tooSlow = new Bursts((count) =>
      logger.warn({ count }, 'subscribers that read too slowly were closed'),
    );
    this.#cutForRoom = new Bursts((count) =>
      logger.warn({ count }, 'subscribers that read nothing were cut: too much was pending for them'),
    );
    this.#ranges = new Ranges({ log, budget, rangeBytes: () => stalls.writeBytes * PAYLOAD_SHARE });
    this.#catchUp = new CatchUp({ ranges: this.#ranges, turns, logger, clock });
    this.#context = {
      clock,
      budget,
      passes,
      turns,
      stalls,
      counts: noCounts(),
      measures: options.measures ?? NO_DELIVERY_MEASURES,
      tracing: options.tracing ?? NO_TRACING,
      runs: new Runs(),
      catchUp: this.#catchUp,
      gone: (subscriber) => this.#subscribers.delete(subscriber),
    };
  }

  /** A connection that will listen in `format`. It is to be detached when it is gone. */
  join(transport: Transport, format: Format): Subscriber {
    const subscriber = new Subscriber(this.#context, transport, format);
    this.#subscribers.add(subscriber);
    return subscriber;
  }

  /**
   * Finds where a subscription to `channel` starts, and what it has missed for good.
   * Rejects with RivercastError `log_unavailable` when the log must be asked and does not answer, and
   * `limit_reached` when no more channels can be followed, or too many are on a long way already.
   */
  async admit(channel: string, start: Start): Promise<Admission> {
    let tail = await this.#tail(channel);
    // Others may have needed its place in the very turn in which it was made.
    while (tail.isGone) tail = await this.#tail(channel);
    tail.arriving += 1;
    try {
      const beginning = await this.#beginning(tail, start);
      if (beginning.deep) this.#catchUp.reserve(this.#options.config.maxCatchUps);
      return new Admission(tail, beginning, () => {
        tail.arriving -= 1;
        if (beginning.deep) this.#catchUp.unreserve();
      });
    } catch (error) {
      tail.arriving -= 1;
      throw error;
    }
  }

  /** As `admit`, for several channels at once: all of them or none. */
  async admitAll(channels: readonly string[], start: Start): Promise<Admissions> {
    const results = await Promise.allSettled(channels.map((channel) => this.admit(channel, start)));
    const admitted = results.filter((result) => result.status === 'fulfilled');
    const admissions = new Admissions(admitted.map(({ value }) => value));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return admissions;
    admissions[Symbol.dispose]();
    throw failed.reason;
  }

  /** Begins delivery, and uses the admission up; a gap met at the start is told first. */
  subscribe(subscriber: Subscriber, admission: Admission, onGap: OnGap): Subscription {
    const { tail, fresh, gap, deep } = admission;
    const cursor = admission.cursor ?? tail.ring.end;
    const subscription = new Subscription(tail, subscriber, { cursor, fresh, onGap });
    subscriber.add(subscription);
    tail.add(subscription);
    if (deep) this.#catchUp.goDeep(subscription);
    admission[Symbol.dispose]();
    if (gap !== null) subscriber.lost(gap.reason);
    const notice = gap === null ? null : subscriber.format.notice(tail.channel, gap);
    if (notice !== null) subscriber.write(notice);
    this.#context.passes.pump(subscription);
    return subscription;
  }

  /** How many of this process follow a channel. */
  countOf(channel: string): number {
    return this.#tails.get(channel)?.count ?? 0;
  }

  /** Null while what is stored arrives here; else what does not. A few channels stand for all: two of each 100. */
  lateness(): Promise<string | null> {
    return this.#progress.check(this.#waiters.flatMap((waiter) => [...waiter.sample()]));
  }

  /** Regular work, about once a second: closes who is too slow, gives up tails nobody follows. */
  tick(): void {
    for (const subscriber of this.#context.stalls) {
      if (!subscriber.isOpen || !isTooSlow(subscriber.lag, this.#options.config)) continue;
      this.#context.counts.closedTooSlow += 1;
      this.#tooSlow.add();
      subscriber.close(CLOSE.tooSlow);
    }
    const now = this.#options.clock.monotonic();
    this.#tellOfSlow(now);
    for (const tail of this.#tails.values()) {
      const { idleSinceMs, arriving } = tail;
      if (idleSinceMs !== null && arriving === 0 && now - idleSinceMs >= TAIL_LINGER_MS) this.#giveUp(tail);
    }
  }

  /**
   * Resolves once every subscriber that reads has been sent what the log held when it was called, or `signal`
   * aborted. Rejects as `Log.bounds` does.
   */
  async settle(signal: AbortSignal): Promise<void> {
    const tips = new Map<Tail, EntryId>();
    for (const tail of this.#tails.values()) {
      if (tail.count > 0) tips.set(tail, (await this.#options.log.bounds(tail.channel)).tip);
    }
    for (const [tail, tip] of tips) {
      while (!isSettled(tail, tip)) {
        if (signal.aborted) return;
        await pause(SETTLE_CHECK_MS, signal);
      }
    }
  }

  /**
   * Closes every subscriber, in waves spread over `overMs`; each is told where to resume, and gets what is new until
   * its turn. Once `signal` aborts all that are left have theirs.
   */
  closeAll(code: number, overMs: number, signal: AbortSignal): Promise<void> {
    const closing = { members: this.#subscribers, close: (one: Subscriber) => one.close(code) };
    return inWaves({ ...closing, overMs, clock: this.#options.clock }, signal);
  }

  /** Shows `visit` all subscribers, in slices that leave the event loop to others in between. */
  async survey(visit: (subscriber: Subscriber) => void): Promise<void> {
    const { clock } = this.#options;
    let deadline = clock.monotonic() + SURVEY_MS;
    let seen = 0;
    for (const subscriber of this.#subscribers) {
      visit(subscriber);
      seen += 1;
      if (seen % SURVEY_STEP !== 0 || clock.monotonic() < deadline) continue;
      await nextTurn();
      deadline = clock.monotonic() + SURVEY_MS;
    }
  }

  stats(): BroadcasterStats {
    const { stalls, passes, budget, counts } = this.#context;
    let subscriptions = 0;
    for (const tail of this.#tails.values()) subscriptions += tail.count;
    return {
      subscribers: this.#subscribers.size,
      subscriptions,
      stalled: stalls.count,
      stalledBytes: stalls.bytes,
      ringBytes: budget.bytes,
      catchUpReads: this.#ranges.reads,
      catchingUp: this.#catchUp.deepCount,
      channels: this.#tails.size,
      cutForRoom: stalls.cut,
      counts,
      ...passes.stats,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#catchUp.close();
    await Promise.all(this.#waiters.map((waiter) => waiter.close()));
  }

  #tellOfSlow(now: number): void {
    const { cut } = this.#context.stalls;
    this.#cutForRoom.add(cut - this.#cutSeen);
    this.#cutSeen = cut;
    this.#tooSlow.tick(now);
    this.#cutForRoom.tick(now);
  }

  async #beginning(tail: Tail, start: Start): Promise<Beginning> {
    if (start.at === 'latest') return { cursor: null, fresh: true, gap: null, deep: false };
    if (start.at === 'cursor') return this.#judge(tail, start.cursor);
    const cursor = await this.#locating.pass(() => this.#options.log.locate(tail.channel, start));
    return { cursor, fresh: true, gap: null, deep: isDeep(tail, cursor) };
  }

  async #judge(tail: Tail, cursor: Cursor): Promise<Beginning> {
    const located = tail.ring.locate(cursor);
    if (typeof located === 'object') {
      // A plain id was found in the ring's history; were it replaced from now on, the id alone could not tell.
      const epoch = cursor.epoch ?? tail.ring.end.epoch;
      this.#context.counts.resumedFromMemory += 1;
      return { cursor: { ...cursor, epoch }, fresh: false, gap: null, deep: false };
    }
    const { range, place } = await this.#ranges.after(tail, cursor);
    this.#context.counts.resumedFromLog += 1;
    const deep = isDeep(tail, range.end);
    const first = place.index === 0 ? range.item(place.no) : undefined;
    if (first?.kind === 'gap' && first.gap.reason !== 'deleted') {
      return { cursor: first.gap.resumeAt, fresh: false, gap: first.gap, deep };
    }
    return { cursor: { ...cursor, epoch: cursor.epoch ?? range.start.epoch }, fresh: false, gap: null, deep };
  }

  #tail(channel: string): Promise<Tail> {
    const tail = this.#tails.get(channel);
    if (tail !== undefined) return Promise.resolve(tail);
    let opening = this.#opening.get(channel);
    if (opening === undefined) {
      opening = this.#open(channel).finally(() => this.#opening.delete(channel));
      this.#opening.set(channel, opening);
    }
    return opening;
  }

  async #open(channel: string): Promise<Tail> {
    if (this.#tails.size >= MAX_TAILS && !this.#makeRoom()) {
      throw new RivercastError('limit_reached', `this process follows ${MAX_TAILS} channels already`);
    }
    const { tip, epoch, tipOrdinal } = await this.#options.log.bounds(channel);
    const tail = new Tail(channel, { id: tip, epoch, ordinal: tipOrdinal }, this.#context);
    this.#tails.set(channel, tail);
    let waiter = this.#waiters.find((candidate) => !candidate.isFull);
    if (waiter === undefined) {
      const { log, logger, config } = this.#options;
      waiter = new Waiter({
        log,
        logger,
        passes: this.#context.passes,
        pageBytes: config.writeBytes * PAYLOAD_SHARE,
      });
      this.#waiters.push(waiter);
    }
    if (!this.#closed) waiter.watch(tail);
    return tail;
  }

  /** Or one who asks for ever new channels and leaves them would keep all others out. */
  #makeRoom(): boolean {
    let longest: Tail | null = null;
    for (const tail of this.#tails.values()) {
      if (tail.idleSinceMs === null || tail.arriving > 0) continue;
      if (longest === null || tail.idleSinceMs < (longest.idleSinceMs ?? 0)) longest = tail;
    }
    if (longest !== null) this.#giveUp(longest);
    return longest !== null;
  }

  #giveUp(tail: Tail): void {
    this.#tails.delete(tail.channel);
    const waiter = this.#waiters.find((candidate) => candidate.has(tail));
    waiter?.unwatch(tail);
    if (waiter?.isEmpty === true) {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      background('ending a wait', waiter.close(), this.#options.logger);
    }
    tail.close();
    // It is the tail that hears of a reset, which makes what was read before it untrue.
    this.#ranges.forget(tail.channel);
  }
}

/** Whether what lies after the cursor is much, and not in memory. */
function isDeep({ ring }: Tail, cursor: Cursor): boolean {
  if (ring.locate(cursor) !== 'unknown') return false;
  if (cursor.ordinal === null || ring.end.ordinal === null) return true;
  return ring.end.ordinal - cursor.ordinal > DEEP_ENTRIES;
}

function isSettled(tail: Tail, tip: EntryId): boolean {
  if (compareIds(tail.ring.end.id, tip) < 0) return false;
  return tail
    .subscriptions()
    .every(
      ({ cursor, subscriber }) =>
        compareIds(cursor.id, tip) >= 0 || subscriber.lag.stalledMs >= NOT_READING_MS,
    );
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
