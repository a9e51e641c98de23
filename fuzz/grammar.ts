/** Requests and frames by their grammar, with values from the corpus; what is asked for is mostly right. */
import { createHmac } from 'node:crypto';
import type { Random } from '../chaos/random.ts';
import { OPCODE } from '../test/support/raw-socket.ts';
import {
  CHANNELS,
  CONTENT_TYPES,
  EXTENSIONS,
  GAPS,
  HEADERS,
  JSON_TEXTS,
  KEYS,
  LIMITS,
  ODD_CHANNELS,
  ORDERS,
  ORIGINS,
  OWN_CHANNELS,
  POSITIONS,
  PROTOCOLS,
  TEXTS,
} from './corpus.ts';
import { mutate, mutateText } from './mutate.ts';

export const SECRET = 'the-secret-of-the-fuzz-run-of-32-characters';
const PUBLISH_PATH = '/ws/manager';
const SUBSCRIBE_PATH = '/ws/broadcast';

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: readonly (readonly [name: string, value: string])[];
  readonly headers: readonly string[];
  readonly body: Buffer;
}

const NO_BODY = Buffer.alloc(0);
const UPGRADE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

/** A JWT that the server under test takes, unless `claims` are of yesterday. */
export function tokenOf(claims: object, alg = 'HS256'): string {
  const [head, body] = [{ alg, typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  ) as [string, string];
  return `${head}.${body}.${createHmac('sha256', SECRET).update(`${head}.${body}`).digest('base64url')}`;
}

const GOOD = tokenOf({ sub: 'fuzz', publish: OWN_CHANNELS, subscribe: ['*'], admin: OWN_CHANNELS });
/** For what only operators may see; it can not be used to remove what is beside. */
const OPERATOR = tokenOf({ sub: 'operator', admin: ['*'] });
const OPERATORS_PATHS: readonly string[] = ['/metrics', '/api/stats', '/api/subscribers'];
const BAD = [
  tokenOf({ sub: 'fuzz', publish: ['*'] }, 'none'),
  tokenOf({ sub: 'fuzz', publish: ['*'], exp: 1 }),
  tokenOf({ sub: 'fuzz', publish: ['*'], nbf: 1e12 }),
  tokenOf({ sub: {}, publish: '*' }),
  tokenOf({ sub: 'fuzz', publish: ['fuzz:**'], exp: 'soon' }),
  `${GOOD.slice(0, -2)}AA`,
  '..',
  'a.b.c',
  'rc_',
  'rc_00000000000000000000000000000000',
  'x'.repeat(9000),
];

function token(random: Random): string {
  if (random.chance(0.9)) return GOOD;
  return random.chance(0.5) ? random.pick(BAD) : mutateText(random, GOOD, random.pick(BAD));
}

function channel(random: Random): string {
  return random.chance(0.85) ? random.pick(CHANNELS) : random.pick(ODD_CHANNELS);
}

export function position(random: Random): string {
  const one = random.pick(POSITIONS);
  return random.chance(0.3) ? mutateText(random, one, random.pick(POSITIONS)) : one;
}

/** Shows a token in one of the three places there are, or none. */
function withToken(random: Random, request: Request): Request {
  const where = random.between(0, 20);
  const shown = token(random);
  if (where === 0) return request;
  if (where < 4) return { ...request, query: [...request.query, ['token', shown]] };
  return { ...request, headers: [...request.headers, `Authorization: Bearer ${shown}`] };
}

function query(random: Random, names: readonly string[]): [string, string][] {
  const values: Readonly<Record<string, () => string>> = {
    channel: () => channel(random),
    after: () => position(random),
    before: () => position(random),
    limit: () => random.pick(LIMITS),
    on_gap: () => random.pick(GAPS),
    order: () => random.pick(ORDERS),
  };
  const given = names.filter(() => random.chance(0.5));
  if (given.length > 0 && random.chance(0.05)) given.push(random.pick(given));
  return given.map((name) => [name, values[name]?.() ?? '']);
}

export type DoorKind = 'publish' | 'subscribe';

/** A handshake that is accepted, if its token is. */
export function handshake(random: Random, door: DoorKind, isV1: boolean): Request {
  const protocol = isV1 ? ['Sec-WebSocket-Protocol: rivercast.v1'] : [];
  const deflate = random.chance(0.2) ? ['Sec-WebSocket-Extensions: permessage-deflate'] : [];
  return {
    method: 'GET',
    path: door === 'publish' ? PUBLISH_PATH : SUBSCRIBE_PATH,
    query: [['channel', random.pick(CHANNELS)]],
    headers: [...UPGRADE, ...protocol, ...deflate, `Authorization: Bearer ${GOOD}`],
    body: NO_BODY,
  };
}

/** A handshake with anything in it. */
export function oddHandshake(random: Random): Request {
  const door = random.chance(0.5) ? PUBLISH_PATH : SUBSCRIBE_PATH;
  const headers = [
    ...UPGRADE,
    ...(random.chance(0.5) ? [`Sec-WebSocket-Protocol: ${random.pick(PROTOCOLS)}`] : []),
    ...(random.chance(0.3) ? [`Sec-WebSocket-Protocol: access_token.${token(random)}`] : []),
    ...(random.chance(0.3) ? [`Sec-WebSocket-Extensions: ${random.pick(EXTENSIONS)}`] : []),
    ...(random.chance(0.3) ? [`Origin: ${random.pick(ORIGINS)}`] : []),
    ...(random.chance(0.2) ? [random.pick(HEADERS)] : []),
  ];
  const kept = random.chance(0.2) ? headers.filter(() => random.chance(0.8)) : headers;
  const asked = query(random, ['channel', 'after', 'on_gap']);
  return withToken(random, { method: 'GET', path: door, query: asked, headers: kept, body: NO_BODY });
}

/** A question over HTTP: a history, the bounds of a channel, a stream of events, a trim. */
export function question(random: Random): Request {
  const name = encodeURIComponent(channel(random));
  const [method, path, names] = random.pick([
    ['GET', '/sse', ['channel', 'after', 'on_gap']],
    ['GET', '/sse', ['channel', 'after', 'on_gap']],
    ['GET', `/api/channels/${name}/messages`, ['after', 'before', 'limit', 'on_gap']],
    ['GET', `/api/channels/${name}/messages`, ['after', 'before', 'limit', 'on_gap']],
    ['GET', `/api/channels/${name}`, ['after']],
    ['GET', '/api/channels', ['after', 'limit']],
    ['DELETE', `/api/channels/${name}/messages`, ['before', 'after']],
    ['OPTIONS', `/api/channels/${name}/messages`, []],
    ['GET', '/readyz', []],
    ['GET', '/metrics', []],
    ['GET', '/api/stats', []],
    ['GET', '/api/subscribers', ['channel', 'limit', 'order']],
    ['GET', `/${name}`, []],
  ] as const);
  const headers = [
    ...(random.chance(0.3) ? [`Last-Event-ID: ${position(random)}`] : []),
    ...(random.chance(0.2) ? [`Origin: ${random.pick(ORIGINS)}`] : []),
    ...(random.chance(0.2) ? [random.pick(HEADERS)] : []),
  ];
  const request = { method, path, query: query(random, names), headers, body: NO_BODY };
  if (!OPERATORS_PATHS.includes(path) || random.chance(0.2)) return withToken(random, request);
  return { ...request, headers: [...headers, `Authorization: Bearer ${OPERATOR}`] };
}

export function json(random: Random): string {
  const text = random.pick(JSON_TEXTS);
  return random.chance(0.3) ? mutateText(random, text, random.pick(JSON_TEXTS)) : text;
}

/** A post of one message or of lines, its body announced rightly, or not. */
export function post(random: Random): Request {
  const type = random.pick(CONTENT_TYPES);
  const headers = [
    ...(random.chance(0.9) ? [`Content-Type: ${type}`] : []),
    ...(random.chance(0.3) ? [`Idempotency-Key: ${random.pick(KEYS)}`] : []),
    ...(random.chance(0.1) ? [random.pick(HEADERS)] : []),
  ];
  const whole = bodyOf(random, type);
  const body = random.chance(0.25) ? mutate(random, whole) : whole;
  const path = `/api/channels/${encodeURIComponent(channel(random))}/messages`;
  const framed = random.chance(0.4) ? chunked(random, body) : measured(random, body);
  const request = {
    method: 'POST',
    path,
    query: [],
    headers: [...headers, framed.header],
    body: framed.body,
  };
  return withToken(random, request);
}

function bodyOf(random: Random, type: string): Buffer {
  if (type.startsWith('application/json')) return Buffer.from(json(random));
  if (type !== 'application/x-ndjson') return Buffer.from(random.pick(TEXTS));
  const lines = Array.from({ length: random.between(0, 20) }, () =>
    random.chance(0.7)
      ? `{"data":${random.pick(['1', '"x"', '{"a":1}'])},"key":"${random.between(0, 9)}"}`
      : json(random),
  );
  return Buffer.from(lines.join(random.pick(['\n', '\n', '\r\n', '\n\n'])));
}

interface Framed {
  readonly header: string;
  readonly body: Buffer;
}

function measured(random: Random, body: Buffer): Framed {
  const length = random.chance(0.85) ? body.length : body.length + random.between(-10, 10);
  return { header: `Content-Length: ${length}`, body };
}

function chunked(random: Random, body: Buffer): Framed {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const size = Math.min(body.length - at, random.between(1, Math.max(1, body.length)));
    const said = random.chance(0.95)
      ? size.toString(16)
      : random.pick(['-1', 'ffffffffffffffff', '', 'g', '0x5']);
    const extension = random.chance(0.05) ? `;${'e'.repeat(random.between(1, 20_000))}` : '';
    parts.push(Buffer.from(`${said}${extension}\r\n`), body.subarray(at, at + size), Buffer.from('\r\n'));
    at += size;
  }
  if (random.chance(0.95))
    parts.push(Buffer.from(random.chance(0.9) ? '0\r\n\r\n' : '0\r\nX-Trailer: 1\r\n\r\n'));
  return { header: 'Transfer-Encoding: chunked', body: Buffer.concat(parts) };
}

