/**
 * How long what clients send over WebSockets may hold up one turn of the event loop, all of them together. A flood of
 * small frames is read from its socket by the megabyte, ten thousand frames at once; whoever is being read when the time
 * is over is not read any more, and one at a time goes on in later turns, in which everybody else has theirs first.
 */
import type { Clock } from '../../clock.ts';

const TURN_MS = 1;

/** Who has more to look at. */
export interface Reader {
  /** It is its turn. */
  readOn(): void;
}

export class ReadTurns {
  readonly #clock: Clock;
  readonly #held: Reader[] = [];
  #isTurn = false;
  #endsMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something that was read is looked at now. */
  begin(): void {
    if (this.#isTurn) return;
    this.#schedule();
    this.#endsMs = this.#clock.monotonic() + TURN_MS;
  }

  /** Whether the time of this turn is over. */
  readonly isOver = (): boolean => this.#clock.monotonic() >= this.#endsMs;

  /** It is told when its turn comes. */
  hold(reader: Reader): void {
    this.#held.push(reader);
  }

  readonly #next = (): void => {
    this.#isTurn = false;
    const next = this.#held.shift();
    if (next === undefined) return;
    // Also when nothing is read in the next turn, those who are left are not forgotten.
    this.begin();
    next.readOn();
  };

  #schedule(): void {
    this.#isTurn = true;
    setImmediate(this.#next);
  }
}
