/**
 * Subscribers that are to be pumped although nothing new has come: their range was read, or they wrote as much
 * as one turn allows and have more. They come after what is live: a few at a time, and between two times the
 * event loop has its turn, so that one who reads a million old entries as fast as they can be read delays nobody
 * who waits for a new one.
 */
import type { Clock } from '../clock.ts';
import type { Passes, Pumpable } from './passes.ts';

/** Short: what is live waits for it. */
const TURN_MS = 2;

export class Turns {
  readonly #clock: Clock;
  readonly #passes: Passes;
  readonly #waiting = new Set<Pumpable>();
  #scheduled = false;

  constructor(clock: Clock, passes: Passes) {
    this.#clock = clock;
    this.#passes = passes;
  }

  /** It is pumped in a later turn of the event loop, never in this one. */
  add(subscriber: Pumpable): void {
    this.#waiting.add(subscriber);
    this.#schedule();
  }

  readonly #take = (): void => {
    this.#scheduled = false;
    const deadline = this.#clock.monotonic() + TURN_MS;
    for (const subscriber of this.#waiting) {
      this.#waiting.delete(subscriber);
      this.#passes.pump(subscriber);
      if (this.#clock.monotonic() >= deadline) break;
    }
    if (this.#waiting.size > 0) this.#schedule();
  };

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#take);
  }
}
