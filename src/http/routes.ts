/** The plain HTTP routes: health, readiness, and hints for who comes to a WebSocket door without one. */
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { PROBLEM_TYPE, problemBody } from './problem.ts';

/** `/readyz` must fail within 2 s of trouble, also when the log does not answer at all. */
const PROBE_TIMEOUT_MS = 1500;

export interface RoutesOptions {
  readonly logger: Logger;
  /** Rejects with what is wrong. */
  readonly probe: () => Promise<void>;
  readonly isDraining: () => boolean;
  /** Where this process opens WebSockets. */
  readonly doorPaths: readonly string[];
  readonly banner: string;
}

export function createRoutes(options: RoutesOptions): FastifyInstance {
  const app = Fastify({
    logger: false,
    exposeHeadRoutes: true,
    bodyLimit: 64 * 1024,
    frameworkErrors: (error, _request, reply) =>
      void problem(reply as FastifyReply, 'bad_request', error.message),
  });
  const probe = sharedProbe(options.probe);

  app.get('/', async (_request, reply) => reply.type('text/plain; charset=utf-8').send(options.banner));
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const reason = options.isDraining() ? 'the server is stopping' : await probe();
    if (reason === null) return { status: 'ready' };
    return reply.code(503).header('Retry-After', '1').send({ status: 'unavailable', reason });
  });
  for (const path of options.doorPaths) {
    app.get(path, async (_request, reply) => {
      reply.header('Upgrade', 'websocket').header('Connection', 'Upgrade');
      return problem(reply, 'upgrade_required', `open ws://…${path} with a WebSocket client`);
    });
  }
  app.setNotFoundHandler((request, reply) =>
    problem(reply, 'not_found', `nothing at ${request.url.slice(0, 200)}`),
  );
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    if (error.statusCode !== undefined && error.statusCode < 500)
      return problem(reply, 'bad_request', error.message);
    options.logger.error({ err: error }, 'a request failed');
    return problem(reply, 'internal', 'the server failed to answer');
  });
  return app;
}

function problem(reply: FastifyReply, code: ErrorCode, detail: string): FastifyReply {
  return reply.code(ERRORS[code].http).type(PROBLEM_TYPE).send(problemBody({ code, detail }));
}

/**
 * Many may ask at once, and again while the log does not answer: it is asked once. Resolves with what is wrong,
 * or null.
 */
function sharedProbe(probe: () => Promise<void>): () => Promise<string | null> {
  let running: Promise<string | null> | null = null;
  return () => {
    running ??= probe()
      .then(
        () => null,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      )
      .finally(() => {
        running = null;
      });
    return inTime(running);
  };
}

async function inTime(answer: Promise<string | null>): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    const reason = `the log did not answer within ${PROBE_TIMEOUT_MS} ms`;
    timer = setTimeout(() => resolve(reason), PROBE_TIMEOUT_MS);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