/** As it goes over the wire. */
export function written(random: Random, { method, path, query: asked, headers, body }: Request): Buffer {
  const parameters = asked.map(([name, value]) => `${name}=${inUrl(random, value)}`).join('&');
  const target = parameters === '' ? path : `${path}?${parameters}`;
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: 127.0.0.1', ...headers];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body]);
}

/** Mostly encoded: as it is, most of what is odd is refused with the request line. */
function inUrl(random: Random, value: string): string {
  return random.chance(0.95) ? encodeURIComponent(value) : value;
}

const OPCODES = Object.values(OPCODE);

/** A frame of a client, its header mostly right. */
export function frame(random: Random, opcode: number, payload: Buffer): Buffer {
  const fin = random.chance(0.9) ? 0x80 : 0;
  const rsv = random.chance(0.97) ? 0 : random.between(1, 7) << 4;
  const mask = random.chance(0.98) ? Buffer.from([1, 2, 3, 4].map(() => random.between(0, 255))) : null;
  const announced = random.chance(0.98)
    ? payload.length
    : random.pick([0, 125, 126, 65_536, 2 ** 31, 2 ** 53]);
  const length = lengthOf(announced, random.chance(0.03));
  length[0] = (length[0] as number) | (mask === null ? 0 : 0x80);
  const data =
    mask === null ? payload : Buffer.from(payload.map((byte, i) => byte ^ (mask[i & 3] as number)));
  return Buffer.concat([Buffer.from([fin | rsv | opcode]), length, mask ?? NO_BODY, data]);
}

