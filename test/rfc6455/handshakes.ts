/**
 * Sections 4.1, 4.2, 4.4 and 9.1, as data: requests for an upgrade, whole as they go over the wire, and what must be
 * answered. The same at each door.
 */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
/** Section 1.3 works it out. */
const ACCEPT = 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

/** The lines of a header by its name; null: it is not sent. */
type Headers = Readonly<Record<string, string | readonly string[] | null>>;

export interface HandshakeCase {
  /** Begins with the section of RFC 6455. */
  readonly name: string;
  readonly request: (path: string) => string;
  readonly status: number;
  /** Lines that the head of the answer must have, in any case of letters. */
  readonly has?: readonly string[];
  /** What must not be in the head of the answer. */
  readonly hasNot?: readonly string[];
}

const GOOD: Headers = {
  Host: '127.0.0.1',
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Key': KEY,
  'Sec-WebSocket-Version': '13',
};

interface Line {
  readonly method?: string;
  readonly http?: string;
  readonly target?: (path: string) => string;
}

function asked(changed: Headers, line: Line = {}): (path: string) => string {
  const { method = 'GET', http = 'HTTP/1.1', target = (path) => path } = line;
  const lines = Object.entries({ ...GOOD, ...changed }).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((each) => `${name}: ${each}`),
  );
  return (path) => [`${method} ${target(path)} ${http}`, ...lines, '', ''].join('\r\n');
}

const accepted = { status: 101, has: ['Upgrade: websocket', 'Connection: Upgrade', ACCEPT] } as const;

const right: readonly HandshakeCase[] = [
  {
    name: '4.2.2 what is asked for rightly is accepted, with the key of the example answered as there',
    request: asked({}),
    ...accepted,
    hasNot: ['sec-websocket-protocol', 'sec-websocket-extensions', 'content-length', 'transfer-encoding'],
  },
  { name: '4.2.1 Upgrade in capitals', request: asked({ Upgrade: 'WebSocket' }), ...accepted },
  { name: '4.2.1 Connection in small letters', request: asked({ Connection: 'upgrade' }), ...accepted },
  {
    name: '4.2.1 Connection with other tokens, as Firefox sends it',
    request: asked({ Connection: 'keep-alive, Upgrade' }),
    ...accepted,
  },
  {
    name: '4.2.1 Connection on two lines',
    request: asked({ Connection: ['keep-alive', 'Upgrade'] }),
    ...accepted,
  },
  {
    name: '4.2.1 names of headers in small letters',
    request: (path) =>
      `GET ${path} HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: ${KEY}\r\nsec-websocket-version: 13\r\n\r\n`,
    ...accepted,
  },
  {
    name: '4.2.1 spaces around what headers say',
    request: asked({
      Upgrade: '  websocket  ',
      'Sec-WebSocket-Key': `  ${KEY}\t`,
      'Sec-WebSocket-Version': ' 13 ',
    }),
    ...accepted,
  },
  {
    name: '4.2.1 headers that mean nothing here',
    request: asked({ 'User-Agent': 'x', Cookie: 'a=b', 'X-Empty': '', Pragma: 'no-cache' }),
    ...accepted,
  },
  {
    name: '4.2.1 the target as a whole URI',
    request: asked({}, { target: (path) => `http://127.0.0.1${path}` }),
    ...accepted,
  },
  {
    name: '4.2.1 a query behind the target',
    request: asked({}, { target: (path) => `${path}?channel=a&channelx=%20&=&&` }),
    ...accepted,
  },
];

