/**
 * Counts the messages of a NATS subscription over WebSocket, as cheaply as plain frames are counted: per message
 * it looks at the line `MSG <subject> <sid> <bytes>` and the sequence number, and skips the rest.
 *
 *   ← INFO {…}   → CONNECT {…} SUB … PING   ← PONG: subscribed   ← MSG … MSG … PING   → PONG
 */
import type { Counter, Line } from './counter.ts';
import { FrameSpans } from './frame-spans.ts';
import { clientFrame } from './frames.ts';
import { NATS_CONNECT, NATS_SUBJECT } from './nats.ts';
import type { Tally } from './tally.ts';
import { type Grammar, Walker } from './walker.ts';

const LETTER_M = 0x4d;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const ZERO = 0x30;
const OPCODE_BINARY = 0x2;
const LINE_END_BYTES = 2;
/** Subject and subscription are ours, so where the length of the payload stands is known. */
const MSG_LEAD = `MSG ${NATS_SUBJECT} 1 `.length;
/** The server's INFO is the longest line. */
const KEPT_BYTES = 2048;

export class NatsCounter implements Counter {
  readonly #spans: FrameSpans;
  readonly #tally: Tally;

  constructor(line: Line) {
    const walker = new Walker(new NatsGrammar(line));
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

class NatsGrammar implements Grammar {
  readonly tally: Tally;
  readonly keptBytes: number = KEPT_BYTES;
  readonly #line: Line;

  constructor(line: Line) {
    this.#line = line;
    this.tally = line.tally;
  }

  item(bytes: Uint8Array, at: number, end: number): number {
    return bytes[at] === LETTER_M ? this.#message(bytes, at, end) : this.#other(bytes, at, end);
  }

  #message(bytes: Uint8Array, at: number, end: number): number {
    let here = at + MSG_LEAD;
    let payload = 0;
    for (; here < end && bytes[here] !== CARRIAGE_RETURN; here++) {
      payload = payload * 10 + (bytes[here] as number) - ZERO;
    }
    const start = here + LINE_END_BYTES;
    if (start + Math.min(payload, this.tally.prefix) > end) return 0;
    this.tally.note(bytes, start, payload);
    return start + payload + LINE_END_BYTES - at;
  }

  #other(bytes: Uint8Array, at: number, end: number): number {
    const feed = bytes.indexOf(LINE_FEED, at);
    if (feed === -1 || feed >= end) return 0;
    const line = Buffer.from(bytes.subarray(at, feed - 1)).toString('latin1');
    if (line.startsWith('INFO')) {
      this.#send(`${NATS_CONNECT}SUB ${NATS_SUBJECT} 1\r\nPING\r\n`);
    } else if (line === 'PING') {
      this.#send('PONG\r\n');
    } else if (line === 'PONG') {
      this.#line.opened();
    } else {
      this.#line.refused(line);
    }
    return feed + 1 - at;
  }

  #send(text: string): void {
    this.#line.send(clientFrame(OPCODE_BINARY, text));
  }
}
