/**
 * Subscribers that are to be pumped although nothing new has come: their range was read, or they wrote as much
 * as one turn allows and have more. Pumpable in the slices of the shared pass, so that a thousand of them at
 * once hold nobody up.
 */
import type { Clock } from '../clock.ts';
import type { Passes, Passing, Pumpable } from './passes.ts';

export class Turns implements Passing {
  readonly #clock: Clock;
  readonly #passes: Passes;
  readonly #waiting = new Set<Pumpable>();

  constructor(clock: Clock, passes: Passes) {
    this.#clock = clock;
    this.#passes = passes;
  }

  add(subscriber: Pumpable): void {
    this.#waiting.add(subscriber);
    this.#passes.start(this);
  }

  pass(deadline: number): boolean {
    for (const subscriber of this.#waiting) {
      if (this.#clock.monotonic() >= deadline) return false;
      this.#waiting.delete(subscriber);
      this.#passes.pump(subscriber);
    }
    return true;
  }
}
