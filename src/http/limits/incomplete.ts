/**
 * One bound for everything that clients have begun and not finished, over all doors: bodies of requests, lines of
 * batches, messages in fragments or cut by the network. Above it the one whose next bytes do not fit is refused,
 * and nobody else. What is counted is the memory taken, not the bytes received: a single byte may take hundreds.
 *
 * The last eighth is kept for the beginnings of small frames, at which every connection that sends a lot is cut
 * now and then: who sends whole messages is not turned away for those who do not.
 */
const LARGE_SHARE = 7 / 8;

export class Incomplete {
  readonly #maxBytes: number;
  readonly #maxLargeBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxLargeBytes = Math.floor(maxBytes * LARGE_SHARE);
  }

  /** The memory taken now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes room for more bytes. False: there is none, and nothing was taken. */
  hold(bytes: number): boolean {
    return this.#take(bytes, this.#maxLargeBytes);
  }

  /** The same for the beginning of a small frame. */
  holdSmall(bytes: number): boolean {
    return this.#take(bytes, this.#maxBytes);
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }

  #take(bytes: number, max: number): boolean {
    if (this.#bytes + bytes > max) return false;
    this.#bytes += bytes;
    return true;
  }
}
