/**
 * A stream of bytes cut into lines as it comes. Only a line that has begun and not ended is kept; one that is too
 * long, or begun while too much of others is kept already, is given up: its other bytes are passed over.
 */
import { GrowingBuffer } from '../limits/growing-buffer.ts';
import type { Incomplete } from '../limits/incomplete.ts';

/** Why a line was given up. */
export type GivenUp = 'too long' | 'no room';

export interface LinesOptions {
  readonly maxBytes: number;
  readonly incomplete: Incomplete;
  /** The bytes are the callee's until it returns. */
  readonly line: (bytes: Buffer) => void;
  readonly givenUp: (why: GivenUp) => void;
}

const LINE_FEED = 0x0a;

export class Lines {
  readonly #options: LinesOptions;
  readonly #begun: GrowingBuffer = new GrowingBuffer();
  #isPassing = false;

  constructor(options: LinesOptions) {
    this.#options = options;
  }

  push(bytes: Buffer): void {
    let from = 0;
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, from)) {
      this.#end(bytes.subarray(from, end));
      from = end + 1;
    }
    if (from < bytes.length) this.#begin(bytes.subarray(from));
  }

  /** No more comes: what has begun is a line. */
  finish(): void {
    if (this.#begun.length > 0) this.#end(Buffer.alloc(0));
  }

  /** No more comes, and what has begun is not whole. */
  forget(): void {
    this.#drop();
  }

  #begin(bytes: Buffer): void {
    if (this.#isPassing) return;
    if (this.#begun.length + bytes.length > this.#options.maxBytes) this.#giveUp('too long');
    else if (this.#options.incomplete.hold(this.#begun.growth(bytes.length))) this.#begun.append(bytes);
    else this.#giveUp('no room');
  }

  #end(rest: Buffer): void {
    if (this.#isPassing) {
      this.#isPassing = false;
      return;
    }
    if (this.#begun.length + rest.length > this.#options.maxBytes) {
      this.#drop();
      this.#options.givenUp('too long');
    } else if (this.#begun.length === 0) {
      this.#options.line(rest);
    } else {
      this.#options.incomplete.release(this.#begun.capacity);
      this.#begun.append(rest);
      this.#options.line(this.#begun.take());
    }
  }

  #giveUp(why: GivenUp): void {
    this.#drop();
    this.#isPassing = true;
    this.#options.givenUp(why);
  }

  #drop(): void {
    this.#options.incomplete.release(this.#begun.capacity);
    this.#begun.clear();
  }
}
