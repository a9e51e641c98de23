/** A stream of bytes cut into records, at a byte that ends each: lines, or what lies between NULs. */
import { StartError } from '../errors.ts';

/** What is read without an end in sight is kept: no server takes a message as long. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;

export const LINE_END = 10;
export const NUL = 0;

export class Records {
  /** Of all records so far. */
  count = 0;
  /** Read so far. */
  bytes = 0;
  readonly #end: number;
  #parts: Buffer[] = [];
  #partBytes = 0;

  constructor(end: number) {
    this.#end = end;
  }

  /** The records that this chunk ends, without what ended them. Throws StartError when one has no end. */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    this.bytes += chunk.length;
    let from = 0;
    for (let at = chunk.indexOf(this.#end); at !== -1; at = chunk.indexOf(this.#end, from)) {
      yield this.#whole(chunk.subarray(from, at));
      from = at + 1;
    }
    if (from === chunk.length) return;
    this.#parts.push(chunk.subarray(from));
    this.#partBytes += chunk.length - from;
    if (this.#partBytes <= MAX_RECORD_BYTES) return;
    throw new StartError(`message ${this.count + 1} is longer than ${MAX_RECORD_BYTES} bytes, or has no end`);
  }

  /** The last one need not be ended. */
  *end(): Generator<Buffer, void, undefined> {
    if (this.#partBytes > 0) yield this.#whole(Buffer.alloc(0));
  }

  #whole(last: Buffer): Buffer {
    this.count += 1;
    if (this.#partBytes === 0) return last;
    const whole = Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#partBytes = 0;
    return whole;
  }
}
