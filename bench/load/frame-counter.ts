/**
 * Counts WebSocket messages by their frame headers. In the raw dialect a payload is the message; another one may
 * put a few bytes before it (Socket.IO: `42["m","`) and send frames that are none, which are handed out whole.
 */
import type { Counter } from './counter.ts';
import type { Tally } from './tally.ts';
import { type Grammar, Walker } from './walker.ts';

export interface FrameOptions {
  readonly tally: Tally;
  readonly onControl: (opcode: number, payload: Buffer) => void;
  /** What stands before a message in a payload: nothing, in the raw dialect. */
  readonly lead?: string;
  /** A data frame that does not begin with `lead`. */
  readonly onOther?: (payload: Buffer) => void;
}

const FIRST_CONTROL_OPCODE = 0x8;
/** The longest beginning: a control frame, or one that is handed out, header and all. */
const KEPT_BYTES = 400;

export class FrameCounter implements Counter {
  readonly #walker: Walker;
  readonly #tally: Tally;

  constructor(options: FrameOptions) {
    this.#tally = options.tally;
    this.#walker = new Walker(new FrameGrammar(options));
  }

  consume(chunk: Uint8Array, length: number): void {
    this.#tally.bytes += length;
    this.#walker.walk(chunk, 0, length);
  }
}

class FrameGrammar implements Grammar {
  readonly tally: Tally;
  readonly keptBytes: number = KEPT_BYTES;
  readonly #options: FrameOptions;
  readonly #lead: Buffer;
  readonly #prefix: number;

  constructor(options: FrameOptions) {
    this.tally = options.tally;
    this.#options = options;
    this.#lead = Buffer.from(options.lead ?? '');
    this.#prefix = this.#lead.length + this.tally.prefix;
  }

  item(bytes: Uint8Array, at: number, end: number): number {
    const there = end - at;
    if (there < 2) return 0;
    let payload = (bytes[at + 1] as number) & 0x7f;
    let header = 2;
    if (payload === 126) {
      header = 4;
      if (there < 4) return 0;
      payload = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    } else if (payload === 127) {
      header = 10;
      if (there < 10) return 0;
      payload = Number(Buffer.from(bytes.buffer, bytes.byteOffset + at + 2, 8).readBigUInt64BE());
    }
    const opcode = (bytes[at] as number) & 0x0f;
    if (opcode >= FIRST_CONTROL_OPCODE) return this.#control(bytes, at + header, end, payload);
    if (there < header + Math.min(payload, this.#prefix)) return 0;
    if (this.#lead.length > 0 && !this.#leads(bytes, at + header)) {
      return this.#other(bytes, at + header, end, payload);
    }
    this.tally.note(bytes, at + header + this.#lead.length, payload - this.#lead.length);
    return header + payload;
  }

  /** Two bytes tell a message from any other packet; a whole comparison would be paid for each message. */
  #leads(bytes: Uint8Array, at: number): boolean {
    return bytes[at] === this.#lead[0] && bytes[at + 1] === this.#lead[1];
  }

  #control(bytes: Uint8Array, start: number, end: number, payload: number): number {
    if (end - start < payload) return 0;
    const opcode = (bytes[start - 2] as number) & 0x0f;
    this.#options.onControl(opcode, Buffer.from(bytes.subarray(start, start + payload)));
    return 2 + payload;
  }

  #other(bytes: Uint8Array, start: number, end: number, payload: number): number {
    if (end - start < payload) return 0;
    this.#options.onOther?.(Buffer.from(bytes.subarray(start, start + payload)));
    return (payload < 126 ? 2 : 4) + payload;
  }
}
