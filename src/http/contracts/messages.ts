/**
 * Each message of the WebSocket doors and of the stream of events, for the document of AsyncAPI. The examples are
 * messages as they are sent: test/http/contracts-messages.test.ts has each of those that clients send answered by a
 * server, and compares what that sends with the schemas.
 */
import { CHANNEL_RULE } from '../../channels.ts';
import { errorCode, FLAG, type JsonSchema, members, ref, SCHEMAS, TEXT } from './schemas.ts';

const EPOCH = '32748ae223ff';
const ID = '1795375553319-0';
const CURSOR = `${ID}@${EPOCH}.1`;
const REQUESTED = '1795375550000-0';
const EVENT_STREAM = 'text/event-stream';

const AFTER = { ...ref('Start'), description: 'Absent: latest' };
const SECONDS = { type: 'number', minimum: 0, description: 'Seconds' };

export type MessageName =
  | 'rawEntry'
  | 'publish'
  | 'auth'
  | 'hello'
  | 'ack'
  | 'authenticated'
  | 'publishError'
  | 'subscribe'
  | 'unsubscribe'
  | 'subscribed'
  | 'messages'
  | 'gap'
  | 'cursor'
  | 'unsubscribed'
  | 'subscribeError'
  | 'textEvent'
  | 'binaryEvent'
  | 'gapEvent'
  | 'positionEvent';

interface Message {
  readonly name: string;
  readonly title: string;
  readonly summary?: string;
  readonly contentType: string;
  readonly payload: JsonSchema;
  readonly examples: readonly { readonly name?: string; readonly payload: unknown }[];
}

const ERROR_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  code: errorCode(),
  message: { ...TEXT, description: 'What is wrong, for a person' },
  retry: { ...FLAG, description: 'Whether to try again' },
  retryAfter: SECONDS,
  ref: ref('Ref'),
  channel: TEXT,
};
const MAYBE = ['retryAfter', 'ref', 'channel'];

