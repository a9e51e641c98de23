/**
 * Counts the WebSocket messages in a byte stream by walking frame headers only: a client library would cost
 * more per message than the server under test. It also proves order: every payload starts with a sequence
 * number that must be one above the last. Control frames are handed out whole.
 *
 *   chunk: [rest of a payload: skipped][frame][frame]…[start of a frame: kept until the next chunk]
 */
import type { Histogram } from '../support/histogram.ts';
import { SEQUENCE_DIGITS, STAMPED_BYTES, TIME_DIGITS, TIME_OFFSET } from './payload.ts';

export interface CounterOptions {
  /** Whether sequence numbers are checked; counting alone costs about a third less. */
  readonly verify: boolean;
  /** Where to put latencies, or null. */
  readonly latencies: Histogram | null;
  readonly onControl: (opcode: number, payload: Buffer) => void;
}

const ZERO = 0x30;
const FIRST_CONTROL_OPCODE = 0x8;
/** The longest beginning of a frame that must be seen in one piece: a control frame, header and all. */
const KEPT_BYTES = 160;

export class FrameCounter {
  /** Messages completely received. */
  messages = 0;
  bytes = 0;
  /** Messages whose sequence number was not one above the last. */
  breaks = 0;
  firstSequence = -1;
  /** Starts where no first number can follow, so that the first one is always noted. */
  lastSequence = -2;
  readonly #options: CounterOptions;
  readonly #prefix: number;
  readonly #kept: Buffer = Buffer.alloc(KEPT_BYTES);
  #keptBytes = 0;
  #skip = 0;
  #nowUs = 0;

  constructor(options: CounterOptions) {
    this.#options = options;
    this.#prefix = options.latencies !== null ? STAMPED_BYTES : options.verify ? SEQUENCE_DIGITS : 0;
  }

  /** `nowUs`: when the chunk was read; only latencies need it. */
  consume(chunk: Uint8Array, length: number, nowUs: number): void {
    this.bytes += length;
    this.#nowUs = nowUs;
    let at = this.#skipRest(length);
    if (this.#keptBytes > 0 && at < length) at = this.#consumeKept(chunk, at, length);
    while (at < length) {
      const frame = this.#frame(chunk, at, length);
      if (frame === 0) {
        this.#kept.set(chunk.subarray(at, length));
        this.#keptBytes = length - at;
        return;
      }
      at += frame;
    }
    this.#beyond(at - length);
  }

  /** Bytes of the last frame that are still to come; its message counts once they have. */
  #beyond(bytes: number): void {
    if (bytes <= 0) return;
    this.#skip = bytes;
    this.messages--;
  }

  #skipRest(length: number): number {
    if (this.#skip === 0) return 0;
    const skipped = Math.min(this.#skip, length);
    this.#skip -= skipped;
    if (this.#skip === 0) this.messages++;
    return skipped;
  }

  /** Goes on with a frame whose start came in an earlier chunk; returns where the next one begins. */
  #consumeKept(chunk: Uint8Array, at: number, length: number): number {
    const taken = Math.min(KEPT_BYTES - this.#keptBytes, length - at);
    this.#kept.set(chunk.subarray(at, at + taken), this.#keptBytes);
    const frame = this.#frame(this.#kept, 0, this.#keptBytes + taken);
    if (frame === 0) {
      this.#keptBytes += taken;
      return length;
    }
    const next = at + frame - this.#keptBytes;
    this.#keptBytes = 0;
    return next;
  }

  /** The length of the frame at `at`, counted; 0 when too little of it is there to tell. */
  #frame(bytes: Uint8Array, at: number, end: number): number {
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
    const control = opcode >= FIRST_CONTROL_OPCODE;
    const needed = control ? payload : Math.min(payload, this.#prefix);
    if (there < header + needed) return 0;
    if (control) {
      this.#options.onControl(opcode, Buffer.from(bytes.subarray(at + header, at + header + payload)));
    } else {
      this.messages++;
      if (needed > 0) this.#check(bytes, at + header, payload);
    }
    return header + payload;
  }

  #check(bytes: Uint8Array, at: number, payload: number): void {
    const sequence = digits(bytes, at, SEQUENCE_DIGITS);
    if (sequence !== this.lastSequence + 1) this.#jump(sequence);
    this.lastSequence = sequence;
    const { latencies } = this.#options;
    if (latencies !== null && payload >= STAMPED_BYTES) {
      latencies.record(this.#nowUs - digits(bytes, at + TIME_OFFSET, TIME_DIGITS));
    }
  }

  /** The first number received only has to be what it is; the report says which it was. */
  #jump(sequence: number): void {
    if (this.firstSequence === -1) this.firstSequence = sequence;
    else this.breaks++;
  }
}

function digits(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index++) value = value * 10 + (bytes[index] as number) - ZERO;
  return value;
}