const wrong: readonly HandshakeCase[] = [
  { name: '4.2.1 the method POST', request: asked({}, { method: 'POST' }), status: 400 },
  { name: '4.2.1 the method PUT', request: asked({}, { method: 'PUT' }), status: 400 },
  { name: '4.2.1 the method HEAD', request: asked({}, { method: 'HEAD' }), status: 400 },
  { name: '4.2.1 a method that is none', request: asked({}, { method: 'GETT' }), status: 400 },
  { name: '4.2.1 HTTP/1.0', request: asked({}, { http: 'HTTP/1.0' }), status: 400 },
  { name: '4.2.1 HTTP/2.0', request: asked({}, { http: 'HTTP/2.0' }), status: 400 },
  { name: '4.2.1 HTTP/0.9', request: asked({}, { http: 'HTTP/0.9' }), status: 400 },
  { name: '4.2.1 no version of HTTP', request: asked({}, { http: '' }), status: 400 },
  { name: '4.2.1 no Host', request: asked({ Host: null }), status: 400 },
  { name: '4.2.1 two Hosts', request: asked({ Host: ['a', 'b'] }), status: 400 },
  { name: '4.2.1 no Upgrade', request: asked({ Upgrade: null }), status: 426, has: ['Upgrade: websocket'] },
  {
    name: '4.2.1 an empty Upgrade',
    request: asked({ Upgrade: '' }),
    status: 426,
    has: ['Upgrade: websocket'],
  },
  { name: '4.2.1 an Upgrade to something else', request: asked({ Upgrade: 'h2c' }), status: 426 },
  { name: '4.2.1 an Upgrade to almost that', request: asked({ Upgrade: 'websockets' }), status: 426 },
  { name: '4.2.1 no Connection', request: asked({ Connection: null }), status: 426 },
  { name: '4.2.1 a Connection without Upgrade', request: asked({ Connection: 'keep-alive' }), status: 426 },
  { name: '4.2.1 no key', request: asked({ 'Sec-WebSocket-Key': null }), status: 400 },
  { name: '4.2.1 an empty key', request: asked({ 'Sec-WebSocket-Key': '' }), status: 400 },
  {
    name: '4.2.1 a key of 15 bytes',
    request: asked({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA' }),
    status: 400,
  },
  {
    name: '4.2.1 a key of 17 bytes',
    request: asked({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAA=' }),
    status: 400,
  },
  {
    name: '4.2.1 a key that is no base64',
    request: asked({ 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }),
    status: 400,
  },
  {
    name: '4.2.1 a key without its padding',
    request: asked({ 'Sec-WebSocket-Key': KEY.slice(0, -2) }),
    status: 400,
  },
  { name: '4.2.1 a key of 8 KiB', request: asked({ 'Sec-WebSocket-Key': 'A'.repeat(8192) }), status: 400 },
  { name: '4.2.1 the key twice', request: asked({ 'Sec-WebSocket-Key': [KEY, KEY] }), status: 400 },
  ...['7', '8', '12', '14', '99', '0', '-13', '013', '13.0', '1e1', 'thirteen', '', '13, 8'].map(
    (version): HandshakeCase => ({
      name: `4.4 the version "${version}"`,
      request: asked({ 'Sec-WebSocket-Version': version }),
      status: 426,
      has: ['Sec-WebSocket-Version: 13'],
    }),
  ),
  {
    name: '4.4 no version',
    request: asked({ 'Sec-WebSocket-Version': null }),
    status: 426,
    has: ['Sec-WebSocket-Version: 13'],
  },
  {
    name: '4.4 the version on two lines',
    request: asked({ 'Sec-WebSocket-Version': ['13', '13'] }),
    status: 426,
    has: ['Sec-WebSocket-Version: 13'],
  },
  { name: '4.2.1 a space in a name', request: asked({ 'Sec-WebSocket Key': 'x' }), status: 400 },
  { name: '4.2.1 a NUL in what a header says', request: asked({ 'X-Nul': 'a\0b' }), status: 400 },
  { name: '4.2.1 a line that is folded', request: asked({ 'X-Folded': 'a\r\n b' }), status: 400 },
  {
    name: '4.2.1 a target without a slash',
    request: asked({}, { target: (path) => path.slice(1) }),
    status: 400,
  },
  {
    name: '4.2.1 a target that is no door',
    request: asked({}, { target: (path) => `${path}/x` }),
    status: 404,
  },
  {
    name: '4.2.1 a target in another case',
    request: asked({}, { target: (path) => path.toUpperCase() }),
    status: 404,
  },
  { name: '4.2.1 a target with dots', request: asked({}, { target: (path) => `/x/..${path}` }), status: 404 },
  {
    name: '4.2.1 a target that is encoded',
    request: asked({}, { target: (path) => path.replace('w', '%77') }),
    status: 404,
  },
];

const protocols: readonly HandshakeCase[] = [
  ...(
    [
      ['rivercast.raw', 'rivercast.raw'],
      ['rivercast.v1', 'rivercast.v1'],
      ['rivercast.raw, rivercast.v1', 'rivercast.v1'],
      ['mqtt, rivercast.raw', 'rivercast.raw'],
      ['mqtt ,\trivercast.raw , graphql-ws', 'rivercast.raw'],
      [['mqtt', 'rivercast.v1'], 'rivercast.v1'],
      [['mqtt, rivercast.raw', 'stomp'], 'rivercast.raw'],
      ['access_token.abc, rivercast.v1', 'rivercast.v1'],
      ['__proto__, constructor, rivercast.raw', 'rivercast.raw'],
    ] as const
  ).map(
    ([offered, chosen]): HandshakeCase => ({
      name: `4.2.2 of ${JSON.stringify(offered)} ${chosen} is chosen`,
      request: asked({ 'Sec-WebSocket-Protocol': offered }),
      status: 101,
      has: [...accepted.has, `Sec-WebSocket-Protocol: ${chosen}`],
      hasNot: ['access_token'],
    }),
  ),
  ...[
    'mqtt',
    'Rivercast.V1',
    '__proto__, constructor',
    'rivercast.raw, rivercast.raw',
    'rivercast.raw,',
    ', rivercast.raw',
    'rivercast.raw rivercast.v1',
    'rivercast.raw; q=1',
    '"rivercast.raw"',
    '',
  ].map(
    (offered): HandshakeCase => ({
      name: `4.1 the subprotocols ${JSON.stringify(offered)} are refused`,
      request: asked({ 'Sec-WebSocket-Protocol': offered }),
      status: 400,
    }),
  ),
  {
    name: '4.2.2 a token alone is not echoed',
    request: asked({ 'Sec-WebSocket-Protocol': 'access_token.abc' }),
    ...accepted,
    hasNot: ['sec-websocket-protocol', 'access_token'],
  },
  {
    name: '4.1 a subprotocol of 15 KiB is refused',
    request: asked({ 'Sec-WebSocket-Protocol': `a${' '.repeat(15_000)}b` }),
    status: 400,
  },
];

/** An extension that is not understood, or not offered as it can be agreed to, is not used. */
const extensions: readonly HandshakeCase[] = [
  'x-webkit-deflate-frame',
  'permessage-bzip2; a="b"',
  'constructor, __proto__, toString; hasOwnProperty=1',
  'permessage-deflate; server_max_window_bits=8',
  'permessage-deflate; unknown',
  'permessage-deflate; client_max_window_bits=7',
  'permessage-deflate; client_max_window_bits=16',
  'permessage-deflate; client_max_window_bits; client_max_window_bits',
  'permessage-deflate; server_no_context_takeover=true',
  ';',
  ',',
  '=',
  'permessage-deflate;',
  'permessage-deflate; =',
  'a; b="unended',
  '',
].map((offered) => ({
  name: `9.1 of the extensions ${JSON.stringify(offered)} none is used`,
  request: asked({ 'Sec-WebSocket-Extensions': offered }),
  ...accepted,
  hasNot: ['sec-websocket-extensions'],
}));

export const HANDSHAKES: readonly HandshakeCase[] = [...right, ...wrong, ...protocols, ...extensions];
