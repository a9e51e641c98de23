/**
 * A batch: the lines of one request, each an entry, each answered by a line in the same order. It is a stream in
 * both directions: lines are submitted while more come, and answers go out as soon as all before them are known.
 *
 *   body ─▶ Lines ─▶ entries ─▶ Manager
 *                       │           │ stored, failed
 *                       ▼           ▼
 *                   the queue of lines ──settled at its head──▶ answer
 *
 * The body is not read while too much of its connection is not stored, or too many answers are not taken.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ERRORS } from '../../errors.ts';
import type { AppendResult, EntryType, NewEntry } from '../../log/log.ts';
import type { Submitter } from '../../manager/batcher.ts';
import type { Manager } from '../../manager/manager.ts';
import { costOf } from '../../manager/pressure.ts';
import type { Rate } from '../../manager/rate.ts';
import {
  isOverlong,
  parseJsonObject,
  readEntry,
  tooLarge,
  type WrittenEntry,
  type WrongEntry,
} from '../../protocol/entry-json.ts';
import { maxPublishFrameBytes } from '../../protocol/v1-publish.ts';
import type { Refusals } from '../../refusals.ts';
import type { Cause } from '../../tracing.ts';
import type { Incomplete } from '../limits/incomplete.ts';
import type { LimitName } from '../limits/limit-counter.ts';
import type { Refusal } from '../request.ts';
import { type GivenUp, Lines } from './lines.ts';
import { refusalOf, TOO_FAST } from './refusal.ts';
import type { Source } from './source.ts';

/** Beyond what its socket takes: as much as the answers to 20,000 lines, for who reads only after sending. */
const MAX_UNSENT_BYTES = 1024 * 1024;
/** Beyond so many without an answer no more is read, also if none of them is an entry. */
const MAX_QUEUED_LINES = 16_384;
/** From how many answered lines on the queue is moved up. */
const COMPACT_LINES = 4096;
const NOTHING = Buffer.alloc(0);
const NO_OBJECT: Refusal = { code: 'bad_request', detail: 'a line must be one JSON object in UTF-8' };

export interface BatchOptions {
  readonly manager: Manager;
  readonly source: Source;
  readonly channel: string;
  /** Null: as fast as they come. */
  readonly rate: Rate | null;
  readonly maxMessageBytes: number;
  readonly incomplete: Incomplete;
  /** Somebody crossed a limit. */
  readonly crossed: (limit: LimitName) => void;
  readonly refusals: Refusals;
  /** The span of its request. */
  readonly cause: Cause | null;
}

/** From its bytes to its answer. The log is given it as the entry. */
class Line implements NewEntry {
  type: EntryType = 'text';
  data: Buffer = NOTHING;
  key: string | undefined;
  /** Null until it is known. */
  answer: string | null = null;
}

export class Batch implements Submitter {
  readonly origin = 'http';
  readonly cause: Cause | null;
  readonly isAnswered = true;
  /** Resolves when no more of the body will be taken. */
  readonly taken: Promise<void>;
  /** Resolves when the answer is whole, or its client gone. */
  readonly ended: Promise<void>;
  readonly #options: BatchOptions;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #lines: Lines;
  #queue: Line[] = [];
  /** What lies before is answered. */
  #head = 0;
  /** What the body is not read for: its connection is full, or the answers are not taken. */
  #isHeld = false;
  #isUntaken = false;
  /** What further lines are told. */
  #leaving: Refusal | null = null;
  #isDismissed = false;
  #isOver = false;
  #isAnswering = false;
  #tellTaken: () => void = () => undefined;

