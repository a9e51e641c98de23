/**
 * `GET /api/openapi.json`, `/api/asyncapi.json`, `/api/postman.json`: what this process understands, for tools that
 * load it; or, with `?role=`, what one of another role does: behind a proxy that joins the halves nobody would be told
 * of the whole. Made when somebody asks, and kept for who asks next; nothing of it is needed to answer anything else.
 * It tells nothing that the source does not: nobody has to show a token.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ROLES, type Role } from '../../config.ts';
import { accessOf } from '../auth/cors.ts';
import type { OriginPolicy } from '../auth/origin.ts';
import { isEncrypted } from '../connections/outflow.ts';
import { prefixOf } from '../listen/prefix.ts';
import { sendProblem } from '../problem.ts';
import { type Asked, refuse, targetOf } from '../request.ts';
import { asyncApiDocument } from './asyncapi.ts';
import { type OpenApiDocument, openApiDocument } from './openapi.ts';
import type { Half, Operation } from './operation.ts';
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

type Make = (origin: string, role: Role) => object;

/** What a Host may look like to be told in a document. */
const HOST_PATTERN = /^(?:[\w.-]{1,253}|\[[\da-fA-F:.]{2,45}\])(?::\d{1,5})?$/;
const UNKNOWN_HOST = '127.0.0.1:3000';

/** To be called before the routes that the documents tell of. */
export function registerContracts(app: FastifyInstance, { role, policy }: ContractsOptions): void {
  const routes: RouteKey[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    routes.push({ methods: typeof method === 'string' ? [method] : method, path: url });
  });
  /** What is for another process has no route here. */
  const isThere = (row: Operation): boolean => !isPart(row, role) || routes.some((route) => isOf(route, row));
  const operations = (asked: Role): Operation[] =>
    OPERATIONS.filter((row) => isPart(row, asked) && isThere(row));
  const made = new Map<Role, OpenApiDocument>();
  const routed = (asked: Role): OpenApiDocument => {
    const document = made.get(asked) ?? openApiDocument(operations(asked));
    made.set(asked, document);
    return document;
  };
  const documents: Readonly<Record<string, Make>> = {
    openapi: (origin, asked) => ({ ...routed(asked), servers: [{ url: origin }] }),
    asyncapi: (origin, asked) => asyncApiDocument(origin, halvesOf(asked)),
    postman: (origin, asked) => postmanCollection(operations(asked), origin),
  };
  app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      const { refused, headers } = accessOf(request.headers, policy);
      reply.headers(headers);
      return refused === null ? undefined : sendProblem(reply, refused);
    });
    for (const [name, make] of Object.entries(documents)) {
      const kept = keep(make);
      scope.get(`/api/${name}.json`, async (request, reply) => {
        const asked = roleOf(targetOf(request.raw).query, role);
        if ('refused' in asked) return sendProblem(reply, asked.refused);
        return reply
          .header('Cache-Control', 'no-cache')
          .type('application/json; charset=utf-8')
          .send(kept(originOf(request), asked.ok));
      });
    }
  });
}

function isOf({ methods, path }: RouteKey, row: Pick<Operation, 'method' | 'path'>): boolean {
  return path === row.path && methods.includes(row.method);
}

function isPart({ half }: Operation, role: Role): boolean {
  return half === undefined || halvesOf(role).includes(half);
}

function halvesOf(role: Role): readonly Half[] {
  return role === 'all' ? ['manager', 'broadcaster'] : [role];
}

/** Whose document is asked for: absent, that of this process. */
function roleOf(query: URLSearchParams, own: Role): Asked<Role> {
  const values = query.getAll('role');
  if (values.length === 0) return { ok: own };
  const role = ROLES.find((one) => values.length === 1 && one === values[0]);
  return role === undefined
    ? refuse('bad_request', `role= must be one of: ${ROLES.join(', ')}`)
    : { ok: role };
}

/** The last one made for each role is kept: nearly everybody asks by the same name. */
function keep(make: Make): (origin: string, role: Role) => string {
  const last = new Map<Role, { readonly origin: string; readonly text: string }>();
  return (origin, role) => {
    const kept = last.get(role);
    if (kept?.origin === origin) return kept.text;
    const text = JSON.stringify(make(origin, role));
    last.set(role, { origin, text });
    return text;
  };
}

function originOf(request: FastifyRequest): string {
  const { host = '' } = request.headers;
  const scheme = isEncrypted(request.raw.socket) ? 'https' : 'http';
  const isTold = HOST_PATTERN.test(host) && URL.canParse(`${scheme}://${host}`);
  return `${scheme}://${isTold ? host : UNKNOWN_HOST}${prefixOf(request.raw)}`;
}
