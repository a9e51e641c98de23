/**
 * Brings subscriptions that fell off the ring the ranges they need, and gives each a turn when its range is here.
 * A read that fails is tried again for as long as somebody waits: the subscribers stay connected.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { background } from '../background.ts';
import type { Clock } from '../clock.ts';
import { RivercastError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { formatCursor } from '../protocol/cursor.ts';
import type { Found, Ranges } from './ranges.ts';
import type { Subscription } from './subscription.ts';
import type { Fetcher, Tail } from './tail.ts';
import type { Turns } from './turns.ts';

const RETRY_MS = 200;
/**
 * Between two ranges of one with a long way to go, while there is live traffic: about as long as it takes to read and
 * write one, so that this takes half of the time at most. What is live has to pass through here several times (in,
 * stored, read, out), and would wait for a range each time.
 */
const PAUSE_MS = 1;
const LIVE_MS = 1000;

interface CatchUpOptions {
  readonly ranges: Ranges;
  readonly turns: Turns;
  readonly logger: Logger;
  readonly clock: Clock;
}

export class CatchUp implements Fetcher {
  readonly #options: CatchUpOptions;
  /** Who waits for what follows the same cursor of the same tail. */
  readonly #waiting = new Map<string, Subscription[]>();
  /** Those let in with a long way to go, until they have come to the ring. */
  readonly #deep = new Set<Subscription>();
  /** Places of those that were let in and have not begun yet. */
  #reserved = 0;
  #liveAtMs = Number.NEGATIVE_INFINITY;
  readonly #stop = new AbortController();

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** How many are on a long way, or have a place there. */
  get deepCount(): number {
    return this.#deep.size + this.#reserved;
  }

  /** Takes a place for one with a long way to go. Throws `limit_reached` when there is none. */
  reserve(max: number): void {
    if (this.deepCount >= max) {
      throw new RivercastError('limit_reached', `${max} others are catching up; try again a little later`);
    }
    this.#reserved += 1;
  }

  /** Gives the place back: it has begun by now, or will not. */
  unreserve(): void {
    this.#reserved -= 1;
  }

  /** Counts one that has a long way to go. */
  goDeep(subscription: Subscription): void {
    this.#deep.add(subscription);
  }

  done(subscription: Subscription): void {
    if (this.#deep.size > 0) this.#deep.delete(subscription);
  }

  /** Something new came, to some channel. */
  live(): void {
    this.#liveAtMs = this.#options.clock.monotonic();
  }

  forget(channel: string): void {
    this.#options.ranges.forget(channel);
  }

  /** Calls `subscription.resume` with the entries after its cursor, as soon as they are here, then pumps it. */
  request(tail: Tail, subscription: Subscription): void {
    const key = `${tail.channel} ${formatCursor(subscription.cursor)}`;
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      waiting.push(subscription);
      return;
    }
    this.#waiting.set(key, [subscription]);
    background('catching up', this.#bring(tail, subscription, key), this.#options.logger);
  }

  close(): void {
    this.#stop.abort();
    this.#waiting.clear();
  }

  async #bring(tail: Tail, first: Subscription, key: string): Promise<void> {
    if (this.#deep.has(first) && this.#options.clock.monotonic() - this.#liveAtMs < LIVE_MS)
      await delay(PAUSE_MS);
    const ringNo = tail.ring.nextNo;
    const found = await this.#untilRead(tail, first, key);
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    if (this.#stop.signal.aborted) return;
    if (found === null) {
      // Given up because nobody waited any more; whoever joined since then must not be forgotten.
      for (const subscription of waiting) if (!subscription.hasEnded) this.request(tail, subscription);
      return;
    }
    const missed = tail.ring.nextNo !== ringNo;
    for (const subscription of waiting) {
      if (subscription.resume(found.range, found.place, missed)) this.#options.turns.add(subscription);
    }
  }

  /** That the log does not answer, its own trouble tells; anything else is a fault of ours. */
  #complain(error: unknown, channel: string): void {
    const isExpected = error instanceof RivercastError && error.code === 'log_unavailable';
    const level = isExpected ? 'debug' : 'error';
    this.#options.logger[level]({ err: error, channel }, 'a read to catch up failed; trying again');
  }

  /**
   * Whether it is the only one on a long way: nobody will ask for what it reads, and a million entries that are kept
   * for a while cost many times the garbage collection of as many that are forgotten at once.
   */
  #isAlone(subscription: Subscription): boolean {
    return this.deepCount === 1 && this.#deep.has(subscription);
  }

  /** Null once nobody waits any more. */
  async #untilRead(tail: Tail, first: Subscription, key: string): Promise<Found | null> {
    const { signal } = this.#stop;
    const { cursor } = first;
    while (!signal.aborted && this.#waiting.get(key)?.some(({ hasEnded }) => !hasEnded) === true) {
      try {
        return await this.#options.ranges.after(tail, cursor, !this.#isAlone(first));
      } catch (error) {
        this.#complain(error, tail.channel);
        await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    return null;
  }
}
