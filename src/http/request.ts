/** What a request asks for, at any door: pure reading of its URL and headers, every one of them hostile. */
import type { IncomingMessage } from 'node:http';
import { CHANNEL_RULE, isChannelName } from '../channels.ts';
import { type ErrorCode, RivercastError } from '../errors.ts';
import { parseStart, START_FORMS, type Start } from '../protocol/start.ts';
import { V1_PROTOCOL } from '../protocol/v1.ts';

const RAW_PROTOCOL = 'rivercast.raw';
/** The first of these that a client offers is spoken. */
const PROTOCOLS = [V1_PROTOCOL, RAW_PROTOCOL];
export const TOKEN_PREFIX = 'access_token.';
const DEFAULT_LIMIT = 100;
const LIMIT_PATTERN = /^[1-9][0-9]{0,6}$/;

export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
}

export type Asked<T> = { readonly ok: T } | { readonly refused: Refusal };

/** What was asked for, or its refusal as an error to throw. */
export function want<T>(asked: Asked<T>): T {
  if ('ok' in asked) return asked.ok;
  throw new RivercastError(asked.refused.code, asked.refused.detail);
}

export interface Target {
  readonly path: string;
  readonly query: URLSearchParams;
}

/** What a whole URI begins with, which a target may be (RFC 9112 3.2.2). */
const ORIGIN_PATTERN = /^https?:\/\/[^/?#]*/i;

/** The request's target without the origin that may stand in front of it. */
export function pathAndQueryOf({ url = '/' }: Pick<IncomingMessage, 'url'>): string {
  return url.replace(ORIGIN_PATTERN, '');
}

/** The request's target, cut at the question mark; a target that is no path is found at no door. */
export function targetOf(request: IncomingMessage): Target {
  const url = pathAndQueryOf(request);
  const mark = url.indexOf('?');
  if (mark === -1) return { path: url, query: new URLSearchParams() };
  return { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}

export function channelOf(query: URLSearchParams, defaultChannel: string): Asked<string> {
  const names = query.getAll('channel');
  if (names.length === 0) return { ok: defaultChannel };
  const [name] = names as [string];
  if (names.length > 1) return refuse('bad_channel', 'one channel only: channel= is given more than once');
  if (isChannelName(name)) return { ok: name };
  return refuse('bad_channel', `channel= must be ${CHANNEL_RULE}`);
}

/** The channels of a connection that can follow several; none for `channel=` with nothing behind it. */
export function channelsOf(
  query: URLSearchParams,
  defaultChannel: string,
  maxChannels: number,
): Asked<readonly string[]> {
  const names = query.getAll('channel');
  if (names.length === 0) return { ok: [defaultChannel] };
  if (names.length === 1 && names[0] === '') return { ok: [] };
  if (!names.every(isChannelName)) {
    return refuse('bad_channel', `each channel= must be ${CHANNEL_RULE}`);
  }
  if (new Set(names).size < names.length) return refuse('bad_channel', 'the same channel= is given twice');
  if (names.length > maxChannels) {
    return refuse('bad_request', `one connection follows ${maxChannels} channels at most`);
  }
  return { ok: names };
}

/** The channel in a path, which the router has decoded. */
export function pathChannelOf(name: string): Asked<string> {
  if (isChannelName(name)) return { ok: name };
  return refuse('bad_channel', `a channel is ${CHANNEL_RULE}`);
}

/** Where to start. */
export function startOf(query: URLSearchParams, nowMs: number): Asked<Start> {
  const after = placeOf(query, 'after', nowMs);
  return 'refused' in after ? after : { ok: after.ok ?? { at: 'latest' } };
}

/** Null: it is not given. */
export function placeOf(
  query: URLSearchParams,
  name: 'after' | 'before',
  nowMs: number,
): Asked<Start | null> {
  const values = query.getAll(name);
  if (values.length === 0) return { ok: null };
  const start = values.length === 1 ? parseStart(values[0] as string, nowMs) : null;
  if (start !== null) return { ok: start };
  return refuse('bad_cursor', `${name}= must be one of: ${START_FORMS}`);
}

/** How many a page may hold; `rule` says in words what is allowed. */
export function limitOf(
  query: URLSearchParams,
  { max, rule }: { readonly max: number; readonly rule: string },
): Asked<number> {
  const values = query.getAll('limit');
  if (values.length === 0) return { ok: DEFAULT_LIMIT };
  const limit = values.length === 1 && LIMIT_PATTERN.test(values[0] as string) ? Number(values[0]) : 0;
  return limit >= 1 && limit <= max ? { ok: limit } : refuse('bad_request', `limit= must be ${rule}`);
}

export function onGapOf(query: URLSearchParams, absent: 'fail' | 'skip'): Asked<'fail' | 'skip'> {
  const values = query.getAll('on_gap');
  if (values.length === 0) return { ok: absent };
  const [value] = values;
  if (values.length === 1 && (value === 'fail' || value === 'skip')) return { ok: value };
  return refuse('bad_request', 'on_gap= must be fail or skip');
}

/** The subprotocol to answer with: null for none. An offer of only unknown ones is refused. */
export function protocolOf(header: string | undefined): Asked<string | null> {
  if (header === undefined) return { ok: null };
  const offered = header.split(',').map((name) => name.trim());
  const spoken = PROTOCOLS.find((protocol) => offered.includes(protocol));
  if (spoken !== undefined) return { ok: spoken };
  const unknown = offered.filter((name) => !name.startsWith(TOKEN_PREFIX));
  if (unknown.length === 0) return { ok: null };
  return refuse('bad_request', `none of the offered subprotocols is known; known: ${PROTOCOLS.join(', ')}`);
}

/**
 * The subprotocol to let a browser in with when it is only to be told by the close: one that it offered, since
 * it would drop the connection otherwise, but never a token.
 */
export function offeredProtocolOf(header: string | undefined): string | null {
  const offered = header?.split(',').map((name) => name.trim()) ?? [];
  return offered.find((name) => !name.startsWith(TOKEN_PREFIX)) ?? null;
}

/** An `Asked` that asks nothing that is done. */
export function refuse(code: ErrorCode, detail: string): { readonly refused: Refusal } {
  return { refused: { code, detail } };
}
