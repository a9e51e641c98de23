/** How the values of settings are written: sizes and times with units, ports, origins, URLs with secrets. */

import { isIP } from 'node:net';
import type { AddressRange, Explained, Secret } from './shape.ts';

export const KIB: number = 1024;
export const MIB: number = 1024 * KIB;
export const GIB: number = 1024 * MIB;
const SECOND = 1000;
export const MINUTE: number = 60 * SECOND;
export const HOUR: number = 60 * MINUTE;
export const DAY: number = 24 * HOUR;
/** setTimeout fires at once above 2^31 - 1 ms, so that no timer may be set longer: 24 days. */
export const MAX_TIMER_MS: number = 24 * DAY;

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: KIB,
  mib: MIB,
  gib: GIB,
  tib: 1024 * GIB,
};
const TIME_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  ms: 1,
  s: SECOND,
  m: 60 * SECOND,
  h: 3600 * SECOND,
  d: DAY,
};

const BYTE_NAMES: readonly (readonly [string, number])[] = [
  ['tib', 1024 * GIB],
  ['gib', GIB],
  ['mib', MIB],
  ['kib', KIB],
];
const TIME_NAMES: readonly (readonly [string, number])[] = [
  ['d', DAY],
  ['h', 3600 * SECOND],
  ['m', 60 * SECOND],
  ['s', SECOND],
  ['ms', 1],
];

/** `1.5gib` or `30s` as a number of the smallest unit; NaN when it is neither. */
function parseQuantity(text: string, units: Readonly<Record<string, number>>): number {
  const match = /^([0-9]{1,16}(?:\.[0-9]{1,6})?) ?([a-z]*)$/i.exec(text.trim());
  const unit = match === null ? undefined : units[(match[2] as string).toLowerCase()];
  if (match === null || unit === undefined) return Number.NaN;
  const value = Number(match[1]) * unit;
  // 1.1 s is 1100.0000000000002 ms in binary; a fraction of the smallest unit is a mistake and stays one.
  return unit === 1 ? value : Math.round(value);
}

/** The shortest exact way to write a number of bytes or milliseconds. */
function formatQuantity(value: number, units: readonly (readonly [string, number])[]): string {
  const [name, size] = units.find(([, unit]) => value >= unit && value % unit === 0) ?? ['', 1];
  return `${value / size}${name}`;
}

export function parseCount(text: string): number {
  return /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
}

export function parseBytes(text: string): number {
  return parseQuantity(text, BYTE_UNITS);
}

export function parseTime(text: string): number {
  return parseQuantity(text, TIME_UNITS);
}

/** In ms, as `parseTime` does; a number alone counts seconds. */
export function parseSeconds(text: string): number {
  return parseQuantity(text, { ...TIME_UNITS, '': SECOND });
}

export function formatBytes(value: number): string {
  return formatQuantity(value, BYTE_NAMES);
}

export function formatTime(value: number): string {
  return formatQuantity(value, TIME_NAMES);
}

export function parsePorts(text: string): number[] | null {
  const parts = text.split(',').map((part) => part.trim());
  const valid =
    parts.length <= 8 && parts.every((part) => /^[0-9]{1,5}$/.test(part) && Number(part) <= 65_535);
  return valid ? parts.map(Number) : null;
}

