/**
 * What goes over the wire as JSON, in JSON Schema: once, for the documents of HTTP (openapi.ts) and of WebSockets
 * (asyncapi.ts). Both have it at the same place, so a reference is the same in both. Members may be added later;
 * readers are to ignore those they do not know.
 */
import { CHANNEL_PATTERN, MAX_CHANNEL_LENGTH } from '../../channels.ts';
import { ROLES } from '../../config.ts';
import { ERRORS } from '../../errors.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

export function ref(name: SchemaName): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
const NUMBER: JsonSchema = { type: 'number', minimum: 0 };
export const TEXT: JsonSchema = { type: 'string' };
export const FLAG: JsonSchema = { type: 'boolean' };

/** An object all of whose members are there, but for those named. */
export function members(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: string[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, ...(required.length === 0 ? {} : { required }) };
}

function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items };
}

function counts(description: string): JsonSchema {
  return { type: 'object', additionalProperties: NUMBER, description };
}

const SPREAD: JsonSchema = {
  ...list(members({ upTo: { type: ['number', 'null'] }, subscriptions: COUNT })),
  description: 'Subscriptions by how far they are behind: at most so much; null: the rest',
};

const TIMES: JsonSchema = {
  ...list(members({ upTo: { type: ['number', 'null'] }, times: COUNT })),
  description: 'How often it took at most so many seconds, since the start; null: longer',
};

const GAP_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  floor: { ...orNull('EntryId'), description: 'The first id still kept; null: nothing is' },
  lost: {
    type: ['integer', 'null'],
    minimum: 0,
    description: 'How many entries are missing; null: not known',
  },
  reason: {
    type: 'string',
    enum: ['trimmed', 'reset', 'deleted', 'damaged'],
    description:
      'trimmed: by retention. reset: the history was replaced. deleted: by somebody, on purpose. damaged: on disk',
  },
  cursor: { ...ref('Cursor'), description: 'Where to go on' },
};

const ENTRY: Readonly<Record<string, JsonSchema>> = {
  data: { description: 'A string: a text entry. Any other JSON: a JSON entry' },
  data64: { type: 'string', contentEncoding: 'base64', description: 'A binary entry' },
};
const EITHER: JsonSchema = { oneOf: [{ required: ['data'] }, { required: ['data64'] }] };
const KEY: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 128,
  description: 'Known for IDEMPOTENCY_WINDOW_MS: the same key stores nothing a second time',
};

const CHANNEL_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  channel: ref('ChannelName'),
  epoch: ref('Epoch'),
  floor: { ...orNull('EntryId'), description: 'The first id kept; null: none is' },
  tip: { ...ref('EntryId'), description: 'The last id ever given' },
  length: { ...COUNT, description: 'How many entries are kept' },
  subscribers: { ...COUNT, description: 'How many follow it in this process' },
};

const STATS_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  version: TEXT,
  role: { type: 'string', enum: ROLES },
  store: { type: 'string', enum: ['embedded', 'redis', 'memory'] },
  startedAt: { type: 'string', format: 'date-time' },
  uptimeSeconds: COUNT,
  ready: FLAG,
  log: members({
    up: FLAG,
    since: { type: 'string', format: 'date-time', description: 'When that was found first' },
    trouble: {
      type: ['string', 'null'],
      description: 'What is wrong, or was the last time that something was; null: nothing since the start',
    },
    durability: {
      type: ['string', 'null'],
      enum: ['memory', 'replicated', 'fsync', null],
      description: 'What an acknowledgement means in Redis; null: the log is elsewhere',
    },
  }),
  perSecond: counts('Over the last windowSeconds'),
  connections: members({
    sockets: COUNT,
    kinds: list(members({ role: TEXT, format: TEXT, channelClass: TEXT, count: COUNT })),
  }),
  lag: nullable({
    worstEntries: NUMBER,
    worstSeconds: NUMBER,
    entries: SPREAD,
    seconds: SPREAD,
    trimEdge: members({ worstRatio: NUMBER, near: COUNT }),
  }),
  seconds: nullable({ append: TIMES, delivery: TIMES }),
  manager: {
    type: ['object', 'null'],
    description: 'What was taken in; null: nothing is, by ROLE. Counters since the start',
  },
  broadcaster: {
    type: ['object', 'null'],
    description: 'What was delivered; null: nothing is, by ROLE. Counters since the start',
  },
  boundBytes: counts('What the settings allow, by what it bounds'),
  refusals: { type: 'array', description: 'Counters by door and code' },
  closes: list(members({ code: TEXT, count: COUNT })),
  limits: counts('How often each limit was crossed'),
  incompleteBytes: { ...COUNT, description: 'Of messages and bodies that are not whole yet' },
  process: {
    ...members({
      id: { ...TEXT, description: 'Another for each process, and for each start: counters go on within one' },
      residentBytes: COUNT,
      heapUsedBytes: COUNT,
      heapTotalBytes: COUNT,
      externalBytes: COUNT,
      cpuSeconds: NUMBER,
      openFds: { type: ['integer', 'null'] },
      maxFds: { type: ['integer', 'null'] },
      loopDelayMaxMs: { type: ['integer', 'null'] },
    }),
    description: 'Memory, CPU, descriptors, and how late the event loop was',
  },
};

