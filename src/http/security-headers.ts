/**
 * What every plain HTTP answer tells a browser, refusals included: take it for what it says it is, show it in no
 * frame, run nothing in it, let no page of another origin embed it (one that may read it asks by CORS, which this
 * does not touch), and pass its URL, which may bear a token, on to nobody. Over TLS also: never come without again.
 */
import type { IncomingMessage } from 'node:http';
import { isEncrypted } from './connections/outflow.ts';

type Headers = Readonly<Record<string, string>>;

/** In lower case, as Fastify would have to make them each time. */
const ALWAYS: Headers = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // Somebody at the console of a browser may try this server from its own first page.
  'content-security-policy': "default-src 'none'; connect-src 'self'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
};
const ENCRYPTED: Headers = { ...ALWAYS, 'strict-transport-security': 'max-age=31536000' };
const ALWAYS_LINES = linesOf(ALWAYS);
const ENCRYPTED_LINES = linesOf(ENCRYPTED);

/**
 * What the console gets instead (console.ts): its own files, its own server, and no way to make markup of a text, which
 * is what everything that it shows may be.
 */
export const CONSOLE_HEADERS: Headers = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
};

export function securityHeaders({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>): Headers {
  return isEncrypted(socket) && !isLocal(headers.host) ? ENCRYPTED : ALWAYS;
}

/** The same for an answer that is written by hand. The request may not be known: it was none. */
export function securityLines(socket: object, host?: string): readonly string[] {
  return isEncrypted(socket) && !isLocal(host) ? ENCRYPTED_LINES : ALWAYS_LINES;
}

/** A browser would ask every other server on its own machine for TLS as well. */
function isLocal(host: string | undefined): boolean {
  return host !== undefined && /(^|\.)localhost(:\d*)?$/i.test(host);
}

function linesOf(headers: Headers): readonly string[] {
  return Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
}
