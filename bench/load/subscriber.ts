/**
 * One subscriber on a raw socket. All subscribers of a process read into one shared buffer: libuv fills it and
 * the bytes are counted before anything else is read, so that no byte is allocated or copied per read.
 *
 *   connecting → open → closed        open → (closed with `cursor=…`) → connecting again after that cursor
 */
import { connect, type Socket } from 'node:net';
import { nowUs } from '../support/clock.ts';
import type { Histogram } from '../support/histogram.ts';
import { FrameCounter } from './frame-counter.ts';
import { Handshake } from './handshake.ts';

export interface SubscriberOptions {
  readonly port: number;
  readonly path: string;
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
/** Masked with the key 0, as a client must. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
const CLOSE_PATTERN = /^cursor=(.+)$/;
const CONNECT_TIMEOUT_MS = 30_000;

export class Subscriber {
  readonly counter: FrameCounter;
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
    this.counter = new FrameCounter({
      verify: options.verify,
      latencies: options.latencies,
      onControl: (opcode, payload) => this.#control(opcode, payload),
    });
  }

  /** Resolves with null once upgraded, else with what went wrong. */
  connect(path: string = this.#options.path): Promise<string | null> {
    const { port, localAddress, onMessages } = this.#options;
    const handshake = new Handshake(path, port);
    return new Promise((resolve) => {
      let open = false;
      const read = (length: number): boolean => {
        if (open) {
          this.counter.consume(shared, length, this.#options.latencies === null ? 0 : nowUs());
          onMessages(this);
          return this.#reading;
        }
        const step = handshake.feed(shared, length);
        if (step.state === 'incomplete') return true;
        if (step.state === 'refused') {
          resolve(step.reason);
          socket.destroy();
          return false;
        }
        open = true;
        socket.setTimeout(0);
        resolve(null);
        const rest = shared.subarray(step.rest, length);
        if (rest.length > 0) this.counter.consume(rest, rest.length, nowUs());
        return this.#reading;
      };
      const socket = connect({
        host: '127.0.0.1',
        port,
        ...(localAddress === null ? {} : { localAddress }),
        onread: { buffer: shared, callback: read },
      });
      this.#socket = socket;
      socket.setNoDelay(true);
      socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error('no upgrade in time')));
      socket.once('connect', () => socket.write(handshake.request));
      socket.once('error', (error) => resolve(error.message));
      socket.once('close', () => {
        resolve('closed before the upgrade');
        if (open) this.#ended();
      });
    });
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
