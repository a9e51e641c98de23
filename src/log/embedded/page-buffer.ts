/**
 * Memory for the data of one page: few large chunks instead of one allocation an entry. Chunks grow with the
 * page, so that a page of one small entry does not pin a large one.
 */
const FIRST_CHUNK_BYTES = 4096;
const MAX_CHUNK_BYTES = 256 * 1024;

export class PageBuffer {
  #chunk: Buffer = Buffer.alloc(0);
  #used = 0;
  #nextBytes = 0;

  /** A copy of `source` from `start` on. */
  copy(source: Uint8Array, start: number): Buffer {
    const length = source.length - start;
    if (this.#used + length > this.#chunk.length) {
      this.#chunk = Buffer.allocUnsafe(Math.max(length, this.#nextBytes));
      this.#used = 0;
      this.#nextBytes = Math.min(MAX_CHUNK_BYTES, Math.max(FIRST_CHUNK_BYTES, this.#nextBytes * 4));
    }
    const from = this.#used;
    this.#used += length;
    const copy = this.#chunk.subarray(from, this.#used);
    copy.set(source.subarray(start));
    return copy;
  }
}
