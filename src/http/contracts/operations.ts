/**
 * What can be asked for over HTTP: a table that the documents are made of. It has no part in answering; that each
 * route of a running server has a row here, and each row tells the truth, is held by test/http/contracts.test.ts.
 */
import { ROLES } from '../../config.ts';
import { PUBLISHING, READING } from './message-operations.ts';
import {
  AFTER,
  CHANNEL_QUERY,
  JSON_TYPE,
  json,
  limit,
  type Operation,
  onGap,
  PROBLEM_TYPE,
} from './operation.ts';
import { members, ref, TEXT } from './schemas.ts';

const MESSAGES = '/api/channels/:channel/messages';
const SCORES = '/api/channels/scores/messages';
const EPOCH = '32748ae223ff';
const CHANNEL = {
  channel: 'scores',
  epoch: EPOCH,
  floor: '1795375553319-0',
  tip: '1795375553322-0',
  length: 4,
  subscribers: 0,
};

const CHANNELS: readonly Operation[] = [
  {
    method: 'GET',
    path: '/api/channels',
    id: 'listChannels',
    group: 'Channels',
    summary: 'All channels, page by page',
    permission: 'subscribe',
    query: [
      { name: 'after', schema: ref('ChannelName'), description: 'The channels behind this name' },
      limit(1000, 100),
    ],
    answers: [json(200, 'ChannelList', 'Those that one may subscribe to, by their names')],
    refusals: ['bad_request', 'bad_channel', 'log_unavailable', 'draining'],
    examples: [
      {
        name: 'all',
        path: '/api/channels?limit=10',
        status: 200,
        type: JSON_TYPE,
        answer: { channels: [CHANNEL], cursor: null },
      },
    ],
  },
  {
    method: 'GET',
    path: '/api/channels/:channel',
    id: 'readChannel',
    group: 'Channels',
    summary: 'What a channel holds, and how many follow it',
    permission: 'subscribe',
    answers: [json(200, 'Channel', 'Its bounds; asking creates nothing')],
    refusals: ['bad_channel', 'log_unavailable', 'draining'],
    examples: [
      { name: 'a channel', path: '/api/channels/scores', status: 200, type: JSON_TYPE, answer: CHANNEL },
      {
        name: 'one that nobody wrote to',
        path: '/api/channels/empty',
        status: 200,
        type: JSON_TYPE,
        answer: { channel: 'empty', epoch: null, floor: null, tip: '0-0', length: 0, subscribers: 0 },
      },
    ],
  },
  {
    method: 'DELETE',
    path: MESSAGES,
    id: 'removeMessages',
    group: 'Messages',
    summary: 'Remove what lies before a place',
    half: 'manager',
    permission: 'admin',
    query: [
      {
        name: 'before',
        schema: ref('Start'),
        description: 'Exclusive: the entry of an id stays; latest removes all there is',
        required: true,
      },
    ],
    answers: [json(200, 'Removed', 'How many were removed, and what is left')],
    refusals: ['bad_request', 'bad_channel', 'bad_cursor', 'log_unavailable', 'draining'],
    examples: [
      {
        name: 'all but the newest',
        path: `${SCORES}?before=last:1`,
        status: 200,
        type: JSON_TYPE,
        answer: { removed: 3, floor: '1795375553322-0', tip: '1795375553322-0' },
      },
    ],
  },
];

const RUNNING: readonly Operation[] = [
  {
    method: 'GET',
    path: '/healthz',
    id: 'health',
    group: 'Operations',
    summary: 'Whether the process lives',
    permission: null,
    answers: [
      {
        status: 200,
        description: 'It does',
        content: { [JSON_TYPE]: members({ status: { const: 'ok' } }) },
      },
    ],
    refusals: [],
    examples: [{ name: 'alive', path: '/healthz', status: 200, type: JSON_TYPE, answer: { status: 'ok' } }],
  },
  {
    method: 'GET',
    path: '/readyz',
    id: 'readiness',
    group: 'Operations',
    summary: 'Whether clients should be sent here',
    permission: null,
    answers: [
      json(200, 'Verdict', 'Messages are stored and delivered, as far as it is for this process'),
      json(503, 'Verdict', 'They are not, or it is stopping'),
    ],
    refusals: [],
    examples: [
      {
        name: 'ready',
        path: '/readyz',
        status: 200,
        type: JSON_TYPE,
        answer: { status: 'ready', checks: { append: 'ok', delivery: 'ok', draining: false } },
      },
    ],
  },
  {
    method: 'GET',
    path: '/metrics',
    id: 'metrics',
    group: 'Operations',
    summary: 'The numbers for Prometheus',
    permission: 'admin',
    answers: [{ status: 200, description: 'In its text format', content: { 'text/plain': TEXT } }],
    refusals: [],
    examples: [{ name: 'numbers', path: '/metrics', status: 200, type: 'text/plain', answer: null }],
  },
  {
    method: 'GET',
    path: '/api/stats',
    id: 'stats',
    group: 'Operations',
    summary: 'The numbers for people',
    permission: 'admin',
    answers: [json(200, 'Stats', 'At this moment')],
    refusals: [],
    examples: [{ name: 'numbers', path: '/api/stats', status: 200, type: JSON_TYPE, answer: null }],
  },
  {
    method: 'GET',
    path: '/api/subscribers',
    id: 'listSubscribers',
    group: 'Operations',
    summary: 'Who is connected, the worst first',
    half: 'broadcaster',
    permission: 'admin',
    query: [
      {
        name: 'order',
        schema: { type: 'string', enum: ['lag', 'stalled', 'since'], default: 'lag' },
        description: 'The furthest behind, the longest stalled, or the oldest first',
      },
      limit(1000, 100),
    ],
    answers: [json(200, 'Subscribers', 'The first of them')],
    refusals: ['bad_request'],
    examples: [
      {
        name: 'by lag',
        path: '/api/subscribers?order=lag&limit=10',
        status: 200,
        type: JSON_TYPE,
        answer: { order: 'lag', subscribers: [] },
      },
    ],
  },
];

