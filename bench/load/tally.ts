/**
 * What one subscriber has received: how many messages, and whether their sequence numbers rose by one each time.
 * Every counter, whatever protocol it walks, notes its messages here.
 *
 * Of a number its last four digits are compared each time and all ten whenever those four have turned over (and
 * on any doubt). A hole or a repeat shows at once; a jump by exactly a multiple of 10,000, at the next turn.
 */
import type { Histogram } from '../support/histogram.ts';
import { SEQUENCE_DIGITS, STAMPED_BYTES, TIME_DIGITS, TIME_OFFSET } from './payload.ts';

const ZERO = 0x30;
const SHORT_DIGITS = 4;
const SHORT_OFFSET = SEQUENCE_DIGITS - SHORT_DIGITS;
const SHORT_TURN = 10_000;

export interface TallyOptions {
  /** Whether sequence numbers are checked; counting alone is cheaper. */
  readonly verify: boolean;
  /** Where to put latencies, or null. */
  readonly latencies: Histogram | null;
}

export class Tally {
  /** Messages completely received. */
  messages = 0;
  bytes = 0;
  /** Messages whose sequence number was not one above the last. */
  breaks = 0;
  firstSequence = -1;
  /** Starts where no first number can follow, so that the first one is always noted. */
  lastSequence = -2;
  /** When the chunk at hand was read; only latencies need it. */
  nowUs = 0;
  /** So many bytes of a payload must be there to note it. */
  readonly prefix: number;
  readonly #latencies: Histogram | null;
  /** The last four digits of the number that must come next; -1 = look at all ten. */
  #nextShort = -1;

  constructor({ verify, latencies }: TallyOptions) {
    this.#latencies = latencies;
    this.prefix = latencies !== null ? STAMPED_BYTES : verify ? SEQUENCE_DIGITS : 0;
  }

  /** One more message, whose payload of so many bytes starts at `at`. */
  note(bytes: Uint8Array, at: number, payload: number): void {
    this.messages++;
    if (this.prefix === 0 || payload < SEQUENCE_DIGITS) return;
    if (shortOf(bytes, at) === this.#nextShort) {
      this.lastSequence++;
      this.#nextShort = this.#nextShort === SHORT_TURN - 1 ? -1 : this.#nextShort + 1;
    } else {
      this.#noteWhole(digits(bytes, at, SEQUENCE_DIGITS));
    }
    if (this.#latencies !== null && payload >= STAMPED_BYTES) {
      this.#latencies.record(this.nowUs - digits(bytes, at + TIME_OFFSET, TIME_DIGITS));
    }
  }

  #noteWhole(sequence: number): void {
    // The first number received only has to be what it is; the report says which it was.
    if (this.firstSequence === -1) this.firstSequence = sequence;
    else if (sequence !== this.lastSequence + 1) this.breaks++;
    this.lastSequence = sequence;
    const next = (sequence + 1) % SHORT_TURN;
    this.#nextShort = next === 0 ? -1 : next;
  }
}

function shortOf(bytes: Uint8Array, at: number): number {
  const first = at + SHORT_OFFSET;
  const high = ((bytes[first] as number) - ZERO) * 10 + (bytes[first + 1] as number) - ZERO;
  const low = ((bytes[first + 2] as number) - ZERO) * 10 + (bytes[first + 3] as number) - ZERO;
  return high * 100 + low;
}

function digits(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index++) value = value * 10 + (bytes[index] as number) - ZERO;
  return value;
}
