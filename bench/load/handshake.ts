/** The client side of a WebSocket upgrade (RFC 6455 4.1), or of a plain GET that streams, on a raw socket. */
import { createHash, randomBytes } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const END_OF_HEAD = '\r\n\r\n';
const MAX_HEAD_BYTES = 16_384;

export type HandshakeStep =
  | { readonly state: 'incomplete' }
  /** `rest` is where the bytes after the head begin in the chunk that was fed last. */
  | { readonly state: 'open'; readonly rest: number }
  | { readonly state: 'refused'; readonly reason: string };

export interface HandshakeOptions {
  readonly port: number;
  readonly path: string;
  /** Offered, and then demanded. */
  readonly subprotocol?: string | undefined;
  /** No upgrade: an event stream. */
  readonly events?: boolean | undefined;
}

export class Handshake {
  readonly request: string;
  readonly #status: string;
  /** What the head of the answer must hold. */
  readonly #needed: readonly string[];
  #head = '';

  constructor({ port, path, subprotocol, events }: HandshakeOptions) {
    const key = randomBytes(16).toString('base64');
    const offer = subprotocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${subprotocol}`];
    const upgrade = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${key}`,
      ...offer,
    ];
    const lines = events === true ? ['Accept: text/event-stream'] : upgrade;
    this.request = [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...lines].join('\r\n') + END_OF_HEAD;
    this.#status = events === true ? 'HTTP/1.1 200 ' : 'HTTP/1.1 101 ';
    this.#needed = events === true ? ['text/event-stream'] : [acceptKey(key), subprotocol ?? ''];
  }

  feed(chunk: Uint8Array, length: number): HandshakeStep {
    const before = this.#head.length;
    this.#head += Buffer.from(chunk.buffer, chunk.byteOffset, length).toString('latin1');
    const end = this.#head.indexOf(END_OF_HEAD);
    if (end === -1) {
      return this.#head.length > MAX_HEAD_BYTES
        ? { state: 'refused', reason: 'endless head' }
        : { state: 'incomplete' };
    }
    const head = this.#head.slice(0, end);
    if (!head.startsWith(this.#status)) {
      return { state: 'refused', reason: head.slice(0, head.indexOf('\r\n')) };
    }
    const missing = this.#needed.find((text) => !head.includes(text));
    if (missing !== undefined) return { state: 'refused', reason: `answered without ${missing}` };
    return { state: 'open', rest: end + END_OF_HEAD.length - before };
  }
}

export function acceptKey(key: string): string {
  return createHash('sha1').update(`${key}${GUID}`).digest('base64');
}
