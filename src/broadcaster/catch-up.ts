/**
 * Brings subscribers that fell off the ring the ranges they need, and gives each a turn when its range is here.
 * A read that fails is tried again for as long as somebody waits: the subscribers stay connected.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { background } from '../background.ts';
import type { Logger } from '../logger.ts';
import { formatCursor } from '../protocol/cursor.ts';
import type { Range } from './range.ts';
import type { Ranges } from './ranges.ts';
import type { Subscriber } from './subscriber.ts';
import type { Fetcher, Tail } from './tail.ts';
import type { Turns } from './turns.ts';

const RETRY_MS = 200;

interface CatchUpOptions {
  readonly ranges: Ranges;
  readonly turns: Turns;
  readonly logger: Logger;
}

export class CatchUp implements Fetcher {
  readonly #options: CatchUpOptions;
  /** Who waits for what follows the same cursor of the same tail. */
  readonly #waiting = new Map<string, Subscriber[]>();
  readonly #stop = new AbortController();

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** Calls `subscriber.resume` with the entries after its cursor, as soon as they are here, then pumps it. */
  request(tail: Tail, subscriber: Subscriber): void {
    const key = `${tail.channel} ${formatCursor(subscriber.cursor)}`;
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      waiting.push(subscriber);
      return;
    }
    this.#waiting.set(key, [subscriber]);
    background('catching up', this.#bring(tail, subscriber, key), this.#options.logger);
  }

  close(): void {
    this.#stop.abort();
    this.#waiting.clear();
  }

  async #bring(tail: Tail, first: Subscriber, key: string): Promise<void> {
    const ringNo = tail.ring.nextNo;
    const range = await this.#untilRead(tail, first, key);
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    if (this.#stop.signal.aborted) return;
    if (range === null) {
      // Given up because nobody waited any more; whoever joined since then must not be forgotten.
      for (const subscriber of waiting) if (subscriber.isOpen) this.request(tail, subscriber);
      return;
    }
    const missed = tail.ring.nextNo !== ringNo;
    for (const subscriber of waiting) {
      if (subscriber.resume(range, missed)) this.#options.turns.add(subscriber);
    }
  }

  /** Null once nobody waits any more. */
  async #untilRead(tail: Tail, { cursor }: Subscriber, key: string): Promise<Range | null> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#waiting.get(key)?.some((subscriber) => subscriber.isOpen) === true) {
      try {
        return await this.#options.ranges.after(tail.channel, cursor);
      } catch (error) {
        this.#options.logger.debug({ err: error, channel: tail.channel }, 'a read to catch up failed');
        await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    return null;
  }
}
