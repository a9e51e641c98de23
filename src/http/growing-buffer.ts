/**
 * Bytes that come in pieces, put together as they come: a piece costs an object of its own, so a million of one
 * byte each would take a hundred times what they hold.
 */
const FIRST_BYTES = 1024;
const NOTHING: Buffer = Buffer.alloc(0);

export class GrowingBuffer {
  #bytes: Buffer = NOTHING;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The memory it takes. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** How much more memory it would take with so many bytes more. */
  growth(bytes: number): number {
    const length = this.#length + bytes;
    if (length <= this.#bytes.length) return 0;
    return Math.max(FIRST_BYTES, 2 * this.#bytes.length, length) - this.#bytes.length;
  }

  append(piece: Buffer): void {
    const growth = this.growth(piece.length);
    if (growth > 0) {
      const grown = Buffer.allocUnsafeSlow(this.#bytes.length + growth);
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    piece.copy(this.#bytes, this.#length);
    this.#length += piece.length;
  }

  /** All of it, in memory of its own; what is appended later begins anew. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    const isTight = this.#length * 2 > this.#bytes.length;
    this.clear();
    return isTight ? taken : Buffer.from(taken);
  }

  clear(): void {
    this.#bytes = NOTHING;
    this.#length = 0;
  }
}
