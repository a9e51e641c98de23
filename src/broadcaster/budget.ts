/**
 * One memory budget for everything the broadcaster keeps to write again: the rings of all channels and the
 * ranges read back from the log. What was kept longest is given up first, whichever channel it is of.
 */

export interface Holding {
  /** Gives up the oldest thing held and returns its bytes; 0 when nothing is held any more. */
  release(): number;
}

export class Budget {
  readonly #maxBytes: number;
  /** One place for each thing held, oldest first; places before `#head` are used up. */
  #queue: (Holding | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts one more thing of `holding`, and makes room for it. It is itself never given up here. */
  hold(holding: Holding, bytes: number): void {
    this.#queue.push(holding);
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes && this.#queue.length - this.#head > 1) {
      const oldest = this.#queue[this.#head] as Holding;
      this.#queue[this.#head] = undefined;
      this.#head += 1;
      this.#bytes -= oldest.release();
    }
    if (this.#head > 64 && this.#head > this.#queue.length / 2) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Stops counting bytes whose holder is gone; its `release` returns 0 from now on. */
  forget(bytes: number): void {
    this.#bytes -= bytes;
  }
}
