/**
 * At most so many frames of a kind a second. The clock is looked at only when a share is used up; so a flood may
 * have the shares of two seconds at once, and never more.
 */
import type { Clock } from '../../clock.ts';

const SECOND_MS = 1000;

export class FrameRate {
  readonly #clock: Clock;
  readonly #perSecond: number;
  #sinceMs: number;
  #frames = 0;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#sinceMs = clock.monotonic();
  }

  /** One more came. False: that is too many. */
  allows(): boolean {
    this.#frames += 1;
    if (this.#frames <= this.#perSecond) return true;
    const now = this.#clock.monotonic();
    if (now - this.#sinceMs < SECOND_MS) return false;
    this.#sinceMs = now;
    this.#frames = 1;
    return true;
  }
}
