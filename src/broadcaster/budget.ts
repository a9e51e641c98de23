/**
 * One memory budget for everything the broadcaster keeps to write again: the rings of all channels and the
 * ranges read back from the log. What was kept longest is given up first, whichever channel it is of.
 */

export interface Holding {
  /** Gives up the oldest thing held and returns its bytes; 0 when nothing is held any more. */
  release(): number;
  /** It holds nothing any more, and will not again. */
  readonly isGone: boolean;
}

/** Places of holders that are gone are cleared away once they are many, and the greater part. */
const MAX_DEAD = 256;

export class Budget {
  readonly #maxBytes: number;
  /** One place for each thing held, oldest first; places before `#head` are used up. */
  #queue: (Holding | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #dead = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts one more thing of `holding`, and makes room for it. It is itself never given up here. */
  hold(holding: Holding, bytes: number): void {
    this.#queue.push(holding);
    this.grow(bytes);
    if (this.#head > 64 && this.#head > this.#queue.length / 2) this.#clear();
  }

  /** Something held takes so many bytes more: room is made for them. */
  grow(bytes: number): void {
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes && this.#queue.length - this.#head > 1) {
      const oldest = this.#queue[this.#head] as Holding;
      this.#queue[this.#head] = undefined;
      this.#head += 1;
      if (oldest.isGone) this.#dead -= 1;
      this.#bytes -= oldest.release();
    }
  }

  /** Stops counting bytes whose holder is gone, and the places it had. */
  forget(bytes: number, places: number): void {
    this.#bytes -= bytes;
    this.#dead += places;
    if (this.#dead > MAX_DEAD && this.#dead > (this.#queue.length - this.#head) / 2) this.#clear();
  }

  /** How many places are taken; for tests. */
  get places(): number {
    return this.#queue.length - this.#head;
  }

  #clear(): void {
    this.#queue = this.#queue.slice(this.#head).filter((holding) => holding?.isGone === false);
    this.#head = 0;
    this.#dead = 0;
  }
}
