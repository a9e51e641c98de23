/**
 * `GET /api/openapi.json`, `/api/asyncapi.json`, `/api/postman.json`: what this process understands, for tools that
 * load it. Made when somebody asks, and kept for who asks next; nothing of it is needed to answer anything else. It
 * tells nothing that the source does not: nobody has to show a token.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Role } from '../../config.ts';
import { accessOf } from '../auth/cors.ts';
import type { OriginPolicy } from '../auth/origin.ts';
import { isEncrypted } from '../connections/outflow.ts';
import { prefixOf } from '../listen/prefix.ts';
import { sendProblem } from '../problem.ts';
import { asyncApiDocument } from './asyncapi.ts';
import { type OpenApiDocument, openApiDocument } from './openapi.ts';
import type { Operation } from './operation.ts';
import { OPERATIONS } from './operations.ts';
import { postmanCollection } from './postman.ts';

export interface ContractsOptions {
  readonly role: Role;
  readonly policy: OriginPolicy;
}

/** A route that is there: by its methods and its path. */
interface RouteKey {
  readonly methods: readonly string[];
  readonly path: string;
}

type Make = (origin: string) => object;

/** What a Host may look like to be told in a document. */
const HOST_PATTERN = /^(?:[\w.-]{1,253}|\[[\da-fA-F:.]{2,45}\])(?::\d{1,5})?$/;
const UNKNOWN_HOST = '127.0.0.1:3000';

/** To be called before the routes that the documents tell of. */
export function registerContracts(app: FastifyInstance, { role, policy }: ContractsOptions): void {
  const routes: RouteKey[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    routes.push({ methods: typeof method === 'string' ? [method] : method, path: url });
  });
  const halves = (['manager', 'broadcaster'] as const).filter((half) => role === 'all' || role === half);
  const operations = (): Operation[] =>
    OPERATIONS.filter(
      ({ half, ...row }) =>
        (half === undefined || halves.includes(half)) && routes.some((route) => isOf(route, row)),
    );
  let made: OpenApiDocument | null = null;
  const routed = (): OpenApiDocument => (made ??= openApiDocument(operations()));
  const documents: Readonly<Record<string, Make>> = {
    openapi: (origin) => ({ ...routed(), servers: [{ url: origin }] }),
    asyncapi: (origin) => asyncApiDocument(origin, halves),
    postman: (origin) => postmanCollection(operations(), origin),
  };
  app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      const { refused, headers } = accessOf(request.headers, policy);
      reply.headers(headers);
      return refused === null ? undefined : sendProblem(reply, refused);
    });
    for (const [name, make] of Object.entries(documents)) {
      const kept = keep(make);
      scope.get(`/api/${name}.json`, async (request, reply) =>
        reply
          .header('Cache-Control', 'no-cache')
          .type('application/json; charset=utf-8')
          .send(kept(originOf(request))),
      );
    }
  });
}

function isOf({ methods, path }: RouteKey, row: Pick<Operation, 'method' | 'path'>): boolean {
  return path === row.path && methods.includes(row.method);
}

/** The last one made is kept: nearly everybody asks by the same name. */
function keep(make: Make): (origin: string) => string {
  let last: { readonly origin: string; readonly text: string } | null = null;
  return (origin) => {
    if (last?.origin !== origin) last = { origin, text: JSON.stringify(make(origin)) };
    return last.text;
  };
}

function originOf(request: FastifyRequest): string {
  const { host = '' } = request.headers;
  const scheme = isEncrypted(request.raw.socket) ? 'https' : 'http';
  const isTold = HOST_PATTERN.test(host) && URL.canParse(`${scheme}://${host}`);
  return `${scheme}://${isTold ? host : UNKNOWN_HOST}${prefixOf(request.raw)}`;
}
