/** A clock that stands still until the test moves it. */
import type { Clock } from '../../src/clock.ts';

export class ManualClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  /** Lets `ms` pass. */
  advance(ms: number): void {
    this.#nowMs += ms;
    this.#monotonicMs += ms;
  }

  /** Someone sets the wall clock, forwards or back; no time passes. */
  set(nowMs: number): void {
    this.#nowMs = nowMs;
  }
}