const DOORS: readonly Operation[] = [
  door('/ws/manager', 'publishOnWebSocket', 'Publish over a WebSocket', 'manager'),
  door('/ws/broadcast', 'followOnWebSocket', 'Follow channels over a WebSocket', 'broadcaster'),
  door('/ws/broadcaster', 'followOnWebSocketToo', 'The same as /ws/broadcast', 'broadcaster'),
];

function door(path: string, id: string, summary: string, half: 'manager' | 'broadcaster'): Operation {
  const isPublisher = half === 'manager';
  return {
    method: 'GET',
    path,
    id,
    group: 'WebSockets',
    summary,
    description:
      'The messages are in the document of AsyncAPI. Refused as here; a browser is let in and told by the close.',
    half,
    permission: isPublisher ? 'publish' : 'subscribe',
    query: isPublisher
      ? [CHANNEL_QUERY]
      : [CHANNEL_QUERY, AFTER, onGap('fail', 'Entries after a cursor are gone: refuse, or go on (v1: skip)')],
    headers: [
      {
        name: 'Sec-WebSocket-Protocol',
        schema: TEXT,
        description: 'rivercast.v1, rivercast.raw or none; and access_token.<token>',
      },
    ],
    answers: [{ status: 101, description: 'The connection is a WebSocket' }],
    refusals: isPublisher
      ? ['bad_request', 'bad_channel', 'upgrade_required', 'limit_reached', 'draining']
      : ['bad_request', 'bad_channel', 'bad_cursor', 'gap', 'upgrade_required', 'limit_reached', 'draining'],
    examples: [
      {
        name: 'without an upgrade',
        path,
        status: 426,
        type: PROBLEM_TYPE,
        answer: {
          type: 'about:blank',
          title: 'A WebSocket is expected here',
          status: 426,
          code: 'upgrade_required',
          detail: `open ws://…${path} with a WebSocket client`,
        },
      },
    ],
  };
}

const CONTRACTS: readonly Operation[] = [
  contract('openapi', 'readOpenApi', 'This document: what can be asked for over HTTP, in OpenAPI 3.1'),
  contract('asyncapi', 'readAsyncApi', 'The messages on WebSockets and as events, in AsyncAPI 3'),
  contract('postman', 'readPostman', 'The requests as a collection for Postman, format 2.1'),
];

function contract(name: string, id: string, summary: string): Operation {
  return {
    method: 'GET',
    path: `/api/${name}.json`,
    id,
    group: 'Contracts',
    summary,
    permission: null,
    query: [
      {
        name: 'role',
        schema: { type: 'string', enum: ROLES },
        description: 'What a process of this role does; absent: what this one does',
      },
    ],
    answers: [{ status: 200, description: 'The document', content: { [JSON_TYPE]: { type: 'object' } } }],
    refusals: ['bad_request'],
    examples: [
      { name: 'the document', path: `/api/${name}.json`, status: 200, type: JSON_TYPE, answer: null },
      {
        name: 'of managers and broadcasters together',
        path: `/api/${name}.json?role=all`,
        status: 200,
        type: JSON_TYPE,
        answer: null,
      },
      {
        name: 'of what there is not',
        path: `/api/${name}.json?role=both`,
        status: 400,
        type: PROBLEM_TYPE,
        answer: {
          type: 'about:blank',
          title: 'The request is malformed',
          status: 400,
          code: 'bad_request',
          detail: 'role= must be one of: all, manager, broadcaster',
        },
      },
    ],
  };
}

export const OPERATIONS: readonly Operation[] = [
  ...PUBLISHING,
  ...READING,
  ...CHANNELS,
  ...RUNNING,
  ...DOORS,
  ...CONTRACTS,
];
