/**
 * What a plain HTTP request from a web page gets (the fetch standard, section 3.2): whether it is answered at
 * all, and the headers that let the page read the answer. The same rules as for WebSockets (origin.ts).
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Problem } from '../problem.ts';
import { FOREIGN_PAGE, isHostAllowed, isOriginAllowed, type OriginPolicy } from './origin.ts';

type Headers = Readonly<Record<string, string>>;

export type Access = {
  readonly refused: Problem | null;
  /** For every answer, a refusal included. */
  readonly headers: Headers;
};

const EXPOSED = 'ETag, Retry-After';
/** What cannot be read by one page must not be answered to another from a cache. */
const VARY: Headers = { Vary: 'Origin' };

/**
 * The answer to OPTIONS is 204 with these, and those of `accessOf`: a browser asks before a request with
 * headers of its own, and remembers what it was told for two hours at most.
 */
export const PREFLIGHT: Headers = {
  'Access-Control-Allow-Methods': 'GET, HEAD, POST, DELETE',
  'Access-Control-Allow-Headers':
    'Accept, Authorization, Cache-Control, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID',
  'Access-Control-Max-Age': '7200',
};

export function accessOf({ host, origin }: IncomingHttpHeaders, policy: OriginPolicy): Access {
  if (!isHostAllowed(host, policy)) {
    const detail =
      'this server is meant for its own machine: reach it as localhost or by its address, name the page in ALLOWED_ORIGINS, or set ALLOW_ANONYMOUS=true';
    return { refused: { code: 'forbidden', detail }, headers: VARY };
  }
  if (!isOriginAllowed(origin, host, policy)) {
    return { refused: FOREIGN_PAGE, headers: VARY };
  }
  if (origin === undefined) return { refused: null, headers: VARY };
  const headers = {
    ...VARY,
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Expose-Headers': EXPOSED,
  };
  return { refused: null, headers };
}
