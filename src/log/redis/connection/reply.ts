/** Reading a reply's bytes: element by element for what is large, as a tree of values for the rest. */
import { parseNumber } from './wire.ts';

/** Strings as bytes; a map as a flat list of keys and values. */
export type Reply = Buffer | number | null | readonly Reply[];

const CR = 13;

/** What Redis answered instead of a value, its error word first; null when it answered one. */
export function errorIn(reply: Buffer): string | null {
  const type = String.fromCharCode(reply[0] ?? 0);
  if (type === '-') return reply.toString('utf8', 1, reply.length - 2);
  return type === '!' ? reply.toString('utf8', reply.indexOf('\n') + 1, reply.length - 2) : null;
}

export class ReplyReader {
  readonly bytes: Buffer;
  /** Where the string last read by `string()` lies. */
  start = 0;
  end = 0;
  #at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** The length of the list or map that comes next; its elements follow. -1 for none. */
  list(): number {
    const type = this.bytes[this.#at];
    const length = this.#number();
    // RESP 3 has a null of its own.
    return type === 95 ? -1 : length;
  }

  /** Moves over the string that comes next, leaving where it lies in `start` and `end`; false for none. */
  string(): boolean {
    const length = this.#number();
    if (length < 0) return false;
    this.start = this.#at;
    this.end = this.#at + length;
    this.#at = this.end + 2;
    return true;
  }

  /** The string last read, as characters or as bytes. */
  text(): string {
    return this.bytes.toString('latin1', this.start, this.end);
  }

  slice(): Buffer {
    return this.bytes.subarray(this.start, this.end);
  }

  value(): Reply {
    switch (String.fromCharCode(this.bytes[this.#at] ?? 0)) {
      case ':':
        return this.#number();
      case '$':
      case '=':
        return this.string() ? this.slice() : null;
      case '*':
      case '~':
      case '>':
        return this.#values(1);
      case '%':
        return this.#values(2);
      case '_':
        this.#line();
        return null;
      default:
        return Buffer.from(this.#line(), 'latin1');
    }
  }

  #values(perElement: number): Reply {
    const length = this.#number();
    if (length < 0) return null;
    const values: Reply[] = [];
    for (let i = 0; i < length * perElement; i++) values.push(this.value());
    return values;
  }

  #number(): number {
    const start = this.#at + 1;
    let end = start;
    while (this.bytes[end] !== CR) end++;
    this.#at = end + 2;
    return parseNumber(this.bytes, start, end);
  }

  #line(): string {
    const end = this.bytes.indexOf(CR, this.#at);
    const line = this.bytes.toString('utf8', this.#at + 1, end);
    this.#at = end + 2;
    return line;
  }
}
