/**
 * The shared pass: when a channel has something new, all its parked subscribers are pumped in one go, in
 * slices that give the event loop back in between. A pass that fits in one slice is over when `start` returns;
 * an idle system therefore writes at once, and a busy one finds more to write when its turn comes.
 */

import type { FailureLogger } from '../background.ts';
import type { Clock } from '../clock.ts';

/** Well below the 20 ms that a slice may take: a garbage collection, or Redis on the same core, may come on top. */
const SLICE_MS = 6;

export interface Passing {
  /** Pumps subscribers until `deadline` (monotonic ms). True when all are done. */
  pass(deadline: number): boolean;
}

/** What a pass pumps: a subscriber. */
export interface Pumpable {
  pump(): void;
  destroy(): void;
}

export interface PassStats {
  slices: number;
  longestSliceMs: number;
}

export class Passes {
  readonly #clock: Clock;
  readonly #logger: FailureLogger;
  readonly #queue = new Set<Passing>();
  readonly stats: PassStats = { slices: 0, longestSliceMs: 0 };
  #inSlice = false;
  #scheduled = false;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock, logger: FailureLogger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Pumps one subscriber. A failure, which only a fault of ours can be, costs that one and nobody behind it. */
  pump(subscriber: Pumpable): void {
    try {
      subscriber.pump();
    } catch (error) {
      this.#logger.error({ err: error }, 'delivering to a subscriber failed; its connection is ended');
      subscriber.destroy();
    }
  }

  start(passing: Passing): void {
    this.#queue.add(passing);
    if (!this.#inSlice && !this.#scheduled) this.#slice();
  }

  /**
   * Resolves when the current slice is over (at once when no pass is under way). A reader that waits for it
   * before reading on finds larger blocks when there is much to do, and never waits when there is little.
   */
  room(): Promise<void> | null {
    if (!this.#scheduled) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  readonly #slice = (): void => {
    this.#scheduled = false;
    this.#inSlice = true;
    const start = this.#clock.monotonic();
    const deadline = start + SLICE_MS;
    try {
      for (const passing of this.#queue) {
        this.#queue.delete(passing);
        if (!passing.pass(deadline)) this.#queue.add(passing);
        if (this.#clock.monotonic() >= deadline) break;
      }
    } finally {
      this.#inSlice = false;
      this.#endSlice(start);
    }
  };

  #endSlice(start: number): void {
    this.stats.slices += 1;
    this.stats.longestSliceMs = Math.max(this.stats.longestSliceMs, this.#clock.monotonic() - start);
    if (this.#queue.size > 0) {
      this.#scheduled = true;
      setImmediate(this.#slice);
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
