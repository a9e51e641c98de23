/**
 * Subscribers out: everything between the log and the transports.
 *
 *   log ──wait──▶ Waiter ──page──▶ Tail (ring of blocks) ──pass──▶ Subscriber ──run──▶ transport
 *   log ──read──▶ CatchUp ──range────────────────────────────────▶ Subscriber (off the ring)
 *
 * A tail is made for a channel's first subscriber and given up some time after its last.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { background } from '../background.ts';
import type { Clock } from '../clock.ts';
import type { BroadcasterConfig } from '../config.ts';
import { RivercastError } from '../errors.ts';
import type { Gap, Log } from '../log/log.ts';
import type { Logger } from '../logger.ts';
import { CLOSE } from '../protocol/close.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds, type EntryId } from '../protocol/id.ts';
import type { Start } from '../protocol/start.ts';
import { Budget } from './budget.ts';
import { CatchUp } from './catch-up.ts';
import { Passes } from './passes.ts';
import { Ranges } from './ranges.ts';
import { Runs } from './runs.ts';
import { isTooSlow } from './slow-reader.ts';
import { Stalls } from './stalls.ts';
import { Subscriber, type SubscriberOptions } from './subscriber.ts';
import { Tail, type TailContext } from './tail.ts';
import { Turns } from './turns.ts';
import { Turnstile } from './turnstile.ts';
import { Waiter } from './waiter.ts';

/** A page that is reloaded comes back well within this, and finds the ring warm. */
const TAIL_LINGER_MS = 30_000;
/** Of what one write carries, so much is payload: a block then goes out in one write, frame headers included. */
const PAYLOAD_SHARE = 7 / 8;
/** Channels followed at once: each 100 take a connection of their own to Redis, which knows 2,048 apart. */
const MAX_TAILS = 2000;
/** Looking a start up can take many steps (`last:1000000`); more at a time would only make each slower. */
const MAX_LOCATING = 4;
const SETTLE_CHECK_MS = 10;
/** At a stop, one that has taken nothing for so long is not waited for. */
const NOT_READING_MS = 1000;

export interface BroadcasterOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: BroadcasterConfig;
}

/** Where a subscriber may start, decided before its connection is accepted. */
export interface Admission {
  readonly tail: Tail;
  /** Null: at the tip, whatever it is when the subscriber is attached. */
  readonly cursor: Cursor | null;
  readonly fresh: boolean;
  /** What the requested cursor can not have any more; `cursor` lies after it. */
  readonly gap: Gap | null;
}

/** How subscribers are closed: so many, a pause, so many. */
export interface Wave {
  readonly size: number;
  readonly pauseMs: number;
}

export interface BroadcasterStats {
  readonly subscribers: number;
  readonly stalled: number;
  readonly stalledBytes: number;
  readonly ringBytes: number;
  readonly catchUpReads: number;
  readonly slices: number;
  readonly longestSliceMs: number;
}

export class Broadcaster {
  readonly #options: BroadcasterOptions;
  readonly #context: TailContext;
  readonly #ranges: Ranges;
  readonly #catchUp: CatchUp;
  readonly #locating = new Turnstile(MAX_LOCATING);
  readonly #tails = new Map<string, Tail>();
  readonly #opening = new Map<string, Promise<Tail>>();
  #waiters: Waiter[] = [];
  #closed = false;

  constructor(options: BroadcasterOptions) {
    const { log, clock, logger, config } = options;
    const budget = new Budget(config.ringBytes);
    const passes = new Passes(clock, logger);
    const turns = new Turns(clock, passes);
    const stalls = new Stalls<Subscriber>({ maxBytes: config.stalledBytes, writeBytes: config.writeBytes });
    this.#options = options;
    this.#ranges = new Ranges({ log, budget, rangeBytes: () => stalls.writeBytes * PAYLOAD_SHARE });
    this.#catchUp = new CatchUp({ ranges: this.#ranges, turns, logger });
    this.#context = { clock, budget, passes, turns, stalls, runs: new Runs(), catchUp: this.#catchUp };
  }

  /**
   * Finds where a subscriber of `channel` starts, and what it has missed for good.
   * Rejects with RivercastError `log_unavailable` when the log must be asked and does not answer, and
   * `limit_reached` when no more channels can be followed.
   */
  async admit(channel: string, start: Start): Promise<Admission> {
    const tail = await this.#tail(channel);
    if (start.at === 'latest') return { tail, cursor: null, fresh: true, gap: null };
    tail.arriving += 1;
    try {
      if (start.at === 'cursor') return await this.#judge(tail, start.cursor);
      const cursor = await this.#locating.pass(() => this.#options.log.locate(channel, start));
      return { tail, cursor, fresh: true, gap: null };
    } finally {
      tail.arriving -= 1;
    }
  }

