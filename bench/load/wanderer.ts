/**
 * A subscriber that goes on elsewhere when its server sends it away, as a client has to: by the cursor of the close
 * (raw), of the last message (rivercast.v1, two channels), or of the last event (SSE), after a random time. It checks
 * that every number follows the one before.
 *
 *   away ──a random time──▶ knocking ──open──▶ here ──closed, or cut──▶ away
 */
import { connect, type Socket } from 'node:net';
import { clientFrame } from './frames.ts';
import { Handshake } from './handshake.ts';

export type Kind = 'raw' | 'v1' | 'events';

/** What all wanderers of a run share. */
export interface Wandering {
  readonly channel: string;
  /** A channel in which nothing happens: a v1 connection of several is not told where to resume by its close. */
  readonly quietChannel: string;
  /** The port to knock at; null while no server is ready. */
  readonly pick: () => number | null;
  /** The longest time before it knocks again, in ms; the time itself is random below that. */
  readonly jitterMs: number;
  readonly knocked: () => void;
}

const OPCODE_TEXT = 0x1;
const OPCODE_CLOSE = 0x8;
const OPCODE_PING = 0x9;
const PONG = clientFrame(0xa, '');
const CURSOR_REASON = /^cursor=(.+)$/;
/** When nobody is ready. */
const RETRY_MS = 50;
const NOTHING: Buffer = Buffer.alloc(0);

interface V1Frame {
  readonly type: string;
  readonly channel?: string;
  readonly cursor?: string;
  readonly messages?: readonly { readonly id: string; readonly data: string }[];
}

export class Wanderer {
  /** The last number it was sent; -1 before the first. */
  last = -1;
  lost = 0;
  repeated = 0;
  /** Ends that said nothing of where to resume, after which a raw client would be lost. */
  unclean = 0;
  isHere = false;
  /** When it was let in last. */
  arrivedAt = 0;
  /** The longest it was away, in ms. */
  awayMs = 0;
  readonly #kind: Kind;
  readonly #wandering: Wandering;
  #socket: Socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #rest: Buffer = NOTHING;
  #cursor: string | null = null;
  #isTold = false;
  #hasEnded = false;
  #leftAt = performance.now();

  constructor(kind: Kind, wandering: Wandering) {
    this.#kind = kind;
    this.#wandering = wandering;
  }

  /** Knocks now; whatever comes of it, it goes on by itself. */
  knock(): void {
    const port = this.#wandering.pick();
    if (port === null) {
      this.#timer = setTimeout(() => this.knock(), RETRY_MS);
      return;
    }
    this.#wandering.knocked();
    this.#isTold = false;
    this.#rest = NOTHING;
    const handshake = this.#handshake(port);
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket = socket;
    let isOpen = false;
    socket.once('connect', () => socket.write(handshake.request));
    socket.on('data', (chunk: Buffer) => {
      if (isOpen) return this.#heard(chunk);
      const step = handshake.feed(chunk, chunk.length);
      if (step.state === 'refused') socket.destroy();
      if (step.state !== 'open') return;
      isOpen = true;
      if (this.#kind === 'v1') this.#subscribe();
      else this.#arrived();
      this.#heard(chunk.subarray(step.rest));
    });
    socket.on('error', () => undefined);
    socket.once('close', () => this.#left());
  }

  end(): void {
    this.#hasEnded = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #handshake(port: number): Handshake {
    const { channel } = this.#wandering;
    const after = this.#cursor === null ? '' : `&after=${encodeURIComponent(this.#cursor)}`;
    if (this.#kind === 'events')
      return new Handshake({ port, path: `/sse?channel=${channel}${after}`, events: true });
    if (this.#kind === 'raw')
      return new Handshake({ port, path: `/ws/broadcast?channel=${channel}${after}` });
    return new Handshake({ port, path: '/ws/broadcast?channel=', subprotocol: 'rivercast.v1' });
  }

  #subscribe(): void {
    const { channel, quietChannel } = this.#wandering;
    const ask = (name: string, after: string): void => {
      this.#socket?.write(
        clientFrame(OPCODE_TEXT, JSON.stringify({ type: 'subscribe', channel: name, after })),
      );
    };
    ask(quietChannel, 'latest');
    ask(channel, this.#cursor ?? 'latest');
  }

  #arrived(): void {
    this.isHere = true;
    this.arrivedAt = performance.now();
    this.awayMs = Math.max(this.awayMs, this.arrivedAt - this.#leftAt);
  }

  #left(): void {
    if (this.isHere) {
      this.#leftAt = performance.now();
      if (!this.#isTold && this.#kind !== 'events') this.unclean++;
    }
    this.isHere = false;
    if (this.#hasEnded) return;
    this.#timer = setTimeout(() => this.knock(), Math.random() * this.#wandering.jitterMs);
  }

  #heard(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const read = this.#kind === 'events' ? this.#events(bytes) : this.#frames(bytes);
    this.#rest = bytes.subarray(read);
  }

  /** Returns how many bytes were whole frames. */
  #frames(bytes: Buffer): number {
    let at = 0;
    while (bytes.length - at >= 2) {
      const mark = (bytes[at + 1] as number) & 0x7f;
      const start = at + (mark === 127 ? 10 : mark === 126 ? 4 : 2);
      if (bytes.length < start) break;
      const length =
        mark < 126 ? mark : mark === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
      if (bytes.length < start + length) break;
      this.#frame((bytes[at] as number) & 0x0f, bytes.subarray(start, start + length));
      at = start + length;
    }
    return at;
  }

  #frame(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE_PING) this.#socket?.write(PONG);
    else if (opcode === OPCODE_CLOSE) this.#closed(payload.subarray(2).toString());
    else if (this.#kind === 'raw') this.#number(numberIn(payload, 0));
    else this.#v1(JSON.parse(payload.toString()) as V1Frame);
  }

  #closed(reason: string): void {
    const cursor = CURSOR_REASON.exec(reason)?.[1];
    if (this.#kind === 'raw' && cursor !== undefined) this.#cursor = cursor;
    this.#isTold = this.#kind === 'v1' || cursor !== undefined;
    this.#socket?.end();
  }

  #v1({ type, channel, cursor, messages = [] }: V1Frame): void {
    if (channel !== this.#wandering.channel) return;
    if (type === 'subscribed') this.#arrived();
    if (cursor !== undefined) this.#cursor = cursor;
    for (const { id, data } of messages) {
      this.#number(Number.parseInt(data, 10));
      this.#cursor = id;
    }
  }

  #events(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      const end = bytes.indexOf('\n\n', at);
      if (end === -1) return at;
      const [, id, data] = /^id: (\S+)(?:\ndata: (\d+))?/.exec(bytes.toString('latin1', at, end)) ?? [];
      if (data !== undefined) this.#number(Number(data));
      this.#cursor = id ?? this.#cursor;
      at = end + 2;
    }
  }

  #number(number: number): void {
    if (this.last !== -1 && number <= this.last) this.repeated++;
    else if (this.last !== -1) this.lost += number - this.last - 1;
    this.last = Math.max(this.last, number);
  }
}

/** The decimal digits from `at` on. */
function numberIn(bytes: Buffer, at: number): number {
  let value = 0;
  for (let i = at; i < bytes.length; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  return value;
}
