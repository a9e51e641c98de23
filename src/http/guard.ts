/** What every plain HTTP door has: who may come, what a page is told before it comes, and when nobody may. */
import type { FastifyInstance } from 'fastify';
import { accessOf, PREFLIGHT } from './cors.ts';
import type { OriginPolicy } from './origin.ts';
import { sendProblem } from './problem.ts';

export interface GuardOptions {
  readonly policy: OriginPolicy;
  readonly isDraining: () => boolean;
}

/**
 * Guards all routes of `scope`, by the route that was found and not by how the path was written.
 * `preflightPath` is where OPTIONS are answered, relative to the scope.
 */
export function guard(
  scope: FastifyInstance,
  { policy, isDraining }: GuardOptions,
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
    return undefined;
  });
  scope.options(preflightPath, async (_request, reply) => reply.code(204).headers(PREFLIGHT).send());
}
