/**
 * The document of AsyncAPI 3: what goes over WebSockets, in the raw form and in rivercast.v1, and over a stream of
 * events. It is told from the side of the server: it receives what clients send. The messages are in messages.ts.
 */
import { CLOSE } from '../../protocol/close.ts';
import { V1_PROTOCOL } from '../../protocol/v1.ts';
import { VERSION } from '../../version.ts';
import { MESSAGES, type MessageName } from './messages.ts';
import type { Half } from './operation.ts';
import { type JsonSchema, members, ref, SCHEMAS, TEXT } from './schemas.ts';

interface Door {
  readonly address: string;
  readonly title: string;
  readonly description: string;
  readonly half: Half;
  readonly protocol: typeof V1_PROTOCOL | null;
  readonly query: JsonSchema;
  /** What clients send. */
  readonly received: readonly MessageName[];
  /** What clients are sent. */
  readonly sent: readonly MessageName[];
  readonly closes: readonly (keyof typeof CLOSE)[];
}

const CHANNEL = { ...ref('ChannelName'), description: 'Absent: the default channel (STREAM)' };
const TOKEN = { ...TEXT, description: 'A token or an API key, where no header can be set' };
const FORMAT = { type: 'string', enum: ['v1'], description: 'v1: the data of each event is a Message' };
const FOLLOWING = { after: ref('Start'), on_gap: { type: 'string', enum: ['fail', 'skip'] }, token: TOKEN };
const PUBLISHER_CLOSES = [
  ...(['protocolError', 'unsupported', 'invalidPayload', 'policyViolation', 'tooLarge', 'internal'] as const),
  ...(['draining', 'tryAgainLater', 'badRequest', 'unauthenticated', 'forbidden', 'limitReached'] as const),
];
const SUBSCRIBER_CLOSES = [...PUBLISHER_CLOSES, ...(['tooSlow', 'gap'] as const)];

export const DOORS: Readonly<Record<string, Door>> = {
  publishRaw: {
    address: '/ws/manager',
    title: 'Publish, raw',
    description: 'Each message of the WebSocket is one entry; nothing is sent back.',
    half: 'manager',
    protocol: null,
    query: optional({ channel: CHANNEL, token: TOKEN }),
    received: ['rawEntry'],
    sent: [],
    closes: PUBLISHER_CLOSES,
  },
  publishV1: {
    address: '/ws/manager',
    title: 'Publish, acknowledged',
    description: 'Each publish is answered once it is stored, in the order of asking.',
    half: 'manager',
    protocol: V1_PROTOCOL,
    query: optional({ channel: CHANNEL, token: TOKEN }),
    received: ['publish', 'auth'],
    sent: ['hello', 'ack', 'authenticated', 'publishError'],
    closes: PUBLISHER_CLOSES,
  },
  followRaw: {
    address: '/ws/broadcast',
    title: 'Follow one channel, raw',
    description:
      'Each entry is one message of the WebSocket with the same bytes. /ws/broadcaster is the same. Every close by the server has the reason cursor=<cursor>.',
    half: 'broadcaster',
    protocol: null,
    query: optional({ channel: CHANNEL, ...FOLLOWING }),
    received: [],
    sent: ['rawEntry'],
    closes: SUBSCRIBER_CLOSES,
  },
  followV1: {
    address: '/ws/broadcast',
    title: 'Follow several channels',
    description:
      'channel may be repeated, or be empty: none yet. Gaps are told as they are; each channel has a cursor of its own.',
    half: 'broadcaster',
    protocol: V1_PROTOCOL,
    query: optional({ channel: { type: 'array', items: CHANNEL }, ...FOLLOWING }),
    received: ['subscribe', 'unsubscribe', 'auth'],
    sent: [
      ...(['hello', 'subscribed', 'messages', 'gap', 'cursor'] as const),
      ...(['unsubscribed', 'authenticated', 'subscribeError'] as const),
    ],
    closes: SUBSCRIBER_CLOSES,
  },
  followEvents: {
    address: '/sse',
    title: 'Follow one channel as server-sent events',
    description: 'The id of each event is a cursor; Last-Event-ID resumes, and wins over after.',
    half: 'broadcaster',
    protocol: null,
    query: optional({ channel: CHANNEL, ...FOLLOWING, format: FORMAT }),
    received: [],
    sent: ['textEvent', 'binaryEvent', 'gapEvent', 'positionEvent'],
    closes: [],
  },
};

