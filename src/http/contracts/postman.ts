/**
 * The requests of the table as a collection for Postman, format 2.1. That format has no place for WebSockets: there is
 * the request that opens one, with what to say over it in its description.
 */
import { VERSION } from '../../version.ts';
import { DOORS } from './asyncapi.ts';
import { MESSAGES } from './messages.ts';
import { bodyText } from './openapi.ts';
import type { Example, Operation } from './operation.ts';
import type { JsonSchema } from './schemas.ts';

const SCHEMA = 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json';

/** `origin` of the server. */
export function postmanCollection(operations: readonly Operation[], origin: string): JsonSchema {
  const groups = [...new Set(operations.map(({ group }) => group))];
  return {
    info: {
      name: 'Rivercast',
      description: 'The requests of Rivercast. Set the variables baseUrl and, where it is asked for, token.',
      version: VERSION,
      schema: SCHEMA,
    },
    variable: [
      { key: 'baseUrl', value: origin, type: 'string' },
      { key: 'wsUrl', value: origin.replace(/^http/, 'ws'), type: 'string' },
      { key: 'token', value: '', type: 'string' },
    ],
    auth: { type: 'bearer', bearer: [{ key: 'token', value: '{{token}}', type: 'string' }] },
    item: groups.map((group) => ({
      name: group,
      item: operations.filter((one) => one.group === group).flatMap(itemsOf),
    })),
  };
}

function itemsOf(operation: Operation): JsonSchema[] {
  return operation.group === 'WebSockets'
    ? socketsOf(operation)
    : operation.examples.map((one) => itemOf(operation, one));
}

function itemOf(operation: Operation, example: Example): JsonSchema {
  const request = requestOf(operation, example);
  const name = `${operation.summary}: ${example.name}`;
  return { name, request, response: example.answer === null ? [] : [responseOf(example, request)] };
}

function requestOf({ method, summary, description, permission }: Operation, example: Example): JsonSchema {
  const { path, headers = {}, body } = example;
  return {
    method,
    url: urlOf('{{baseUrl}}', path),
    header: listOf(headers),
    description: [summary, description].filter(Boolean).join('. '),
    ...(permission === null ? { auth: { type: 'noauth' } } : {}),
    ...(body === undefined ? {} : { body: { mode: 'raw', raw: body } }),
  };
}

function responseOf(example: Example, request: JsonSchema): JsonSchema {
  const answer = bodyText(example);
  return {
    name: example.name,
    originalRequest: request,
    code: example.status,
    header: listOf({ 'Content-Type': example.type ?? '' }),
    body: typeof answer === 'string' ? answer : JSON.stringify(answer, null, 2),
  };
}

/** One for each way to speak there. */
function socketsOf({ path }: Operation): JsonSchema[] {
  const doors = Object.values(DOORS).filter(({ address }) => address === path);
  return doors.map(({ title, description, protocol, received }) => {
    const says = received.flatMap((name) => MESSAGES[name].examples.map(({ payload }) => textOf(payload)));
    const said =
      says.length === 0 ? '' : `\n\nSay, for example:\n\n${says.map((one) => `    ${one}`).join('\n')}`;
    return {
      name: title,
      request: {
        method: 'GET',
        url: urlOf('{{wsUrl}}', `${path}?channel=scores`),
        header: protocol === null ? [] : listOf({ 'Sec-WebSocket-Protocol': protocol }),
        description: `Open it as a WebSocket request. ${description}${said}`,
      },
      response: [],
    };
  });
}

function textOf(payload: unknown): string {
  return typeof payload === 'string' ? payload : JSON.stringify(payload);
}

function urlOf(base: string, target: string): JsonSchema {
  const [path = '', query] = target.split('?');
  const rows = [...new URLSearchParams(query)].map(([key, value]) => ({ key, value }));
  return {
    raw: `${base}${target}`,
    host: [base],
    path: path.split('/').slice(1),
    ...(rows.length === 0 ? {} : { query: rows }),
  };
}

function listOf(headers: Readonly<Record<string, string>>): JsonSchema[] {
  return Object.entries(headers).map(([key, value]) => ({ key, value }));
}
