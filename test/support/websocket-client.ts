/**
 * A WebSocket client that never misses a message: what comes between two awaits is queued, and so is what
 * comes in one piece with the handshake. `await using` ends it.
 */
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { trusted } from './secure.ts';
import { within } from './within.ts';

export interface Received {
  readonly type: 'text' | 'binary';
  readonly data: Buffer;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface Refused {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
}

export interface ClientOptions {
  readonly protocols?: readonly string[];
  readonly origin?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Offers permessage-deflate, as `ws` does by itself and a browser too. */
  readonly deflate?: boolean;
}

export class WebSocketClient implements AsyncDisposable {
  /** Resolves when the connection is gone; never rejects. */
  readonly closed: Promise<Closed>;
  readonly #ws: WebSocket;
  readonly #received: Received[] = [];
  #taken = 0;
  #pings = 0;
  #isClosed = false;
  #wake: (() => void) | null = null;

  private constructor(
    url: string,
    { protocols = [], origin, headers: more = {}, deflate = false }: ClientOptions,
  ) {
    const headers = origin === undefined ? more : { ...more, origin };
    this.#ws = new WebSocket(url, [...protocols], { headers, perMessageDeflate: deflate, ...trusted() });
    this.#ws.on('message', (data: Buffer, isBinary) => {
      this.#received.push({ type: isBinary ? 'binary' : 'text', data });
      this.#wake?.();
    });
    this.#ws.on('ping', () => {
      this.#pings += 1;
      this.#wake?.();
    });
    // Told as a close, with code 1006 when there was none.
    this.#ws.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      this.#ws.on('close', (code, reason) => {
        this.#isClosed = true;
        this.#wake?.();
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  /** Resolves once the connection is open; rejects when it is refused. */
  static async connect(url: string, options: ClientOptions = {}): Promise<WebSocketClient> {
    const client = new WebSocketClient(url, options);
    const opened = new Promise<void>((resolve, reject) => {
      client.#ws.once('open', resolve);
      client.#ws.once('error', reject);
    });
    await within(`a connection to ${url}`, opened);
    return client;
  }

  /** Asks for a connection that the server refuses over HTTP. */
  static async refused(url: string, options: ClientOptions = {}): Promise<Refused> {
    const client = new WebSocketClient(url, options);
    const refused = new Promise<Refused>((resolve, reject) => {
      client.#ws.once('open', () => reject(new Error(`${url} was accepted`)));
      client.#ws.once('error', reject);
      client.#ws.once('unexpected-response', (_request, response: IncomingMessage) => {
        bodyOf(response).then(
          (text) =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: JSON.parse(text) as Record<string, unknown>,
            }),
          reject,
        );
      });
    });
    try {
      return await within(`a refusal from ${url}`, refused);
    } finally {
      client.#ws.terminate();
    }
  }

  /** The subprotocol that the server chose; empty for none. */
  get protocol(): string {
    return this.#ws.protocol;
  }

  /** The extensions that were agreed; empty for none. */
  get extensions(): string {
    return this.#ws.extensions;
  }

  /** False once the server, or this side, has begun to close: what is sent then goes nowhere. */
  get isOpen(): boolean {
    return this.#ws.readyState === WebSocket.OPEN;
  }

  get receivedCount(): number {
    return this.#received.length;
  }

  /** A string goes as text, a Buffer as binary. */
  send(data: string | Buffer): void {
    this.#ws.send(data);
  }

  /** Resolves when all that was sent so far went to the socket. */
  flushed(data: string | Buffer): Promise<void> {
    const sent = new Promise<void>((resolve, reject) => {
      this.#ws.send(data, (error) => (error ? reject(error) : resolve()));
    });
    return within('a message to go out', sent);
  }

  get unsentBytes(): number {
    return this.#ws.bufferedAmount;
  }

  async next(): Promise<Received> {
    const [message] = await this.take(1);
    return message as Received;
  }

  async text(): Promise<string> {
    return (await this.next()).data.toString();
  }

  /** The next `count` messages. */
  async take(count: number, waitMs?: number): Promise<Received[]> {
    const end = this.#taken + count;
    await this.#untilOr(`message ${end}`, () => this.#received.length >= end, waitMs);
    const messages = this.#received.slice(this.#taken, end);
    this.#taken = end;
    return messages;
  }

  async texts(count: number): Promise<string[]> {
    return (await this.take(count)).map(({ data }) => data.toString());
  }

  /** What was received and not taken yet, all of it once the connection is closed. */
  async rest(): Promise<Received[]> {
    await within('the end of the connection', this.closed);
    const messages = this.#received.slice(this.#taken);
    this.#taken = this.#received.length;
    return messages;
  }

  async pinged(count: number): Promise<void> {
    await this.#untilOr(`ping ${count}`, () => this.#pings >= count);
  }

  /** Stops reading from the socket: the server's writes fill the buffers of both sides. */
  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    this.#ws.resume();
  }

  async close(code = 1000): Promise<Closed> {
    this.#ws.close(code);
    return within('the close', this.closed);
  }

  terminate(): void {
    this.#ws.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ws.terminate();
    await this.closed;
  }

  async #untilOr(what: string, holds: () => boolean, waitMs?: number): Promise<void> {
    if (holds()) return;
    const held = new Promise<void>((resolve, reject) => {
      this.#wake = () => {
        if (holds()) resolve();
        else if (this.#isClosed) reject(new Error(`closed before ${what}`));
      };
      this.#wake();
    });
    try {
      await within(what, held, waitMs);
    } finally {
      this.#wake = null;
    }
  }
}

/** The cursor in the reason of a close. */
export function cursorOf({ reason }: Closed): string {
  if (!reason.startsWith('cursor=')) throw new Error(`no cursor in ${JSON.stringify(reason)}`);
  return reason.slice('cursor='.length);
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
