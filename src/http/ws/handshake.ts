/** What RFC 6455 (4.2.1, 4.4) wants of a request for an upgrade, as far as neither Node nor `ws` looks at it. */
import type { IncomingMessage } from 'node:http';
import { type Problem, WEBSOCKET_VERSION } from '../problem.ts';

/** Null: nothing is wrong with it so far. */
export function handshakeFault({ headers, httpVersion, rawHeaders }: IncomingMessage): Problem | null {
  if (httpVersion !== '1.1') return { code: 'bad_request', detail: 'a WebSocket begins with HTTP/1.1' };
  // With two of them, Node would take the first, and whoever stands in front of this server perhaps the other.
  if (countOf(rawHeaders, 'host') !== 1) return { code: 'bad_request', detail: 'one Host header is needed' };
  // `ws` would take 8 as well, which has its origin in another header.
  if (headers['sec-websocket-version'] === WEBSOCKET_VERSION) return null;
  return { code: 'upgrade_required', detail: `Sec-WebSocket-Version must be ${WEBSOCKET_VERSION}` };
}

function countOf(rawHeaders: readonly string[], name: string): number {
  return rawHeaders.filter((text, i) => i % 2 === 0 && text.toLowerCase() === name).length;
}