const LISTED_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  id: { ...COUNT, description: 'Of this process, from 1 on' },
  format: TEXT,
  address: { type: ['string', 'null'] },
  subject: { type: ['string', 'null'], description: 'Whom its token names' },
  since: { type: 'string', format: 'date-time' },
  stalledMs: { ...NUMBER, description: 'For how long its socket has taken nothing' },
  channels: list(
    members({
      channel: ref('ChannelName'),
      cursor: ref('Cursor'),
      lagEntries: { type: ['integer', 'null'] },
      lagMs: NUMBER,
      inMemory: FLAG,
    }),
  ),
};

export type SchemaName =
  | 'ChannelName'
  | 'EntryId'
  | 'Cursor'
  | 'Epoch'
  | 'Start'
  | 'Ref'
  | 'Message'
  | 'NewEntry'
  | 'Gap'
  | 'Page'
  | 'Stored'
  | 'Failed'
  | 'Channel'
  | 'ChannelList'
  | 'Removed'
  | 'Problem'
  | 'Verdict'
  | 'Stats'
  | 'Subscribers';

export const SCHEMAS: Readonly<Record<SchemaName, JsonSchema>> = {
  ChannelName: {
    type: 'string',
    pattern: CHANNEL_PATTERN.source,
    maxLength: MAX_CHANNEL_LENGTH,
    description: 'A channel comes into being with its first entry',
    examples: ['scores'],
  },
  EntryId: {
    type: 'string',
    pattern: '^\\d{1,20}-\\d{1,20}$',
    description: '<milliseconds>-<sequence>; within a channel ids strictly rise',
    examples: ['1795375553319-0'],
  },
  Cursor: {
    type: 'string',
    minLength: 1,
    maxLength: 80,
    description: 'A place in a channel. Do not take it apart; an id is one too',
    examples: ['1795375553319-0@32748ae223ff.1'],
  },
  Epoch: {
    type: ['string', 'null'],
    description: 'Which history of the channel it is; null: nobody has published yet',
    examples: ['32748ae223ff'],
  },
  Start: {
    type: 'string',
    minLength: 1,
    description:
      'latest, earliest, last:N, a time (2026-11-22T10:00:00Z, 2026-11-22), how long ago (-30s, -5m, -2h, -1d, -500ms), or a cursor',
    examples: ['last:10'],
  },
  Ref: { type: ['string', 'number'], maxLength: 128, description: 'Given back, to know the answer by' },
  Message: { ...members({ id: ref('EntryId'), ...ENTRY }, ['data', 'data64']), ...EITHER },
  NewEntry: { ...members({ ...ENTRY, key: KEY }, ['data', 'data64', 'key']), ...EITHER },
  Gap: members({ epoch: ref('Epoch'), requested: ref('Cursor'), ...GAP_MEMBERS }),
  Page: members({
    channel: ref('ChannelName'),
    epoch: ref('Epoch'),
    messages: { ...list(ref('Message')), description: 'Oldest first' },
    cursor: { ...ref('Cursor'), description: 'Behind the last of them' },
    tip: { ...ref('EntryId'), description: 'The last id ever given in the channel; 0-0: none' },
    gap: orNull('Gap'),
  }),
  Stored: members({
    id: ref('EntryId'),
    duplicate: { ...FLAG, description: 'An entry with this key was stored before: this is its id' },
  }),
  Failed: members({
    error: members(
      { code: errorCode(), message: TEXT, retry: FLAG, retryAfter: { ...NUMBER, description: 'Seconds' } },
      ['retryAfter'],
    ),
  }),
  Channel: members(CHANNEL_MEMBERS),
  ChannelList: members({
    channels: list(ref('Channel')),
    cursor: { anyOf: [ref('ChannelName'), { type: 'null' }], description: 'The after of the next page' },
  }),
  Removed: members({ removed: COUNT, floor: orNull('EntryId'), tip: ref('EntryId') }),
  Problem: {
    ...members(
      {
        type: { const: 'about:blank' },
        title: TEXT,
        status: { type: 'integer' },
        code: errorCode(),
        detail: { ...TEXT, description: 'What is wrong, for a person' },
        ...GAP_MEMBERS,
      },
      Object.keys(GAP_MEMBERS),
    ),
    description: 'RFC 9457. reason, lost, floor and cursor are there when the code is gap',
  },
  Verdict: members(
    {
      status: { type: 'string', enum: ['ready', 'unavailable'] },
      reason: TEXT,
      checks: members({ append: TEXT, delivery: TEXT, draining: FLAG }, ['append', 'delivery']),
    },
    ['reason'],
  ),
  Stats: {
    ...members(STATS_MEMBERS),
    description: 'The numbers of the process; null: not known, or not done here',
  },
  Subscribers: members({
    order: { type: 'string', enum: ['lag', 'stalled', 'since'] },
    subscribers: list(members(LISTED_MEMBERS)),
  }),
};

export function errorCode(): JsonSchema {
  return { type: 'string', enum: Object.keys(ERRORS) };
}

function nullable(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { ...members(properties), type: ['object', 'null'] };
}

function orNull(name: SchemaName): JsonSchema {
  return { anyOf: [ref(name), { type: 'null' }] };
}
