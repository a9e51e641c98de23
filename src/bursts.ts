/**
 * One log line for many events of a kind: the first is said on the next look, and what comes within QUIET_MS behind
 * a line is gathered for the next one, with its number.
 */
const QUIET_MS = 10_000;

export class Bursts {
  readonly #say: (count: number) => void;
  #count = 0;
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor(say: (count: number) => void) {
    this.#say = say;
  }

  add(count = 1): void {
    this.#count += count;
  }

  /** Regular work. `nowMs`: monotonic. */
  tick(nowMs: number): void {
    if (this.#count === 0 || nowMs - this.#saidMs < QUIET_MS) return;
    this.#say(this.#count);
    this.#count = 0;
    this.#saidMs = nowMs;
  }
}
