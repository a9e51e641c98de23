/**
 * The subscribers whose sockets took less than was written, longest stalled first, and the bytes pending in
 * all of them.
 *
 * The bytes are bounded twice. The next write to anybody gets smaller as they add up, so that ten thousand
 * dead sockets end up with a few KB each instead of a quarter MB; and above the bound the longest stalled
 * socket is destroyed.
 */
/** A run that is smaller costs more in system calls than it saves in memory. */
const MIN_WRITE_BYTES = 4096;

/** What can stall: a subscriber, whose connection is given up when too much is pending. */
export interface Stallable {
  destroy(): void;
}

export interface Stall {
  readonly pendingBytes: number;
  readonly sinceMs: number;
  /** What had come through the channel when it stalled. */
  readonly entries: number;
  readonly bytes: number;
}

export class Stalls<Reader extends Stallable> {
  readonly #maxBytes: number;
  readonly #writeBytes: number;
  /** In the order of stalling. */
  readonly #stalls = new Map<Reader, Stall>();
  #bytes = 0;

  constructor(options: { maxBytes: number; writeBytes: number }) {
    this.#maxBytes = options.maxBytes;
    this.#writeBytes = options.writeBytes;
  }

  get count(): number {
    return this.#stalls.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How large the next write may be: a power of two, so that subscribers go on sharing their runs. */
  get writeBytes(): number {
    if (this.#bytes === 0) return this.#writeBytes;
    const share = this.#writeBytes * (1 - this.#bytes / this.#maxBytes);
    return Math.max(MIN_WRITE_BYTES, 2 ** Math.floor(Math.log2(Math.max(1, share))));
  }

  get(subscriber: Reader): Stall | undefined {
    return this.#stalls.get(subscriber);
  }

  add(subscriber: Reader, stall: Stall): void {
    this.#stalls.set(subscriber, stall);
    this.#bytes += stall.pendingBytes;
    for (const longest of this.#stalls.keys()) {
      if (this.#bytes <= this.#maxBytes || longest === subscriber) break;
      longest.destroy();
    }
  }

  remove(subscriber: Reader): void {
    const stall = this.#stalls.get(subscriber);
    if (stall === undefined) return;
    this.#stalls.delete(subscriber);
    this.#bytes -= stall.pendingBytes;
  }

  [Symbol.iterator](): IterableIterator<Reader> {
    return this.#stalls.keys();
  }
}
