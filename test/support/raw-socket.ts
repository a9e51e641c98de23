/**
 * A bare TCP connection with a handshake made by hand: for clients that break the rules, read nothing, or
 * vanish. `await using` ends it.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { socketTo } from './secure.ts';
import { within } from './within.ts';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
}

export interface FrameOptions {
  readonly fin?: boolean;
  readonly masked?: boolean;
  readonly rsv?: number;
}

const NO_BYTES: Buffer = Buffer.alloc(0);

export class RawSocket implements AsyncDisposable {
  readonly socket: Socket;
  /** Resolves when the connection is gone; never rejects. */
  readonly closed: Promise<void>;
  #bytes: Buffer = NO_BYTES;
  #ended = false;
  #wake: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#wake?.();
    });
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#ended = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  static async connect(address: string): Promise<RawSocket> {
    const { socket, opened } = socketTo(address);
    const raw = new RawSocket(socket);
    await within(`a connection to ${address}`, once(socket, opened));
    return raw;
  }

  /** Connects and upgrades; rejects unless the server agrees. */
  static async open(address: string, path: string): Promise<RawSocket> {
    const raw = await RawSocket.connect(address);
    raw.write(handshake(path));
    const head = await raw.head();
    if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(head);
    return raw;
  }

  /** What was received and not taken yet. */
  get left(): Buffer {
    return this.#bytes;
  }

  write(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  /** What the server answered, up to the empty line. */
  async head(): Promise<string> {
    await this.#until('a response', () => this.#bytes.includes('\r\n\r\n'));
    const end = this.#bytes.indexOf('\r\n\r\n') + 4;
    const head = this.#bytes.subarray(0, end).toString('latin1');
    this.#bytes = this.#bytes.subarray(end);
    return head;
  }

  /** The next so many bytes. */
  async take(count: number): Promise<Buffer> {
    await this.#until(`${count} bytes`, () => this.#bytes.length >= count);
    const bytes = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return bytes;
  }

  async frame(): Promise<Frame> {
    let frame: { readonly frame: Frame; readonly end: number } | null = null;
    await this.#until('a frame', () => {
      frame = parseFrame(this.#bytes);
      return frame !== null;
    });
    const { frame: found, end } = frame as unknown as { readonly frame: Frame; readonly end: number };
    this.#bytes = this.#bytes.subarray(end);
    return found;
  }

  /** All frames until the connection ends. */
  async frames(): Promise<Frame[]> {
    await within('the end of the connection', this.closed);
    return this.framesHere();
  }

  /** The whole frames received and not taken yet. */
  framesHere(): Frame[] {
    const frames: Frame[] = [];
    for (let next = parseFrame(this.#bytes); next !== null; next = parseFrame(this.#bytes)) {
      frames.push(next.frame);
      this.#bytes = this.#bytes.subarray(next.end);
    }
    return frames;
  }

  /** Everything received and not taken yet, once `text` is in it. */
  async until(text: string): Promise<string> {
    await this.#until(JSON.stringify(text), () => this.#bytes.includes(text));
    return this.#bytes.toString();
  }

  stopReading(): void {
    this.socket.pause();
  }

  readOn(): void {
    this.socket.resume();
  }

  /** Ends the connection with a TCP reset. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const held = new Promise<void>((resolve, reject) => {
      this.#wake = () => {
        if (holds()) resolve();
        else if (this.#ended) reject(new Error(`the connection ended before ${what}`));
      };
      this.#wake();
    });
    try {
      await within(what, held);
    } finally {
      this.#wake = null;
    }
  }
}

/** An upgrade request, with `more` header lines. */
export function handshake(path: string, ...more: readonly string[]): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...more,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A frame as a client sends it. The mask is all zeros, so that the payload is easy to read. */
export function clientFrame(
  opcode: number,
  payload: Buffer | string = '',
  options: FrameOptions = {},
): Buffer {
  const { fin = true, masked = true, rsv = 0 } = options;
  const data = Buffer.from(payload);
  return Buffer.concat([clientHeader((fin ? 0x80 : 0) | (rsv << 4) | opcode, data.length, masked), data]);
}

/** The header alone, which may announce more than ever comes. */
export function clientHeader(first: number, length: number, masked = true): Buffer {
  const mask = masked ? 0x80 : 0;
  const header = Buffer.alloc(10);
  header[0] = first;
  const mark = length < 126 ? length : length < 65_536 ? 126 : 127;
  header[1] = mask | mark;
  if (mark === 126) header.writeUInt16BE(length, 2);
  if (mark === 127) header.writeBigUInt64BE(BigInt(length), 2);
  const size = mark === 127 ? 10 : mark === 126 ? 4 : 2;
  return Buffer.concat([header.subarray(0, size), Buffer.alloc(masked ? 4 : 0)]);
}

/** The first server frame in `bytes`, or null while it is not whole. */
export function parseFrame(bytes: Buffer): { readonly frame: Frame; readonly end: number } | null {
  if (bytes.length < 2) return null;
  const mark = (bytes[1] as number) & 0x7f;
  const start = mark === 127 ? 10 : mark === 126 ? 4 : 2;
  if (bytes.length < start) return null;
  const long = (): number => (mark === 127 ? Number(bytes.readBigUInt64BE(2)) : bytes.readUInt16BE(2));
  const end = start + (mark < 126 ? mark : long());
  if (bytes.length < end) return null;
  return { frame: { opcode: (bytes[0] as number) & 0x0f, payload: bytes.subarray(start, end) }, end };
}

/** The code and the reason that a close frame carries. */
export function closeOf(frame: Frame): { readonly code: number; readonly reason: string } {
  if (frame.opcode !== OPCODE.close) throw new Error(`no close frame: opcode ${frame.opcode}`);
  return { code: frame.payload.readUInt16BE(0), reason: frame.payload.subarray(2).toString() };
}
