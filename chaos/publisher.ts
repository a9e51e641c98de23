/**
 * One that publishes numbered messages to one channel over rivercast.v1, each with its key, and sends what is
 * not acknowledged again, with the same key, until it is: after an error, on another connection after a cut, and
 * after too long a silence. Some connections it cuts itself, with messages in flight.
 */
import { WebSocket } from 'ws';
import { compareIds } from '../src/protocol/id.ts';
import type { Book } from './book.ts';
import { bodyOf, type Code, codeOf, nameOf } from './message.ts';
import type { Random } from './random.ts';
import type { Tally } from './tally.ts';
import type { Violation } from './violation.ts';
import { isBrokenFrame, publisherFrameIn, type Stored, type ToldError } from './wire.ts';

export interface PublisherOptions {
  readonly number: number;
  readonly book: Book;
  /** Messages a second. */
  readonly rate: number;
  /** How many may be in flight. */
  readonly window: number;
  readonly random: Random;
  readonly tally: Tally;
  /** The address of a manager, any of them. */
  readonly manager: (scheme: 'ws' | 'http') => string;
  readonly onViolation: (violation: Violation) => void;
}

interface Flight {
  readonly code: Code;
  tries: number;
  sentAt: number;
}

/** A silence after which a publisher takes its connection for dead. */
const SILENCE_MS = 4000;
const RECONNECT_MS = 100;
/** Each second, one of so many cuts its connection. */
const CUT_ONE_OF = 25;

