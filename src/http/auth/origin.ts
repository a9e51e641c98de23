/**
 * May a web page connect? Nothing else keeps a foreign page from using its visitor's network position. A
 * browser names the page in `Origin` with every WebSocket handshake and every request to another origin;
 * programs send none and pass. A request to the page's own origin bears none either, so there the name the
 * browser was led here by, in `Host`, has to tell.
 */
import { isIP } from 'node:net';
import type { HttpConfig } from '../../config.ts';
import type { Problem } from '../problem.ts';

export type OriginPolicy = Pick<HttpConfig, 'allowedOrigins' | 'isReachedByAnyName'> &
  Partial<Pick<HttpConfig, 'tls'>>;

/** What a page is told that may not. */
export const FOREIGN_PAGE: Problem = {
  code: 'forbidden',
  detail: 'pages of this origin may not connect; see ALLOWED_ORIGINS',
};

/**
 * `host` is the request's Host header. With no list, pages on loopback are allowed and pages of the same
 * origin; but a name in Host proves nothing to a server meant for this machine only, since anybody's name can
 * be made to resolve to 127.0.0.1 (DNS rebinding). There it has to be an address.
 */
export function isOriginAllowed(
  origin: string | undefined,
  host: string | undefined,
  { allowedOrigins: allowed, isReachedByAnyName, tls = null }: OriginPolicy,
): boolean {
  if (origin === undefined) return true;
  const url = parseOrigin(origin);
  if (url === null) return false;
  if (allowed.length > 0) return allowed.some((pattern) => matches(url, pattern));
  if (isLoopbackName(url.hostname)) return true;
  // Without TLS here a proxy may have it: then the page's own origin has either scheme.
  if (tls !== null && url.protocol !== 'https:') return false;
  return url.host === host?.toLowerCase() && (isReachedByAnyName || isAddress(url.hostname));
}

/**
 * May a request for this `Host` be answered? By DNS rebinding a page of anybody's name reaches a server meant
 * for this machine only, as its own origin; it cannot do so by an address, by a name of loopback, or by the
 * name of a page that may connect anyway. Every browser sends `Host`.
 */
export function isHostAllowed(host: string | undefined, policy: OriginPolicy): boolean {
  if (host === undefined || policy.isReachedByAnyName) return true;
  const url = parseOrigin(`http://${host}`);
  if (url === null) return false;
  if (isLoopbackName(url.hostname) || isAddress(url.hostname)) return true;
  return policy.allowedOrigins.some((pattern) => namesHost(pattern, url.hostname));
}

function matches(url: URL, pattern: string): boolean {
  if (pattern === '*') return true;
  const { base, isWildcard } = parsePattern(pattern);
  if (base === null) return false;
  if (!isWildcard) return url.origin === base.origin;
  return url.protocol === base.protocol && url.port === base.port && isBelow(url.hostname, base.hostname);
}

/** A proxy may have changed scheme and port on the way. */
function namesHost(pattern: string, hostname: string): boolean {
  if (pattern === '*') return true;
  const { base, isWildcard } = parsePattern(pattern);
  if (base === null) return false;
  return isWildcard ? isBelow(hostname, base.hostname) : hostname === base.hostname;
}

function parsePattern(pattern: string): { readonly base: URL | null; readonly isWildcard: boolean } {
  const wildcard = '://*.';
  return {
    base: parseOrigin(pattern.replace(wildcard, '://')),
    isWildcard: pattern.includes(wildcard),
  };
}

function isBelow(hostname: string, base: string): boolean {
  return hostname.endsWith(`.${base}`);
}

/** Null for what is not an origin, `null` (a sandboxed or local page) included. */
function parseOrigin(text: string): URL | null {
  if (!/^https?:\/\/[^/?#@\\\s]+$/i.test(text)) return null;
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
