/** The plain HTTP routes: health, readiness, the API, and hints for who comes to a WebSocket door without one. */
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { RivercastError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Refusals } from '../refusals.ts';
import { type ChannelRoutesOptions, registerChannels } from './channel-routes.ts';
import { isEncrypted } from './connections/outflow.ts';
import { type FirstPageOptions, registerFirstPage } from './console.ts';
import { type ContractsOptions, registerContracts } from './contracts/contracts.ts';
import type { Readiness } from './ops/readiness.ts';
import { type OpsOptions, registerOps } from './ops/routes.ts';
import { countProblems, notFound, type Problem, sendProblem } from './problem.ts';
import { securityHeaders } from './security-headers.ts';
import { registerSse, type SseOptions } from './sse/sse.ts';

/** Above the longest channel name, so that one that is too long is told so, even percent-encoded. */
const MAX_PARAM_LENGTH = 1024;

export interface RoutesOptions {
  readonly logger: Logger;
  readonly readiness: Readiness;
  readonly channels: ChannelRoutesOptions;
  readonly sse: SseOptions;
  readonly contracts: ContractsOptions;
  /** Null: it tells nothing about itself. */
  readonly ops: OpsOptions | null;
  /** Where this process opens WebSockets. */
  readonly doorPaths: readonly string[];
  readonly firstPage: FirstPageOptions;
  readonly refusals: Refusals;
}

export function createRoutes(options: RoutesOptions): FastifyInstance {
  const app = Fastify({
    logger: false,
    exposeHeadRoutes: true,
    bodyLimit: 64 * 1024,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // No hook has seen these.
    frameworkErrors: (error, request, reply) =>
      void sendProblem((reply as FastifyReply).headers(securityHeaders(request.raw)), {
        code: 'bad_request',
        detail: error.message.slice(0, 200),
      }),
  });
  countProblems(app, options.refusals);
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(securityHeaders(request.raw));
    done();
  });

  registerContracts(app, options.contracts);
  registerFirstPage(app, options.firstPage);
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const verdict = await options.readiness.look();
    return verdict.status === 'ready' ? verdict : reply.code(503).header('Retry-After', '1').send(verdict);
  });
  for (const path of options.doorPaths) {
    app.get(path, async (request, reply) => {
      const scheme = isEncrypted(request.raw.socket) ? 'wss' : 'ws';
      reply.header('Upgrade', 'websocket').header('Connection', 'Upgrade');
      return sendProblem(reply, {
        code: 'upgrade_required',
        detail: `open ${scheme}://…${path} with a WebSocket client`,
      });
    });
  }
  registerChannels(app, options.channels);
  registerSse(app, options.sse);
  if (options.ops !== null) registerOps(app, options.ops);
  app.setNotFoundHandler((request, reply) => sendProblem(reply, notFound(request.url)));
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) =>
    sendProblem(reply, problemOf(error, options.logger)),
  );
  return app;
}

function problemOf(error: Error & { statusCode?: number }, logger: Logger): Problem {
  if (error instanceof RivercastError) return { code: error.code, detail: error.message };
  if (error.statusCode === 415) return { code: 'unsupported_content', detail: error.message };
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return { code: 'bad_request', detail: error.message };
  }
  logger.error({ err: error }, 'a request failed');
  return { code: 'internal', detail: 'the server failed to answer' };
}
