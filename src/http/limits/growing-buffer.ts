/**
 * Bytes that come in pieces, put together as they come: a piece costs an object of its own, so a million of one
 * byte each would take a hundred times what they hold.
 */
const FIRST_BYTES = 1024;
/** The call that copies takes as long as a loop over so many. */
const FEW_BYTES = 16;
const NOTHING: Buffer = Buffer.alloc(0);
/**
 * The first bytes of those that are done, for the next: a flood of small messages in fragments would make and leave
 * a kilobyte for each of them.
 */
const MAX_SPARES = 64;
const spares: Buffer[] = [];

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

  /** Those from `start` to `end`. */
  append(piece: Buffer, start = 0, end: number = piece.length): void {
    const growth = this.growth(end - start);
    if (growth > 0) {
      const grown = memoryOf(this.#bytes.length + growth);
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    if (end - start > FEW_BYTES) piece.copy(this.#bytes, this.#length, start, end);
    else for (let i = start; i < end; i++) this.#bytes[this.#length + i - start] = piece[i] as number;
    this.#length += end - start;
  }

  /** All of it, in memory of its own; what is appended later begins anew. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    const isTight = this.#length * 2 > this.#bytes.length;
    const bytes = isTight ? taken : Buffer.from(taken);
    if (!isTight) spare(this.#bytes);
    this.clear();
    return bytes;
  }

  clear(): void {
    this.#bytes = NOTHING;
    this.#length = 0;
  }
}

function memoryOf(bytes: number): Buffer {
  const one = bytes === FIRST_BYTES ? spares.pop() : undefined;
  return one ?? Buffer.allocUnsafeSlow(bytes);
}

/** Nobody has a view of them any more. */
function spare(bytes: Buffer): void {
  if (bytes.length === FIRST_BYTES && spares.length < MAX_SPARES) spares.push(bytes);
}