export const MESSAGES: Readonly<Record<MessageName, Message>> = {
  rawEntry: {
    name: 'entry',
    title: 'One entry, as it is',
    summary: 'A text message is a text (or JSON) entry, a binary message a binary one.',
    contentType: 'text/plain',
    payload: { type: 'string', description: 'Any text, or any bytes' },
    examples: [{ payload: 'kick-off' }],
  },
  publish: frame(
    'publish',
    'Publish an entry',
    {
      channel: { ...ref('ChannelName'), description: 'Absent: that of the URL' },
      ...(propertiesOf(SCHEMAS.NewEntry) as Record<string, JsonSchema>),
      ref: ref('Ref'),
    },
    {
      optional: ['channel', 'data', 'data64', 'key', 'ref'],
      more: eitherOf(SCHEMAS.NewEntry),
      examples: [
        { channel: 'scores', data: 'kick-off', ref: 1 },
        { channel: 'scores', data: { home: 1, away: 0 }, key: 'goal-17', ref: 2 },
        { channel: 'scores', data64: 'AQID', ref: 'three' },
      ],
    },
  ),
  auth: frame(
    'auth',
    'A new token in place of the one the connection came with',
    { token: { ...TEXT, minLength: 1 }, ref: ref('Ref') },
    { optional: ['ref'], examples: [{ token: 'eyJhbGciOiJIUzI1NiJ9…', ref: 4 }] },
  ),
  hello: frame(
    'hello',
    'The first message of a connection',
    {
      server: TEXT,
      heartbeat: { ...SECONDS, description: 'How long the server is silent at most, in seconds' },
      channels: { type: 'integer', minimum: 1, description: 'Of a subscriber: how many it may follow' },
      keys: { ...SECONDS, description: 'Of a publisher: for how many seconds keys are remembered' },
    },
    {
      optional: ['channels', 'keys'],
      examples: [
        { server: 'rivercast/0.1.0', heartbeat: 25, keys: 600 },
        { server: 'rivercast/0.1.0', heartbeat: 25, channels: 100 },
      ],
    },
  ),
  ack: frame(
    'ack',
    'It is stored, under this id',
    { ref: ref('Ref'), ...(propertiesOf(SCHEMAS.Stored) as Record<string, JsonSchema>) },
    { optional: ['ref'], examples: [{ ref: 1, id: ID, duplicate: false }] },
  ),
  authenticated: frame(
    'authenticated',
    'The new token counts',
    {
      subject: { type: ['string', 'null'] },
      expires: { type: ['number', 'null'], description: 'In seconds since 1970; null: never' },
      ref: ref('Ref'),
    },
    { optional: ['ref'], examples: [{ subject: 'ada', expires: 1795379153, ref: 4 }] },
  ),
  publishError: frame('error', 'It is not known to be stored; the connection goes on', ERROR_MEMBERS, {
    optional: MAYBE,
    examples: [
      {
        code: 'bad_channel',
        message: `channel must be ${CHANNEL_RULE}`,
        retry: false,
        ref: 5,
      },
    ],
  }),
  subscribe: frame(
    'subscribe',
    'Follow a channel',
    {
      channel: ref('ChannelName'),
      after: AFTER,
      on_gap: { type: 'string', enum: ['fail', 'skip'], default: 'skip' },
      ref: ref('Ref'),
    },
    {
      optional: ['after', 'on_gap', 'ref'],
      examples: [{ channel: 'scores', after: 'last:10', on_gap: 'skip', ref: 1 }],
    },
  ),
  unsubscribe: frame(
    'unsubscribe',
    'Follow a channel no more',
    { channel: ref('ChannelName'), ref: ref('Ref') },
    { optional: ['ref'], examples: [{ channel: 'scores', ref: 2 }] },
  ),
  subscribed: frame(
    'subscribed',
    'A channel is followed; then come its gap, if it met one, and its messages in order',
    {
      channel: ref('ChannelName'),
      epoch: ref('Epoch'),
      cursor: { ...ref('Cursor'), description: 'Where it stands, before any gap' },
      tip: { ...ref('EntryId'), description: 'The last id that the server knows of' },
      ref: ref('Ref'),
    },
    {
      optional: ['ref'],
      examples: [{ channel: 'scores', epoch: EPOCH, cursor: `0-0@${EPOCH}.0`, tip: ID, ref: 1 }],
    },
  ),
  messages: frame(
    'messages',
    'Entries of a channel, at most 100 and 32 KiB unless one is larger',
    {
      channel: ref('ChannelName'),
      epoch: ref('Epoch'),
      messages: { type: 'array', items: ref('Message'), minItems: 1, maxItems: 100 },
    },
    { examples: [{ channel: 'scores', epoch: EPOCH, messages: [{ id: ID, data: 'kick-off' }] }] },
  ),
  gap: frame(
    'gap',
    'Entries after a cursor are gone; delivery goes on behind them',
    { channel: ref('ChannelName'), ...(propertiesOf(SCHEMAS.Gap) as Record<string, JsonSchema>) },
    {
      examples: [
        {
          channel: 'scores',
          epoch: EPOCH,
          requested: REQUESTED,
          floor: ID,
          lost: null,
          reason: 'trimmed',
          cursor: `0-0@${EPOCH}.0`,
        },
      ],
    },
  ),
  cursor: frame(
    'cursor',
    'A heartbeat: the channel was sent nothing for a while and stands here',
    { channel: ref('ChannelName'), cursor: ref('Cursor') },
    { examples: [{ channel: 'scores', cursor: CURSOR }] },
  ),
  unsubscribed: frame(
    'unsubscribed',
    'Nothing more of the channel follows',
    { channel: ref('ChannelName'), cursor: { ...ref('Cursor'), description: 'Resumes it' }, ref: ref('Ref') },
    { optional: ['ref'], examples: [{ channel: 'scores', cursor: CURSOR, ref: 2 }] },
  ),
  subscribeError: frame(
    'error',
    'It was not done; the connection goes on',
    { ...ERROR_MEMBERS, cursor: { ...ref('Cursor'), description: 'Where to go on, when it is a gap' } },
    {
      optional: [...MAYBE, 'cursor'],
      examples: [
        {
          code: 'bad_request',
          message: 'type must be subscribe, unsubscribe or auth',
          retry: false,
          ref: 3,
        },
      ],
    },
  ),
  textEvent: event('message', 'A text or JSON entry; with format=v1 a Message', TEXT, 'kick-off'),
  binaryEvent: event('binary', 'A binary entry', { type: 'string', contentEncoding: 'base64' }, 'AQID'),
  gapEvent: event(
    'gap',
    'Entries are gone; delivery goes on behind them',
    { type: 'string', contentMediaType: 'application/json', contentSchema: ref('Gap') },
    `{"epoch":"${EPOCH}","requested":"${REQUESTED}","floor":"${ID}","lost":null,"reason":"trimmed","cursor":"${CURSOR}"}`,
  ),
  positionEvent: {
    name: 'position',
    title: 'An id without data: where the stream stands. At its start, and as a heartbeat',
    contentType: EVENT_STREAM,
    payload: members({ id: ref('Cursor') }),
    examples: [{ payload: { id: CURSOR } }],
  },
};

function frame(
  type: string,
  title: string,
  properties: Readonly<Record<string, JsonSchema>>,
  rest: {
    /** The members that may be absent. */
    readonly optional?: string[];
    readonly more?: JsonSchema;
    readonly examples: readonly object[];
  },
): Message {
  const { optional = [], more = {}, examples } = rest;
  return {
    name: type,
    title,
    contentType: 'application/json',
    payload: { ...members({ type: { const: type }, ...properties }, optional), ...more },
    examples: examples.map((example) => ({ payload: { type, ...example } })),
  };
}

/** Told as its fields, which is what a reader of events has. */
function event(name: string, title: string, data: JsonSchema, example: string): Message {
  const payload = members({ event: { const: name }, id: ref('Cursor'), data });
  return {
    name,
    title,
    contentType: EVENT_STREAM,
    payload,
    examples: [{ payload: { event: name, id: CURSOR, data: example } }],
  };
}

function propertiesOf(schema: JsonSchema): unknown {
  return schema['properties'];
}

function eitherOf(schema: JsonSchema): JsonSchema {
  return { oneOf: schema['oneOf'] };
}