  constructor(request: IncomingMessage, response: ServerResponse, options: BatchOptions) {
    this.cause = options.cause;
    this.#options = options;
    this.#request = request;
    this.#response = response;
    this.#lines = new Lines({
      maxBytes: maxPublishFrameBytes(options.maxMessageBytes),
      incomplete: options.incomplete,
      line: (bytes) => this.#take(bytes),
      givenUp: (why) => {
        options.crossed(why === 'too long' ? 'message_bytes' : 'incomplete_bytes');
        this.#answerLine(refusalOfLine(why, options.maxMessageBytes));
      },
    });
    this.taken = new Promise((resolve) => {
      this.#tellTaken = resolve;
    });
    this.ended = untilClosed(request, response);
    // Its connection may be gone by the time it has its turn, and nobody tells it any more.
    if (request.destroyed) this.#cut();
    response.on('drain', () => {
      this.#isUntaken = false;
      this.#readOn();
    });
    request.on('data', (bytes: Buffer) => this.#read(bytes));
    request.on('end', () => this.#finish());
    request.on('close', () => this.#cut());
  }

  stored(line: Line, { id, duplicate }: AppendResult): void {
    this.#settle(line, `{"id":"${id}","duplicate":${duplicate}}\n`);
    line.data = NOTHING;
  }

  /** The log may still be at work on it, when it is only told that nobody knows: its data stays as it is. */
  failed(line: Line, error: unknown): void {
    this.#settle(line, this.#textOf(refusalOf(error)));
  }

  /** What was submitted is answered as it fares, and what comes is refused. */
  leave(why: Refusal, how: 'stopping' | 'dismissed' = 'stopping'): void {
    this.#leaving ??= why;
    if (how === 'dismissed') this.#isDismissed = true;
  }

  /** Whether its client may publish no more. */
  get isDismissed(): boolean {
    return this.#isDismissed;
  }

  /** No more is read; the answer ends with that to the last line that was. */
  end(): void {
    this.#lines.forget();
    this.#over();
  }

  #read(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#lines.push(bytes);
    if (!this.#isHeld && this.#options.source.pauseIfFull()) {
      this.#isHeld = true;
      this.#options.source.whenRoom(() => {
        this.#isHeld = false;
        this.#readOn();
      });
    }
    if (this.#mustWait) this.#request.pause();
  }

  get #mustWait(): boolean {
    return this.#isHeld || this.#isUntaken || this.#queue.length - this.#head > MAX_QUEUED_LINES;
  }

  #readOn(): void {
    // A stream that is destroyed would let go of what it holds, and tell nobody.
    if (!this.#mustWait && !this.#request.destroyed) this.#request.resume();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#lines.finish();
    this.#over();
  }

  /** What was received whole is stored, also what was not read on for: it is no more than one socket had read. */
  #cut(): void {
    if (this.#isOver) return;
    const rest = this.#request.read() as Buffer | null;
    if (rest !== null) this.#lines.push(rest);
    if (this.#request.complete) this.#finish();
    else this.end();
  }

  #over(): void {
    this.#isOver = true;
    this.#tellTaken();
    this.#answerSoon();
  }

  #take(bytes: Buffer): void {
    if (isBlank(bytes)) return;
    if (this.#leaving !== null) return this.#answerLine(this.#leaving);
    const entry = this.#entryOf(bytes);
    if (entry === null) this.#answerLine(NO_OBJECT);
    else if (entry.type === 'wrong') this.#answerLine({ code: entry.code, detail: entry.message });
    else this.#submit(entry);
  }

  /** Null: no object. */
  #entryOf(bytes: Buffer): WrittenEntry | WrongEntry | null {
    if (!isUtf8(bytes)) return null;
    const { maxMessageBytes } = this.#options;
    const text = bytes.toString();
    if (isOverlong(text, maxMessageBytes)) return tooLarge(maxMessageBytes);
    const members = parseJsonObject(text);
    return members === null ? null : readEntry(members, maxMessageBytes);
  }

  #submit({ type, data, key }: NewEntry): void {
    const { manager, source, channel, rate } = this.#options;
    if (rate !== null && rate.take() > 0) return this.#answerLine(TOO_FAST);
    const line = new Line();
    line.type = type;
    line.data = data;
    line.key = key;
    this.#queue.push(line);
    source.add(costOf(line));
    manager.submit(channel, line, this);
  }

  #settle(line: Line, answer: string): void {
    this.#options.source.settle(costOf(line));
    line.answer = answer;
    this.#answerSoon();
  }

  /** What a refused line is answered: counted, for it is going to be sent. */
  #textOf({ code, detail }: Refusal): string {
    this.#options.refusals.count('publish', code);
    return `${JSON.stringify({ error: { code, message: detail, retry: ERRORS[code].retry } })}\n`;
  }

  /** Of a line that is not submitted. */
  #answerLine(refusal: Refusal): void {
    const line = new Line();
    line.answer = this.#textOf(refusal);
    this.#queue.push(line);
    this.#answerSoon();
  }

  /** Once this turn has settled all that it will. */
  #answerSoon(): void {
    if (this.#isAnswering) return;
    this.#isAnswering = true;
    process.nextTick(() => {
      this.#isAnswering = false;
      this.#answer();
    });
  }

  #answer(): void {
    let text = '';
    for (; this.#head < this.#queue.length; this.#head++) {
      const { answer } = this.#queue[this.#head] as Line;
      if (answer === null) break;
      text += answer;
    }
    const isAnswered = this.#head === this.#queue.length;
    if (isAnswered || this.#head >= COMPACT_LINES) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    const response = this.#response;
    if (response.destroyed || response.writableEnded) return;
    if (text !== '') response.write(text);
    if (isAnswered && this.#isOver) response.end();
    else if (response.writableLength > MAX_UNSENT_BYTES && !this.#isUntaken) {
      this.#isUntaken = true;
      this.#request.pause();
    } else this.#readOn();
  }
}

/** An answer that waits behind others on its connection is not told when that is gone. */
function untilClosed({ socket }: IncomingMessage, response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const closed = (): void => {
      response.off('close', closed);
      socket.off('close', closed);
      resolve();
    };
    response.on('close', closed);
    socket.on('close', closed);
    if (socket.destroyed) closed();
  });
}

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  return true;
}

function refusalOfLine(why: GivenUp, maxMessageBytes: number): Refusal {
  if (why === 'too long')
    return { code: 'too_large', detail: `a message has at most ${maxMessageBytes} bytes` };
  return {
    code: 'limit_reached',
    detail: 'too many bytes of unfinished requests are held already; try again',
  };
}
