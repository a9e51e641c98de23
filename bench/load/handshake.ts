/** The client side of a WebSocket upgrade on a raw socket (RFC 6455 4.1). */
import { createHash, randomBytes } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const END_OF_HEAD = '\r\n\r\n';
const MAX_HEAD_BYTES = 16_384;

export type HandshakeStep =
  | { readonly state: 'incomplete' }
  /** `rest` is where the WebSocket bytes begin in the chunk that was fed last. */
  | { readonly state: 'open'; readonly rest: number }
  | { readonly state: 'refused'; readonly reason: string };

export class Handshake {
  readonly request: string;
  readonly #accept: string;
  #head = '';

  constructor(path: string, port: number) {
    const key = randomBytes(16).toString('base64');
    this.#accept = acceptKey(key);
    this.request = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${key}${END_OF_HEAD}`,
    ].join('\r\n');
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
    if (!head.startsWith('HTTP/1.1 101 ')) {
      return { state: 'refused', reason: head.slice(0, head.indexOf('\r\n')) };
    }
    if (!head.includes(this.#accept)) return { state: 'refused', reason: 'wrong Sec-WebSocket-Accept' };
    return { state: 'open', rest: end + END_OF_HEAD.length - before };
  }
}

export function acceptKey(key: string): string {
  return createHash('sha1').update(`${key}${GUID}`).digest('base64');
}
