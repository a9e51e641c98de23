/**
 * What an operator asks: `GET /metrics` for Prometheus, `GET /api/stats` and `GET /api/subscribers` for people. They
 * tell of everybody, so that where there is permission it takes that of an operator.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { METRICS_CONTENT_TYPE, metricsText } from '../../metrics.ts';
import { type GuardOptions, guard } from '../auth/guard.ts';
import { permitAdmin } from '../auth/permit.ts';
import { sendProblem } from '../problem.ts';
import { type Asked, refuse, targetOf } from '../request.ts';
import { MAX_LISTED, type Order } from './listing.ts';
import type { Observer } from './observer.ts';
import { statsOf } from './stats.ts';

const DEFAULT_LISTED = 100;
const ORDERS: ReadonlySet<string> = new Set<Order>(['lag', 'stalled', 'since']);

export interface OpsOptions extends GuardOptions {
  readonly observer: Observer;
  readonly metrics: boolean;
}

export function registerOps(app: FastifyInstance, options: OpsOptions): void {
  app.register(async (ops) => {
    // While it drains, the numbers are wanted most.
    guard(ops, { ...options, isDraining: () => false }, '/metrics');
    guardForAdmins(ops);
    const { observer, metrics } = options;
    if (metrics) {
      ops.get('/metrics', async (_request, reply) => {
        const text = await metricsText(await observer.readings(), observer.measured);
        return reply.header('Cache-Control', 'no-store').type(METRICS_CONTENT_TYPE).send(text);
      });
    }
    ops.get('/api/stats', async (_request, reply) => {
      const stats = statsOf(await observer.readings(), observer.rates(), observer.measured);
      return reply.header('Cache-Control', 'no-store').send(stats);
    });
    ops.get('/api/subscribers', (request, reply) => list(observer, request, reply));
  });
}

/** Whether the one who asks may see all this is asked here, before any of the routes answers. */
function guardForAdmins(ops: FastifyInstance): void {
  ops.addHook('preHandler', async (request) => {
    if (request.method !== 'OPTIONS') permitAdmin(request);
  });
}

async function list(observer: Observer, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const asked = readListing(targetOf(request.raw).query);
  if ('refused' in asked) return sendProblem(reply, asked.refused);
  const subscribers = await observer.subscribers(asked.ok);
  if (subscribers === null) {
    return sendProblem(reply, { code: 'not_found', detail: 'this process delivers nothing' });
  }
  return reply.header('Cache-Control', 'no-store').send({ order: asked.ok.order, subscribers });
}

function readListing(query: URLSearchParams): Asked<{ readonly order: Order; readonly limit: number }> {
  const order = query.get('order') ?? 'lag';
  if (!ORDERS.has(order)) return refuse('bad_request', `order= must be one of ${[...ORDERS].join(', ')}`);
  const limit = query.get('limit') ?? `${DEFAULT_LISTED}`;
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > MAX_LISTED) {
    return refuse('bad_request', `limit= must be a number from 1 to ${MAX_LISTED}`);
  }
  return { ok: { order: order as Order, limit: Number(limit) } };
}
