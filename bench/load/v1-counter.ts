/**
 * Counts the messages of a `rivercast.v1` subscriber without parsing JSON: what a library would spend on that would
 * be measured as the server's. The server's frames have one form, and where it does not fit the run fails.
 *
 *   ← {"type":"hello",…}   ← {"type":"subscribed",…}: open
 *   ← {"type":"messages",…,"messages":[{"id":"…","data":"<message>"},…]}
 */
import type { Counter, Line } from './counter.ts';
import { FrameSpans } from './frame-spans.ts';
import type { Tally } from './tally.ts';
import { type Grammar, Walker } from './walker.ts';

const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const LETTER_I = 0x69;
const ID_LEAD = '{"id":"'.length;
const ID_TO_DATA = '","data":"'.length;
const MESSAGE_END = '"}'.length;
const FRAME_END = ']}'.length;
const KEPT_BYTES = 600;

export class V1Counter implements Counter {
  readonly #spans: FrameSpans;
  readonly #tally: Tally;

  constructor(line: Line) {
    const walker = new Walker(new V1Grammar(line));
    this.#tally = line.tally;
    this.#spans = new FrameSpans({
      walk: (bytes, at, end) => walker.walk(bytes, at, end),
      control: (opcode, payload) => line.control(opcode, payload),
    });
  }

  consume(chunk: Uint8Array, length: number): void {
    this.#tally.bytes += length;
    this.#spans.consume(chunk, length);
  }
}

class V1Grammar implements Grammar {
  readonly tally: Tally;
  readonly keptBytes: number = KEPT_BYTES;
  readonly #line: Line;

  constructor(line: Line) {
    this.#line = line;
    this.tally = line.tally;
  }

  item(bytes: Uint8Array, at: number, end: number): number {
    const first = bytes[at];
    if (first === COMMA) return 1;
    if (end - at <= ID_LEAD) return first === CLOSING_BRACKET && end - at >= FRAME_END ? FRAME_END : 0;
    if (first === CLOSING_BRACKET) return FRAME_END;
    if (first !== OPENING_BRACE) this.#line.refused('a byte where none of a v1 frame belongs');
    return bytes[at + 2] === LETTER_I ? this.#message(bytes, at, end) : this.#other(bytes, at, end);
  }

  #message(bytes: Uint8Array, at: number, end: number): number {
    let idEnd = at + ID_LEAD;
    while (idEnd < end && bytes[idEnd] !== QUOTE) idEnd++;
    const start = idEnd + ID_TO_DATA;
    const { messageBytes } = this.#line;
    if (start + Math.min(messageBytes, this.tally.prefix) > end) return 0;
    this.tally.note(bytes, start, messageBytes);
    return start + messageBytes + MESSAGE_END - at;
  }

  /** The beginning of a `messages` frame, up to its list, or any other frame, which is flat. */
  #other(bytes: Uint8Array, at: number, end: number): number {
    let last = at;
    while (last < end && bytes[last] !== CLOSING_BRACE && bytes[last] !== OPENING_BRACKET) last++;
    if (last === end) return 0;
    if (bytes[last] === CLOSING_BRACE) {
      const text = Buffer.from(bytes.subarray(at, last + 1)).toString('utf8');
      const { type } = JSON.parse(text) as { readonly type: string };
      if (type === 'subscribed') this.#line.opened();
      else if (type !== 'hello' && type !== 'cursor') this.#line.refused(text);
    }
    return last + 1 - at;
  }
}
