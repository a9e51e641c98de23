/**
 * What every plain HTTP door has: which pages may come, what one is told before it comes, when nobody may, and who
 * it is that comes. What that one may do is asked by each route (permit.ts).
 */
import type { FastifyInstance } from 'fastify';
import { sendProblem } from '../problem.ts';
import { targetOf } from '../request.ts';
import type { Access } from './access.ts';
import { accessOf, PREFLIGHT } from './cors.ts';
import type { OriginPolicy } from './origin.ts';
import { setGrant } from './permit.ts';

export interface GuardOptions {
  readonly policy: OriginPolicy;
  readonly access: Access;
  readonly isDraining: () => boolean;
}

/**
 * Guards all routes of `scope`, by the route that was found and not by how the path was written.
 * `preflightPath` is where OPTIONS are answered, relative to the scope.
 */
export function guard(
  scope: FastifyInstance,
  { policy, access, isDraining }: GuardOptions,
  preflightPath: string,
): void {
  scope.addHook('onRequest', async (request, reply) => {
    const { refused, headers } = accessOf(request.headers, policy);
    reply.headers(headers);
    if (refused !== null) return sendProblem(reply, refused);
    if (isDraining()) {
      reply.header('Connection', 'close');
      return sendProblem(reply, { code: 'draining', detail: 'this server is stopping; ask again' });
    }
    // A browser asks what it may send before it sends its token.
    if (request.method === 'OPTIONS') return undefined;
    const found = access.grantOf(request.headers, targetOf(request.raw).query);
    setGrant(request, access.isOpen ? await found : await inTurn(request.raw.socket, found));
    return undefined;
  });
  scope.options(preflightPath, async (_request, reply) => reply.code(204).headers(PREFLIGHT).send());
}

/** Of each connection, until the last of its requests so far has had its turn. */
const turns = new WeakMap<object, Promise<void>>();

/** Requests of one connection go on in the order in which they came, however long it takes to check their tokens. */
async function inTurn<T>(connection: object, found: Promise<T>): Promise<T> {
  const before = turns.get(connection);
  let over: () => void = () => undefined;
  turns.set(connection, new Promise((resolve) => (over = resolve)));
  // What is found out meanwhile is told when it is its turn.
  found.catch(() => undefined);
  try {
    await before;
    return await found;
  } finally {
    over();
  }
}
