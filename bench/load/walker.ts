/**
 * Walks a stream of items of which only the beginnings are looked at: a client library would cost more per
 * message than the server under test. What an item is (a WebSocket frame, a line of NATS, an event) its grammar
 * says; the walker knows how a stream comes in chunks.
 *
 *   chunk: [rest of an item: skipped][item][item]…[start of an item: kept until the next chunk]
 */
import type { Tally } from './tally.ts';

export interface Grammar {
  readonly tally: Tally;
  /** The longest beginning of an item that must be seen in one piece. */
  readonly keptBytes: number;
  /**
   * The length of the item at `at`, noted if it is a message; 0 when too little of it is there to tell. Only a
   * message may be longer than what is there.
   */
  item(bytes: Uint8Array, at: number, end: number): number;
}

export class Walker {
  readonly #grammar: Grammar;
  readonly #kept: Buffer;
  #keptBytes = 0;
  #skip = 0;

  constructor(grammar: Grammar) {
    this.#grammar = grammar;
    this.#kept = Buffer.alloc(grammar.keptBytes);
  }

  walk(bytes: Uint8Array, from: number, end: number): void {
    let at = this.#skip === 0 ? from : this.#skipRest(from, end);
    if (this.#keptBytes > 0 && at < end) at = this.#walkKept(bytes, at, end);
    const grammar = this.#grammar;
    while (at < end) {
      const length = grammar.item(bytes, at, end);
      if (length === 0) {
        this.#kept.set(bytes.subarray(at, end));
        this.#keptBytes = end - at;
        return;
      }
      at += length;
    }
    this.#beyond(at - end);
  }

  /** Bytes of the last message that are still to come; it counts once they have. */
  #beyond(bytes: number): void {
    if (bytes <= 0) return;
    this.#skip = bytes;
    this.#grammar.tally.messages--;
  }

  #skipRest(from: number, end: number): number {
    const skipped = Math.min(this.#skip, end - from);
    this.#skip -= skipped;
    if (this.#skip === 0) this.#grammar.tally.messages++;
    return from + skipped;
  }

  /** Goes on with an item whose start came in an earlier chunk; returns where the next one begins. */
  #walkKept(bytes: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.#kept.length - this.#keptBytes, end - at);
    this.#kept.set(bytes.subarray(at, at + taken), this.#keptBytes);
    const there = this.#keptBytes + taken;
    const length = this.#grammar.item(this.#kept, 0, there);
    if (length === 0) {
      if (there === this.#kept.length) throw new Error('an item of the stream has an endless beginning');
      this.#keptBytes = there;
      return end;
    }
    const next = at + length - this.#keptBytes;
    this.#keptBytes = 0;
    return next;
  }
}
