/**
 * How long what clients send over WebSockets may hold up one turn of the event loop, all of them together. A flood of
 * small frames is read from its socket by the megabyte; whoever is being read when the time is over is not read any
 * more, and a few at a time go on in later turns, in which everybody else has theirs first.
 */
import type { Clock } from '../../clock.ts';

const TURN_MS = 1;
/** Each may have all of the time of its turn. */
const RESUMED_A_TURN = 1;

/** Whose socket is read. */
export interface Reader {
  /** Its socket may be read again. */
  readOn(): void;
}

export class ReadTurns {
  readonly #clock: Clock;
  #held: Reader[] = [];
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
  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#endsMs;
  }

  /** Its socket is not read; it is told when it may be. */
  hold(reader: Reader): void {
    this.#held.push(reader);
  }

  readonly #next = (): void => {
    this.#isTurn = false;
    if (this.#held.length === 0) return;
    const next = this.#held.slice(0, RESUMED_A_TURN);
    this.#held = this.#held.slice(RESUMED_A_TURN);
    // Also when nothing is read in the next turn, those who are left are not forgotten.
    this.begin();
    for (const reader of next) reader.readOn();
  };

  #schedule(): void {
    this.#isTurn = true;
    setImmediate(this.#next);
  }
}
