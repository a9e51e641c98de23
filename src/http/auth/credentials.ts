/**
 * What a request shows for itself: a token or an API key, in the first of these that it has.
 *
 *   Authorization: Bearer <token>
 *   Sec-WebSocket-Protocol: …, access_token.<token>    for browsers, which can set no header of a WebSocket
 *   ?token=<token>                                     for EventSource, which can set none at all
 */
import type { IncomingHttpHeaders } from 'node:http';
import { TOKEN_PREFIX } from '../request.ts';

const BEARER = /^bearer +([^ ]+)$/i;

/** Null: nothing. */
export function credentialOf(headers: IncomingHttpHeaders, query: URLSearchParams): string | null {
  const bearer = BEARER.exec(headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  const entry = offered.find((name) => name.startsWith(TOKEN_PREFIX));
  if (entry !== undefined) return entry.slice(TOKEN_PREFIX.length);
  return query.get('token');
}
