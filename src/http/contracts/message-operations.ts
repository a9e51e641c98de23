/** The rows of the table (operations.ts) for what is published, read and followed. */
import {
  AFTER,
  CHANNEL_QUERY,
  EVENTS_TYPE,
  JSON_TYPE,
  json,
  LINES_TYPE,
  limit,
  lines,
  type Operation,
  onGap,
  PROBLEM_TYPE,
} from './operation.ts';
import { members, ref, TEXT } from './schemas.ts';

const MESSAGES = '/api/channels/:channel/messages';
const SCORES = '/api/channels/scores/messages';
const EPOCH = '32748ae223ff';

export const PUBLISHING: readonly Operation[] = [
  {
    method: 'POST',
    path: MESSAGES,
    id: 'publish',
    group: 'Messages',
    summary: 'Publish a message, or many',
    description:
      'Answered once it is stored. The type of the content says what is stored: text (or none), JSON (byte for byte), or binary. Many at once as lines of JSON (application/x-ndjson): each is stored, or refused, by itself.',
    half: 'manager',
    permission: 'publish',
    headers: [
      {
        name: 'Idempotency-Key',
        schema: { type: 'string', minLength: 1, maxLength: 128 },
        description:
          'Makes it safe to send the request again. Not of a batch: there each line has its own key',
      },
    ],
    body: {
      description: 'The message, or a batch of them',
      content: {
        'text/plain': TEXT,
        [JSON_TYPE]: { description: 'Any JSON' },
        'application/octet-stream': { description: 'Any bytes' },
        [LINES_TYPE]: lines('A message a line', ref('NewEntry')),
      },
    },
    answers: [
      json(201, 'Stored', 'It is stored'),
      {
        status: 200,
        description: 'Of a batch: a line for each of its lines, in their order',
        content: { [LINES_TYPE]: lines('An answer a line', ref('Stored'), ref('Failed')) },
      },
    ],
    refusals: [
      'bad_request',
      'bad_channel',
      'too_large',
      'unsupported_content',
      'rate_limited',
      'limit_reached',
      'overloaded',
      'log_unavailable',
      'not_replicated',
      'not_synced',
      'draining',
    ],
    examples: [
      {
        name: 'text',
        path: SCORES,
        body: 'kick-off',
        headers: { 'Content-Type': 'text/plain' },
        status: 201,
        type: JSON_TYPE,
        answer: { id: '1795375553319-0', duplicate: false },
      },
      {
        name: 'JSON, with a key',
        path: SCORES,
        body: '{"home": 1, "away": 0}',
        headers: { 'Content-Type': JSON_TYPE, 'Idempotency-Key': 'goal-17' },
        status: 201,
        type: JSON_TYPE,
        answer: { id: '1795375553320-0', duplicate: false },
      },
      {
        name: 'a batch',
        path: SCORES,
        body: '{"data":"half-time","key":"half-time"}\n{"data64":"AQID"}\n{"data":\n',
        headers: { 'Content-Type': LINES_TYPE },
        status: 200,
        type: LINES_TYPE,
        answer: [
          { id: '1795375553321-0', duplicate: false },
          { id: '1795375553322-0', duplicate: false },
          {
            error: {
              code: 'bad_request',
              message: 'a line must be one JSON object in UTF-8',
              retry: false,
            },
          },
        ],
      },
      {
        name: 'a second time',
        path: SCORES,
        body: '{"home": 1, "away": 0}',
        headers: { 'Content-Type': JSON_TYPE, 'Idempotency-Key': 'goal-17' },
        status: 201,
        type: JSON_TYPE,
        answer: { id: '1795375553320-0', duplicate: true },
      },
      {
        name: 'not in UTF-8',
        path: SCORES,
        body: 'kick-off',
        headers: { 'Content-Type': 'text/plain; charset=iso-8859-1' },
        status: 415,
        type: PROBLEM_TYPE,
        answer: {
          type: 'about:blank',
          title: 'This kind of content is not understood',
          status: 415,
          code: 'unsupported_content',
          detail: 'text and JSON must be in UTF-8',
        },
      },
    ],
  },
];