const TICK_MS = 20;
const OPENING_MS = 3000;

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #timer: NodeJS.Timeout;
  /** By the order in which they were sent first; in flight, or to be sent again. */
  readonly #flights = new Map<Code, Flight>();
  /** Sent on this connection and not answered, in order. */
  #asked: Flight[] = [];
  #again: Flight[] = [];
  #socket: WebSocket | null = null;
  #next = 0;
  #allowance = 0;
  #heardAt = 0;
  #reconnectAt = 0;
  #isStopping = false;
  /** The last one acknowledged on this connection of those that were tried once. */
  #lastClean: { readonly code: Code; readonly id: string } | null = null;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  get name(): string {
    return `publisher ${this.#options.number}`;
  }

  get inFlight(): number {
    return this.#flights.size;
  }

  /** Nothing new from now on; what is in flight goes on being tried. */
  stop(): void {
    this.#isStopping = true;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#drop();
  }

  #tick(): void {
    const now = performance.now();
    const { rate, window, random, tally } = this.#options;
    this.#allowance = Math.min(window, this.#allowance + (rate * TICK_MS) / 1000);
    if (this.#socket === null) {
      if (now >= this.#reconnectAt) this.#connect();
      return;
    }
    if (this.#socket.readyState !== WebSocket.OPEN) {
      if (now - this.#heardAt > OPENING_MS) this.#lose('connection that did not open');
      return;
    }
    if (this.#asked.length > 0 && now - this.#heardAt > SILENCE_MS) return this.#lose('silence');
    if (!this.#isStopping && random.chance(TICK_MS / 1000 / CUT_ONE_OF)) {
      tally.add('publisher cuts');
      return this.#lose('cut of its own');
    }
    this.#send(now);
  }

  #send(now: number): void {
    const { window, number, tally } = this.#options;
    const due = this.#again.filter(({ sentAt }) => sentAt <= now);
    this.#again = this.#again.filter(({ sentAt }) => sentAt > now);
    for (const flight of due) {
      tally.add('retries');
      this.#options.book.retry(flight.code);
      this.#ask(flight, now);
    }
    while (!this.#isStopping && this.#allowance >= 1 && this.#flights.size < window) {
      this.#allowance -= 1;
      const flight = { code: codeOf(number, this.#next++), tries: 0, sentAt: now };
      this.#flights.set(flight.code, flight);
      tally.add('published');
      this.#ask(flight, now);
    }
  }

  #ask(flight: Flight, now: number): void {
    const { book } = this.#options;
    if (this.#asked.length === 0) this.#heardAt = now;
    flight.tries += 1;
    flight.sentAt = now;
    this.#asked.push(flight);
    const { kind, text } = bodyOf(flight.code);
    const key = nameOf(flight.code);
    const data =
      kind === 'binary'
        ? { data64: Buffer.from(text, 'latin1').toString('base64') }
        : { data: kind === 'json' ? (JSON.parse(text) as unknown) : text };
    this.#socket?.send(JSON.stringify({ type: 'publish', ref: key, channel: book.channel, key, ...data }));
  }

  #connect(): void {
    this.#heardAt = performance.now();
    const socket = new WebSocket(`${this.#options.manager('ws')}/ws/manager`, ['rivercast.v1'], {
      perMessageDeflate: false,
    });
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      if (this.#socket === socket) this.#hear(data.toString());
    });
    socket.on('error', (error) => {
      if (isBrokenFrame(error) && this.#socket === socket) this.#accuseUnreadable(error.message);
    });
    socket.on('close', () => {
      if (this.#socket === socket) this.#lose('close');
    });
  }

  /** Everything unanswered is sent again, in the old order, on another connection. */
  #lose(why: string): void {
    this.#options.tally.add(`publisher connections lost: ${why}`);
    this.#drop();
    this.#reconnectAt = performance.now() + RECONNECT_MS * (1 + this.#options.random.next());
    const open = [...this.#flights.values()];
    for (const flight of open) flight.sentAt = 0;
    this.#again = open;
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#asked = [];
    this.#lastClean = null;
    socket?.terminate();
  }

  #hear(text: string): void {
    this.#heardAt = performance.now();
    const frame = publisherFrameIn(text);
    if (frame === null) return this.#accuseUnreadable(text);
    if (frame.type === 'hello') return this.#options.tally.add('publisher connections');
    const flight = this.#asked.shift();
    const ref = flight === undefined ? 'nothing' : nameOf(flight.code);
    if (flight === undefined || frame.ref !== ref) return this.#accuse(`was answered ${text} for ${ref}`);
    if (frame.type === 'ack') this.#acknowledged(flight, frame);
    else this.#failed(flight, frame);
  }

  #acknowledged(flight: Flight, { id, duplicate }: Stored): void {
    const { book, tally } = this.#options;
    this.#flights.delete(flight.code);
    book.acknowledge(flight.code, id, Date.now());
    tally.add('acknowledged');
    if (duplicate) tally.add('duplicates suppressed');
    if (flight.tries > 1) return;
    if (duplicate) this.#accuse(`was told that ${nameOf(flight.code)}, tried once, is a duplicate`);
    const last = this.#lastClean;
    if (last !== null && compareIds(last.id, id) >= 0)
      this.#accuse(`has ${nameOf(last.code)} as ${last.id} and ${nameOf(flight.code)} as ${id}`);
    this.#lastClean = { code: flight.code, id };
  }

  #failed(flight: Flight, { code, message, retry, retryAfter }: ToldError): void {
    this.#options.tally.add(`errors told: ${code}`);
    if (!retry) return this.#accuse(`was refused ${nameOf(flight.code)}: ${code} ${message}`);
    // Sooner than asked for, so that more is tried while there is trouble.
    flight.sentAt = performance.now() + Math.min(500, (retryAfter ?? 1) * 1000) * this.#options.random.next();
    this.#again.push(flight);
  }

  /** Which of the messages it was an answer to, nobody can know: they are asked for again. */
  #accuseUnreadable(what: string): void {
    this.#accuse(`was told what it can not read: ${what}`);
    this.#lose('what can not be read');
  }

  #accuse(what: string): void {
    const account = `${this.#options.book.channel}: ${this.name} ${what}`;
    this.#options.onViolation({ fault: 'misbehaved', account });
  }
}