/** `https://Example.com:443` becomes `https://example.com`, as a browser sends it; null when it is no origin. */
function parseOrigin(text: string): string | null {
  const match = /^(https?:\/\/)(\*\.)?([^/?#@*\s]+)$/i.exec(text);
  if (match === null || !URL.canParse(`${match[1]}${match[3]}`)) return null;
  const origin = new URL(`${match[1]}${match[3]}`).origin;
  return match[2] === undefined ? origin : origin.replace('://', '://*.');
}

export function parseOrigins(text: string): string[] | null {
  const parts = text.split(',').map((part) => part.trim());
  const origins = parts.filter((part) => part !== '').map(parseOrigin);
  return origins.every((origin) => origin !== null) ? origins : null;
}

const MIN_SECRET_LENGTH = 32;
const MAX_SECRETS = 10;
const SECRET = /^(?:([A-Za-z0-9_.-]{1,64}):)?(.+)$/;

/** `secret` or `kid:secret`, several with commas between. */
export function parseSecrets(text: string): Explained<readonly Secret[]> {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length > MAX_SECRETS) return { wrong: `there may be ${MAX_SECRETS} at most` };
  const secrets = parts.map((part) => {
    const [, kid, secret] = SECRET.exec(part) as unknown as [string, string | undefined, string];
    return { kid: kid ?? null, secret };
  });
  const isShort = secrets.some(({ secret }) => Buffer.byteLength(secret) < MIN_SECRET_LENGTH);
  return isShort
    ? { wrong: `a secret of less than ${MIN_SECRET_LENGTH} bytes can be guessed` }
    : { ok: secrets };
}

const LOOPBACK: readonly AddressRange[] = [
  { address: '127.0.0.0', prefix: 8 },
  { address: '::1', prefix: 128 },
];

/** Null when one of them is none. */
export function parseAddressRanges(text: string): AddressRange[] | null {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const ranges = parts.map((part) => (part === 'loopback' ? LOOPBACK : rangeOf(part)));
  return ranges.every((range) => range !== null) ? ranges.flat() : null;
}

function rangeOf(text: string): readonly AddressRange[] | null {
  const [address = '', bits, more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more !== undefined) return null;
  const max = version === 4 ? 32 : 128;
  if (bits === undefined) return [{ address, prefix: max }];
  return /^[0-9]{1,3}$/.test(bits) && Number(bits) <= max ? [{ address, prefix: Number(bits) }] : null;
}

const SENTINEL_HOST = '(?:[^@/?#:,\\s\\[\\]]+|\\[[0-9a-f:.]+\\])(?::[0-9]{1,5})?';
const SENTINEL_URL = new RegExp(
  `^rediss?\\+sentinel://(?:([^@/?#\\s]*)@)?${SENTINEL_HOST}(?:,${SENTINEL_HOST})*/([^/?#\\s]+)(?:/[0-9]*)?(\\?[^#\\s]*)?$`,
  'i',
);

/** A Redis URL, that of its sentinels, or the path of its Unix socket: what cannot be misread. */
export function isRedisUrl(text: string): boolean {
  if (/^\/[^/\s]/.test(text)) return true;
  if (/^unix:\/\/[^@/\s]+@\/[^/\s]/i.test(text)) return isEscaped(text);
  const sentinels = SENTINEL_URL.exec(text);
  if (sentinels !== null) return sentinels.slice(1).every((part) => isEscaped(part ?? ''));
  if (!/^rediss?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  return url.hostname !== '' && /^(\/[0-9]*)?$/.test(url.pathname) && isEscaped(url.username + url.password);
}

/** Whether every `%` begins an escape: the client would throw on another. */
function isEscaped(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(host);
}

const SECRET_PARAMETER = /([?&;](?:[a-z_-]*(?:token|password|secret|auth|jwt|key))=)[^&;#\s"]*/gi;

/**
 * `url` without its secrets: the password before the host and query parameters that carry one. Everything up
 * to the last `@` counts, so that a password with an unescaped `/` or `#` does not slip through.
 */
export function redactUrl(url: string): string {
  return url
    .replace(/^([a-z][a-z0-9+.-]*:)?\/\/(.*)@/is, (_, scheme: string | undefined, user: string) => {
      const colon = user.indexOf(':');
      return `${scheme ?? ''}//${colon > 0 ? user.slice(0, colon + 1) : ''}***@`;
    })
    .replace(SECRET_PARAMETER, '$1***');
}

/** A token (a JSON object in base64 begins so, and two more parts follow), or an API key, wherever it stands. */
const CREDENTIAL = /\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*|\brck_[A-Za-z0-9_-]+/g;

/** The same for every URL within a text, and for what is a credential by its looks. */
export function redactText(text: string): string {
  return text
    .replace(/\b((?:rediss?(?:\+sentinel)?|unix|https?|wss?):\/\/)[^\s"]*@/gi, '$1***@')
    .replace(SECRET_PARAMETER, '$1***')
    .replace(CREDENTIAL, '***');
}

/** A value meant to be a URL, but which may be the bare secret. */
export function redactSecret(value: string): string {
  return value.includes('://') ? redactUrl(value) : '***';
}