/** Any frame that a raw client may think of. */
export function oddFrame(random: Random): Buffer {
  const opcode = random.chance(0.95) ? random.pick(OPCODES) : random.between(0, 15);
  return frame(
    random,
    opcode,
    random.chance(0.8) ? payloadFor(random, opcode) : Buffer.from(random.pick(TEXTS)),
  );
}

function payloadFor(random: Random, opcode: number): Buffer {
  if (opcode === OPCODE.close) {
    const code = random.pick([1000, 1001, 1005, 1006, 3000, 4999, 5000, 0, random.between(0, 65_535)]);
    const reason = Buffer.from(random.pick(['', 'bye', 'ü', 'r'.repeat(123), 'r'.repeat(124)]));
    return Buffer.concat([Buffer.from([code >> 8, code & 255]), reason]);
  }
  if (opcode > OPCODE.binary) return Buffer.from(random.pick(TEXTS)).subarray(0, 125);
  const text = Buffer.from(random.pick(TEXTS));
  return random.chance(0.1) ? mutate(random, text) : text;
}

function lengthOf(length: number, isLong: boolean): Buffer {
  if (length < 126 && !isLong) return Buffer.from([length]);
  const bytes = Buffer.alloc(length < 65_536 && !isLong ? 3 : 9);
  bytes[0] = bytes.length === 3 ? 126 : 127;
  if (bytes.length === 3) bytes.writeUInt16BE(length, 1);
  else bytes.writeBigUInt64BE(BigInt(length), 1);
  return bytes;
}
