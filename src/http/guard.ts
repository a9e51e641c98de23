/**
 * What every plain HTTP door has: which pages may come, what one is told before it comes, when nobody may, and who
 * it is that comes. What that one may do is asked by each route (permit.ts).
 */
import type { FastifyInstance } from 'fastify';
import type { Access } from './auth/access.ts';
import { accessOf, PREFLIGHT } from './cors.ts';
import type { OriginPolicy } from './origin.ts';
import { setGrant } from './permit.ts';
import { sendProblem } from './problem.ts';
import { targetOf } from './request.ts';

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
    setGrant(request, await access.grantOf(request.headers, targetOf(request.raw).query));
    return undefined;
  });
  scope.options(preflightPath, async (_request, reply) => reply.code(204).headers(PREFLIGHT).send());
}