  /** Begins delivery. In the same turn as `admit` resolved, so that the tail is still there. */
  attach(admission: Admission, options: Pick<SubscriberOptions, 'transport' | 'onGap'>): Subscriber {
    const { tail, fresh } = admission;
    const cursor = admission.cursor ?? tail.ring.end;
    const subscriber = new Subscriber(tail, { ...options, cursor, fresh });
    tail.add(subscriber);
    subscriber.pump();
    return subscriber;
  }

  /** Regular work, about once a second: closes who is too slow, gives up tails nobody follows. */
  tick(): void {
    for (const subscriber of this.#context.stalls) {
      if (!subscriber.isOpen) continue;
      if (isTooSlow(subscriber.feed.lagOf(subscriber), this.#options.config)) subscriber.close(CLOSE.tooSlow);
    }
    const now = this.#options.clock.monotonic();
    for (const tail of this.#tails.values()) {
      const { idleSinceMs, arriving } = tail;
      if (idleSinceMs !== null && arriving === 0 && now - idleSinceMs >= TAIL_LINGER_MS) this.#giveUp(tail);
    }
  }

  /**
   * Resolves once every subscriber that reads has been sent what the log held when it was called; tells
   * whether that was reached before `signal` aborted.
   */
  async settle(signal: AbortSignal): Promise<boolean> {
    const tips = new Map<Tail, EntryId>();
    for (const tail of this.#tails.values()) {
      if (tail.count > 0) tips.set(tail, (await this.#options.log.bounds(tail.channel)).tip);
    }
    for (const [tail, tip] of tips) {
      while (!isSettled(tail, tip)) {
        if (signal.aborted) return false;
        await pause(SETTLE_CHECK_MS, signal);
      }
    }
    return true;
  }

  /** Closes every subscriber, in waves; each is told where to resume. */
  async closeAll(code: number, wave: Wave, signal: AbortSignal): Promise<void> {
    let inWave = 0;
    for (const tail of this.#tails.values()) {
      for (const subscriber of tail.subscribers()) {
        subscriber.close(code);
        inWave += 1;
        if (inWave < wave.size) continue;
        inWave = 0;
        await pause(wave.pauseMs, signal);
      }
    }
  }

  /** How many of this process follow a channel. */
  countOf(channel: string): number {
    return this.#tails.get(channel)?.count ?? 0;
  }

  stats(): BroadcasterStats {
    const { stalls, passes, budget } = this.#context;
    let subscribers = 0;
    for (const tail of this.#tails.values()) subscribers += tail.count;
    return {
      subscribers,
      stalled: stalls.count,
      stalledBytes: stalls.bytes,
      ringBytes: budget.bytes,
      catchUpReads: this.#ranges.reads,
      ...passes.stats,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#catchUp.close();
    await Promise.all(this.#waiters.map((waiter) => waiter.close()));
  }

  async #judge(tail: Tail, cursor: Cursor): Promise<Admission> {
    const located = tail.ring.locate(cursor);
    if (typeof located === 'object') return { tail, cursor, fresh: false, gap: null };
    const range = await this.#ranges.after(tail.channel, cursor);
    const first = range.item(0);
    if (first?.kind === 'gap' && first.gap.reason !== 'deleted') {
      return { tail, cursor: first.gap.resumeAt, fresh: false, gap: first.gap };
    }
    return { tail, cursor: range.start, fresh: false, gap: null };
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
    if (this.#tails.size >= MAX_TAILS) {
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

  #giveUp(tail: Tail): void {
    this.#tails.delete(tail.channel);
    const waiter = this.#waiters.find((candidate) => candidate.has(tail));
    waiter?.unwatch(tail);
    if (waiter?.isEmpty === true) {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      background('ending a wait', waiter.close(), this.#options.logger);
    }
    tail.close();
  }
}

function isSettled(tail: Tail, tip: EntryId): boolean {
  if (compareIds(tail.ring.end.id, tip) < 0) return false;
  return tail
    .subscribers()
    .every(
      (subscriber) =>
        compareIds(subscriber.cursor.id, tip) >= 0 || tail.lagOf(subscriber).stalledMs >= NOT_READING_MS,
    );
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
