/**
 * One subscriber on a raw socket. All subscribers of a process read into one shared buffer: libuv fills it and
 * the bytes are counted before anything else is read, so that no byte is allocated or copied per read.
 *
 *   connecting → open → closed        open → (closed with `cursor=…`) → connecting again after that cursor
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { nowUs } from '../support/clock.ts';
import type { Histogram } from '../support/histogram.ts';
import type { Counter, Line } from './counter.ts';
import { type Dialect, READING } from './dialects.ts';
import { clientFrame } from './frames.ts';
import { Handshake } from './handshake.ts';
import { Tally } from './tally.ts';

export interface SubscriberOptions {
  readonly dialect: Dialect;
  readonly port: number;
  readonly path: string;
  readonly secure: boolean;
  readonly messageBytes: number;
  readonly localAddress: string | null;
  readonly verify: boolean;
  readonly latencies: Histogram | null;
  /** Whether to read once upgraded; a subscriber that does not is a stalled one. */
  readonly reading: boolean;
  /** Whether to connect again after the cursor of a close reason. */
  readonly resume: boolean;
  readonly onMessages: (subscriber: Subscriber) => void;
}

/** Several writes of the server in one read: fewer system calls on the load's core. */
const READ_BUFFER_BYTES = 512 * 1024;
const shared = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

const OPCODE_CLOSE = 0x8;
const OPCODE_PING = 0x9;
const PONG = clientFrame(0xa, '');
const CLOSE_PATTERN = /^cursor=(.+)$/;
const CONNECT_TIMEOUT_MS = 30_000;

export class Subscriber {
  readonly tally: Tally;
  /** How many messages it waits for; the group sets it. */
  target: number = Number.POSITIVE_INFINITY;
  readonly #options: SubscriberOptions;
  #socket: Socket | null = null;
  #reading: boolean;
  /** `<code> <reason without the cursor>`, or `cut` for an end without a close frame; null while open. */
  closed: string | null = null;
  resumed = 0;
  #closeText: string | null = null;
  #cursor: string | null = null;
  /** Set by the group: reached what was waited for. */
  done = false;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    this.#reading = options.reading;
    this.tally = new Tally(options);
  }

  /** Resolves with null once messages can come, else with what went wrong. */
  connect(path: string = this.#options.path): Promise<string | null> {
    return new Promise((resolve) => this.#connect(path, resolve));
  }

  #connect(path: string, settle: (problem: string | null) => void): void {
    const { port, localAddress, onMessages, dialect, latencies, secure } = this.#options;
    const { subprotocol, events, opensAtOnce, counter: makeCounter } = READING[dialect];
    const handshake = new Handshake({ path, port, subprotocol, events });
    const { tally } = this;
    let counter: Counter | null = null;
    const upgraded = (length: number): boolean => {
      const step = handshake.feed(shared, length);
      if (step.state === 'incomplete') return true;
      if (step.state === 'refused') {
        settle(step.reason);
        socket.destroy();
        return false;
      }
      socket.setTimeout(0);
      counter = makeCounter(this.#line(socket, settle));
      if (opensAtOnce) settle(null);
      const rest = shared.subarray(step.rest, length);
      tally.nowUs = nowUs();
      if (rest.length > 0) counter.consume(rest, rest.length);
      onMessages(this);
      return this.#reading;
    };
    const read = (length: number): boolean => {
      if (counter === null) return upgraded(length);
      if (latencies !== null) tally.nowUs = nowUs();
      counter.consume(shared, length);
      onMessages(this);
      return this.#reading;
    };
    const address = {
      host: '127.0.0.1',
      port,
      ...(localAddress === null ? {} : { localAddress }),
      onread: { buffer: shared, callback: read },
    };
    // Nobody signed the certificate of a measurement.
    const socket = secure ? connectTls({ ...address, rejectUnauthorized: false }) : connect(address);
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error('no upgrade in time')));
    socket.once(secure ? 'secureConnect' : 'connect', () => socket.write(handshake.request));
    socket.once('error', (error) => settle(error.message));
    socket.once('close', () => {
      settle('closed before it was open');
      if (counter !== null) this.#ended();
    });
  }

  #line(socket: Socket, settle: (problem: string | null) => void): Line {
    return {
      tally: this.tally,
      messageBytes: this.#options.messageBytes,
      send: (bytes) => socket.write(bytes),
      opened: () => settle(null),
      control: (opcode, payload) => this.#control(opcode, payload),
      refused: (reason) => {
        settle(reason);
        this.closed ??= reason;
        socket.destroy();
      },
    };
  }

  /** Starts to read what a stalled subscriber left lying. */
  read(): void {
    this.#reading = true;
    this.#socket?.resume();
  }

  end(): void {
    this.closed ??= 'ended here';
    this.#socket?.destroy();
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE_PING) this.#socket?.write(PONG);
    if (opcode !== OPCODE_CLOSE) return;
    const reason = payload.subarray(2).toString('utf8');
    this.#cursor = CLOSE_PATTERN.exec(reason)?.[1] ?? null;
    const code = payload.length < 2 ? 'no code' : payload.readUInt16BE(0);
    this.#closeText = `${code}${this.#cursor === null ? ` ${reason}` : ' with cursor'}`;
    this.#socket?.end();
  }

  #ended(): void {
    if (this.closed !== null) return;
    const text = this.#closeText ?? 'cut without a close frame';
    const cursor = this.#cursor;
    this.#closeText = null;
    this.#cursor = null;
    if (cursor === null || !this.#options.resume) {
      this.closed = text;
      return;
    }
    this.resumed++;
    const separator = this.#options.path.includes('?') ? '&' : '?';
    const path = `${this.#options.path}${separator}after=${encodeURIComponent(cursor)}`;
    const settled = (problem: string | null): void => {
      if (problem !== null) this.closed = `resume refused: ${problem}`;
    };
    this.connect(path).then(settled, (error: Error) => settled(error.message));
  }
}