export const READING: readonly Operation[] = [
  {
    method: 'GET',
    path: MESSAGES,
    id: 'readHistory',
    group: 'Messages',
    summary: 'What a channel holds, page by page',
    description:
      'Without after: the newest. Forwards: after=<cursor> of each page until it is empty and without a gap. Backwards: before=<id of its first message>. With Accept: application/x-ndjson a message is a line, and the last line says where to go on.',
    half: 'broadcaster',
    permission: 'subscribe',
    query: [
      AFTER,
      { name: 'before', schema: ref('Start'), description: 'Where to end: what lies before this place' },
      { ...limit(1_000_000, 100), description: 'How many at most; of a page (not of lines) 1,000 at most' },
      onGap('skip', 'skip: tell what is gone and go on. fail: refuse'),
    ],
    headers: [
      { name: 'Accept', schema: TEXT, description: `${JSON_TYPE} for a page, ${LINES_TYPE} for lines` },
      { name: 'If-None-Match', schema: TEXT, description: 'The ETag of the copy there is' },
    ],
    answers: [
      {
        status: 200,
        description: 'The messages, oldest first',
        content: {
          [JSON_TYPE]: ref('Page'),
          [LINES_TYPE]: lines(
            'A message or a gap a line; the last one says where to go on',
            ref('Message'),
            members({ gap: ref('Gap') }),
            members({ cursor: ref('Cursor'), tip: ref('EntryId') }),
          ),
        },
        headers: { ETag: 'Changes with the answer', 'Cache-Control': 'How long the answer may be kept' },
      },
      { status: 304, description: 'The copy there is (If-None-Match) is the answer' },
    ],
    refusals: [
      'bad_request',
      'bad_channel',
      'bad_cursor',
      'gap',
      'limit_reached',
      'log_unavailable',
      'draining',
    ],
    examples: [
      {
        name: 'from the beginning',
        path: `${SCORES}?after=earliest&limit=2`,
        status: 200,
        type: JSON_TYPE,
        answer: {
          channel: 'scores',
          epoch: EPOCH,
          messages: [
            { id: '1795375553319-0', data: 'kick-off' },
            { id: '1795375553320-0', data: { home: 1, away: 0 } },
          ],
          cursor: `1795375553320-0@${EPOCH}.2`,
          tip: '1795375553322-0',
          gap: null,
        },
      },
      {
        name: 'as lines',
        path: `${SCORES}?after=last:2`,
        headers: { Accept: LINES_TYPE },
        status: 200,
        type: LINES_TYPE,
        answer: [
          { id: '1795375553321-0', data: 'half-time' },
          { id: '1795375553322-0', data64: 'AQID' },
          { cursor: `1795375553322-0@${EPOCH}.4`, tip: '1795375553322-0' },
        ],
      },
      {
        name: 'a malformed place',
        path: `${SCORES}?after=yesterday`,
        status: 400,
        type: PROBLEM_TYPE,
        answer: null,
      },
    ],
  },
  {
    method: 'GET',
    path: '/sse',
    id: 'followAsEvents',
    group: 'Messages',
    summary: 'Follow a channel as server-sent events',
    description:
      'For EventSource and curl -N. The id of each event is a cursor: a browser resumes by itself. Gaps are events. What passes by itself (the log is down, the server stops) is answered 200 with a retry: line, since a browser gives up for good on anything else.',
    half: 'broadcaster',
    permission: 'subscribe',
    query: [
      CHANNEL_QUERY,
      AFTER,
      onGap('skip', 'skip: tell what is gone and go on. fail: refuse'),
      {
        name: 'format',
        schema: { type: 'string', enum: ['v1'] },
        description: 'v1: the data of each event is a message as JSON, which tells text from JSON',
      },
    ],
    headers: [
      { name: 'Last-Event-ID', schema: ref('Cursor'), description: 'As browsers send it; wins over after' },
    ],
    answers: [
      {
        status: 200,
        description: 'Events until the connection ends',
        content: { [EVENTS_TYPE]: { type: 'string', description: 'See the document of AsyncAPI' } },
      },
    ],
    refusals: ['bad_request', 'bad_channel', 'bad_cursor', 'gap', 'limit_reached'],
    examples: [
      {
        name: 'from the beginning',
        path: '/sse?channel=scores&after=earliest',
        status: 200,
        type: EVENTS_TYPE,
        answer: null,
      },
    ],
  },
];
