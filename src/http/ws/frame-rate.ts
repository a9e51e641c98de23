/**
 * At most so many frames of a kind a second. The clock is looked at only when a share is used up; so a flood may
 * have the shares of two seconds at once, and never more: but for those of the time in which nothing was read, since what
 * came then, each frame in its time, is read at once.
 */
import type { Clock } from '../../clock.ts';

const SECOND_MS = 1000;
/** No more is saved: who sends its whole share for longer, while nobody reads, is refused. */
const MAX_SAVED_SECONDS = 60;

export class FrameRate {
  readonly #clock: Clock;
  readonly #perSecond: number;
  #sinceMs: number;
  #frames = 0;
  /** Shares of the time in which nothing was read. */
  #saved = 0;

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
    if (now - this.#sinceMs >= SECOND_MS) {
      this.#sinceMs = now;
      this.#frames = 1;
      return true;
    }
    if (this.#saved < 1) return false;
    this.#saved -= 1;
    return true;
  }

  /** So long nothing was read, by no fault of who sends. */
  save(ms: number): void {
    const shares = this.#saved + (ms * this.#perSecond) / SECOND_MS;
    this.#saved = Math.min(shares, MAX_SAVED_SECONDS * this.#perSecond);
    this.#sinceMs += ms;
  }
}
