/**
 * May a web page of this origin connect? A browser sends `Origin` with every WebSocket handshake, and nothing
 * else keeps a foreign page from using its visitor's network position. Programs send none and pass.
 */

import { isIP } from 'node:net';
import type { HttpConfig } from '../config.ts';

/**
 * `host` is the request's Host header. With no list, pages on loopback are allowed and pages of the same
 * origin; but a name in Host proves nothing to a server meant for this machine only, since anybody's name can
 * be made to resolve to 127.0.0.1 (DNS rebinding). There it has to be an address.
 */
export function isOriginAllowed(
  origin: string | undefined,
  host: string | undefined,
  { allowedOrigins: allowed, allowAnonymous }: Pick<HttpConfig, 'allowedOrigins' | 'allowAnonymous'>,
): boolean {
  if (origin === undefined) return true;
  const url = parseOrigin(origin);
  if (url === null) return false;
  if (allowed.length > 0) return allowed.some((pattern) => matches(url, pattern));
  if (isLoopbackName(url.hostname)) return true;
  return url.host === host?.toLowerCase() && (allowAnonymous || isAddress(url.hostname));
}

function matches(url: URL, pattern: string): boolean {
  if (pattern === '*') return true;
  const wildcard = '://*.';
  const at = pattern.indexOf(wildcard);
  if (at === -1) return url.origin === parseOrigin(pattern)?.origin;
  const base = parseOrigin(`${pattern.slice(0, at)}://${pattern.slice(at + wildcard.length)}`);
  if (base === null) return false;
  return (
    url.protocol === base.protocol && url.port === base.port && url.hostname.endsWith(`.${base.hostname}`)
  );
}

/** Null for what is not an origin, `null` (a sandboxed or local page) included. */
function parseOrigin(text: string): URL | null {
  if (!/^https?:\/\/[^/?#@]+$/i.test(text)) return null;
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

function isAddress(name: string): boolean {
  return isIP(name.replace(/^\[|\]$/g, '')) !== 0;
}

function isLoopbackName(name: string): boolean {
  return (
    name === 'localhost' || name.endsWith('.localhost') || name === '[::1]' || /^127(\.\d+){3}$/.test(name)
  );
}