/** An ask, and what answers it. */
const REPLIES: Readonly<Partial<Record<MessageName, readonly MessageName[]>>> = {
  publish: ['ack', 'publishError'],
  subscribe: ['subscribed', 'subscribeError'],
  unsubscribe: ['unsubscribed', 'subscribeError'],
};

const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'Authorization: Bearer <token>',
  },
  query: { type: 'httpApiKey', in: 'query', name: 'token', description: 'For EventSource' },
  subprotocol: {
    type: 'httpApiKey',
    in: 'header',
    name: 'Sec-WebSocket-Protocol',
    description: 'access_token.<token> beside the others, for browsers; never echoed',
  },
};

/** `origin` of the server; `halves` that this process has. */
export function asyncApiDocument(origin: string, halves: readonly Half[]): JsonSchema {
  const { protocol, host, pathname } = new URL(origin);
  const place = { host, ...(pathname === '/' ? {} : { pathname }) };
  const isSecure = protocol === 'https:';
  const doors = Object.entries(DOORS).filter(([, { half }]) => halves.includes(half));
  const security = Object.keys(SECURITY_SCHEMES).map((name) => ({
    $ref: `#/components/securitySchemes/${name}`,
  }));
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Rivercast',
      version: VERSION,
      description:
        'Durable real-time broadcast over WebSockets and server-sent events. What is asked for over HTTP is in /api/openapi.json. Unknown members and types are to be ignored.',
      license: { name: 'MIT' },
      tags: [{ name: 'Rivercast' }],
    },
    defaultContentType: 'application/json',
    servers: {
      sockets: { ...place, protocol: isSecure ? 'wss' : 'ws', description: 'WebSockets', security },
      events: { ...place, protocol: isSecure ? 'https' : 'http', description: 'Events', security },
    },
    channels: Object.fromEntries(doors.map(([name, door]) => [name, channelOf(door)])),
    operations: Object.fromEntries(doors.flatMap(([name, door]) => operationsOf(name, door))),
    components: { messages: MESSAGES, schemas: SCHEMAS, securitySchemes: SECURITY_SCHEMES },
  };
}

function channelOf({ address, title, description, protocol, query, ...door }: Door): JsonSchema {
  const isStream = address === '/sse';
  const names = [...door.received, ...door.sent];
  const headers = protocol === null ? {} : { headers: headersWith(protocol) };
  return {
    address,
    title,
    description,
    servers: [{ $ref: `#/servers/${isStream ? 'events' : 'sockets'}` }],
    messages: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/messages/${name}` }])),
    ...(isStream ? {} : { bindings: { ws: { method: 'GET', query, ...headers, bindingVersion: '0.1.0' } } }),
    ...(isStream ? { 'x-query': query } : { 'x-close-codes': closeCodes(door.closes) }),
  };
}

function headersWith(protocol: string): JsonSchema {
  return members({ 'Sec-WebSocket-Protocol': { ...TEXT, description: `${protocol}, among others` } });
}

function closeCodes(closes: Door['closes']): Readonly<Record<string, string>> {
  return Object.fromEntries(closes.map((name) => [CLOSE[name], name]));
}

function operationsOf(name: string, { address, title, received, sent }: Door): [string, JsonSchema][] {
  const channel = { $ref: `#/channels/${name}` };
  const messagesOf = (names: readonly MessageName[]): JsonSchema[] =>
    names.map((message) => ({ $ref: `#/channels/${name}/messages/${message}` }));
  const bindings =
    address === '/sse' ? { bindings: { http: { method: 'GET', bindingVersion: '0.3.0' } } } : {};
  const asks = received.map((ask): [string, JsonSchema] => {
    const replies = REPLIES[ask];
    const reply = replies === undefined ? {} : { reply: { channel, messages: messagesOf(replies) } };
    const summary = `${title}: ${ask}`;
    return [`${name}.${ask}`, { action: 'receive', channel, summary, messages: messagesOf([ask]), ...reply }];
  });
  if (sent.length === 0) return asks;
  const told = { action: 'send', channel, summary: title, messages: messagesOf(sent), ...bindings };
  return [...asks, [`${name}.sent`, told]];
}

function optional(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return members(properties, Object.keys(properties));
}
