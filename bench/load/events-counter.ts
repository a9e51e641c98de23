/**
 * Counts server-sent events by their first lines. The body of the answer is a plain stream, without chunks.
 *
 *   ← retry: …   ← id: <cursor>: open   ← id: <cursor> data: <message>   ← …
 */
import type { Counter, Line } from './counter.ts';
import type { Tally } from './tally.ts';
import { type Grammar, Walker } from './walker.ts';

const LINE_FEED = 0x0a;
const LETTER_D = 0x64;
const LETTER_I = 0x69;
const LETTER_R = 0x72;
const ID_LEAD = 'id: '.length;
const DATA_LEAD = 'data: '.length;
const EVENT_END = '\n\n'.length;
const KEPT_BYTES = 400;

export class EventsCounter implements Counter {
  readonly #walker: Walker;
  readonly #tally: Tally;

  constructor(line: Line) {
    this.#tally = line.tally;
    this.#walker = new Walker(new EventsGrammar(line));
  }

  consume(chunk: Uint8Array, length: number): void {
    this.#tally.bytes += length;
    this.#walker.walk(chunk, 0, length);
  }
}

class EventsGrammar implements Grammar {
  readonly tally: Tally;
  readonly keptBytes: number = KEPT_BYTES;
  readonly #line: Line;

  constructor(line: Line) {
    this.#line = line;
    this.tally = line.tally;
  }

  item(bytes: Uint8Array, at: number, end: number): number {
    if (bytes[at] === LETTER_R) return this.#untilBlank(bytes, at, end);
    if (bytes[at] !== LETTER_I) this.#line.refused('a byte where no event begins');
    let feed = at + ID_LEAD;
    while (feed < end && bytes[feed] !== LINE_FEED) feed++;
    if (feed + 1 >= end) return 0;
    const next = bytes[feed + 1];
    if (next === LETTER_D) return this.#message(feed + 1 + DATA_LEAD, at, { bytes, end });
    if (next === LINE_FEED) this.#line.opened();
    else this.#line.refused('an event that is none of a message');
    return feed + EVENT_END - at;
  }

  #message(start: number, at: number, { bytes, end }: { bytes: Uint8Array; end: number }): number {
    const { messageBytes } = this.#line;
    if (start + Math.min(messageBytes, this.tally.prefix) > end) return 0;
    this.tally.note(bytes, start, messageBytes);
    return start + messageBytes + EVENT_END - at;
  }

  /** A field without an id, of which the stream's beginning has one. */
  #untilBlank(bytes: Uint8Array, at: number, end: number): number {
    const feed = bytes.indexOf(LINE_FEED, at);
    return feed === -1 || feed + 1 >= end ? 0 : feed + EVENT_END - at;
  }
}
