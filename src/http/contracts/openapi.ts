/**
 * The document of OpenAPI 3.1, made of the table (operations.ts). The routes that answer know nothing of it: the tests
 * compare the two.
 */
import { ERRORS, type ErrorCode } from '../../errors.ts';
import { VERSION } from '../../version.ts';
import { type Body, type Example, type Operation, type Parameter, PROBLEM_TYPE } from './operation.ts';
import { type JsonSchema, ref, SCHEMAS } from './schemas.ts';

const GROUPS: Readonly<Record<Operation['group'], string>> = {
  Messages: 'Publish, read and follow messages',
  Channels: 'What there is',
  Operations: 'For who runs the server',
  WebSockets: 'Where WebSockets are opened',
  Contracts: 'Documents for tools',
};
/** As the router has it. */
const PATH_PARAMETER = /:(\w+)/g;

/** What may befall whoever has to show a token. */
const REFUSED_ANYWAY: readonly ErrorCode[] = [
  'unauthenticated',
  'token_expired',
  'forbidden',
  'auth_unavailable',
];

const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'A token, or an API key (rck_…)',
  },
  query: {
    type: 'apiKey',
    in: 'query',
    name: 'token',
    description: 'For EventSource, which can set no header',
  },
};
const ABOUT =
  'Durable real-time broadcast: every message is stored, ordered and delivered. What goes over WebSockets is in /api/asyncapi.json. OPTIONS is answered for CORS, and HEAD as GET.';

export type OpenApiDocument = Readonly<Record<string, unknown>>;

/** Of the operations that this process has; without `servers`. */
export function openApiDocument(operations: readonly Operation[]): OpenApiDocument {
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const operation of operations) {
    const path = operation.path.replaceAll(PATH_PARAMETER, '{$1}');
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: operationOf(operation) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Rivercast',
      version: VERSION,
      description: ABOUT,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: Object.entries(GROUPS).map(([name, description]) => ({ name, description })),
    components: { securitySchemes: SECURITY_SCHEMES, schemas: SCHEMAS },
    paths,
  };
}

function operationOf(operation: Operation): JsonSchema {
  const { id, group, summary, description, permission, body, query = [], headers = [] } = operation;
  const inPath = [...operation.path.matchAll(PATH_PARAMETER)].map(([, name = '']) => pathParameter(name));
  const told = [
    ...inPath.map((one) => parameterOf(one, 'path')),
    ...query.map((one) => parameterOf(one, 'query')),
    ...headers.map((one) => parameterOf(one, 'header')),
  ];
  return {
    operationId: id,
    tags: [group],
    summary,
    ...(description === undefined ? {} : { description }),
    security: permission === null ? [] : [{}, { bearer: [] }, { query: [] }],
    ...(permission === null ? {} : { 'x-permission': permission }),
    ...(told.length === 0 ? {} : { parameters: told }),
    ...(body === undefined ? {} : { requestBody: bodyOf(body, operation.examples) }),
    responses: responsesOf(operation),
  };
}

function pathParameter(name: string): Parameter {
  return { name, schema: ref('ChannelName'), description: 'The name of the channel', required: true };
}

function parameterOf({ name, schema, description, required = false }: Parameter, place: string): JsonSchema {
  return { name, in: place, required, description, schema };
}

function bodyOf({ description, content }: Body, examples: readonly Example[]): JsonSchema {
  const types = Object.entries(content).map(([type, schema]) => {
    const fitting = examples.filter((one) => one.headers?.['Content-Type'] === type);
    const named = fitting.map(({ name, body: sent = '' }) => {
      return [name, { value: type === 'application/json' ? (JSON.parse(sent) as unknown) : sent }];
    });
    return [type, { schema, ...withExamples(named) }];
  });
  return { description, required: true, content: Object.fromEntries(types) };
}

function responsesOf(operation: Operation): JsonSchema {
  const responses: Record<string, unknown> = {};
  for (const { status, description, content = {}, headers = {} } of operation.answers) {
    responses[status] = {
      description,
      ...(Object.keys(headers).length === 0 ? {} : { headers: headersOf(headers) }),
      ...(Object.keys(content).length === 0 ? {} : { content: contentOf(operation, status, content) }),
    };
  }
  return { ...responses, ...refusalsOf(operation) };
}

function headersOf(headers: Readonly<Record<string, string>>): JsonSchema {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [name, { description, schema: { type: 'string' } }]),
  );
}

function contentOf(
  { examples }: Operation,
  status: number,
  content: Readonly<Record<string, JsonSchema>>,
): JsonSchema {
  const types = Object.entries(content).map(([type, schema]) => {
    const told = examples.filter((one) => one.status === status && one.type === type && one.answer !== null);
    return [type, { schema, ...withExamples(told.map((one) => [one.name, { value: bodyText(one) }])) }];
  });
  return Object.fromEntries(types);
}

/** Lines are a text for a reader of the document. */
export function bodyText({ type, answer }: Example): unknown {
  if (type !== 'application/x-ndjson') return answer;
  return (answer as readonly unknown[]).map((line) => `${JSON.stringify(line)}\n`).join('');
}

function withExamples(named: readonly unknown[][]): JsonSchema {
  return named.length === 0 ? {} : { examples: Object.fromEntries(named as [string, unknown][]) };
}

/** One answer for each status: which codes it may bear, and what they mean. */
function refusalsOf(operation: Operation): Record<string, unknown> {
  const codes = [...operation.refusals, ...(operation.permission === null ? [] : REFUSED_ANYWAY)];
  return Object.fromEntries(
    [...byStatusOf(codes)].map(([status, among]) => [
      status,
      {
        description: among.map((code) => `${code}: ${ERRORS[code].title}`).join('. '),
        content: {
          [PROBLEM_TYPE]: {
            schema: { allOf: [ref('Problem'), { properties: { code: { enum: among } } }] },
            ...withExamples(
              operation.examples
                .filter((one) => one.status === status && one.answer !== null)
                .map((one) => [one.name, { value: one.answer }]),
            ),
          },
        },
      },
    ]),
  );
}

function byStatusOf(codes: readonly ErrorCode[]): Map<number, ErrorCode[]> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { http } = ERRORS[code];
    byStatus.set(http, [...(byStatus.get(http) ?? []), code]);
  }
  return byStatus;
}
