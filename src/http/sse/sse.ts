/**
 * The door for server-sent events: `GET /sse?channel=&after=`, one channel.
 *
 * A browser that reconnects sends the last id it saw, which is a cursor, and goes on from there by itself. It
 * gives up for good on any status but 200; so whatever passes by itself (the log is down, too many are catching
 * up, the server is stopping) is an empty stream that says when to come back, and a gap met by a browser that
 * resumes is an event.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Admission } from '../../broadcaster/admission.ts';
import type { Broadcaster } from '../../broadcaster/broadcaster.ts';
import type { Format } from '../../broadcaster/format.ts';
import { SSE, SSE_V1 } from '../../broadcaster/formats/sse.ts';
import type { Clock } from '../../clock.ts';
import type { Role } from '../../config.ts';
import { ERRORS, RivercastError } from '../../errors.ts';
import { parseCursor } from '../../protocol/cursor.ts';
import { retryField } from '../../protocol/sse.ts';
import type { Start } from '../../protocol/start.ts';
import type { Refusals } from '../../refusals.ts';
import type { Access } from '../auth/access.ts';
import { guard } from '../auth/guard.ts';
import type { OriginPolicy } from '../auth/origin.ts';
import { grantOf, permit } from '../auth/permit.ts';
import type { Connections } from '../connections/connections.ts';
import type { Guest, Guests } from '../connections/guests.ts';
import { gapProblem } from '../gap.ts';
import { notHere, sendProblem } from '../problem.ts';
import { type Asked as AskedFor, channelOf, onGapOf, refuse, startOf, targetOf, want } from '../request.ts';
import { SseConnection } from './sse-connection.ts';

const PATH = '/sse';
const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  // nginx: pass every event on at once.
  'X-Accel-Buffering': 'no',
};
/** When to come back, each browser at another time: after a restart they all do. */
const MIN_RETRY_MS = 500;
const MAX_RETRY_MS = 2500;

export interface SseOptions {
  readonly role: Role;
  /** Null when this process delivers nothing. */
  readonly broadcaster: Broadcaster | null;
  readonly connections: Connections;
  readonly access: Access;
  readonly guests: Guests;
  readonly clock: Clock;
  readonly policy: OriginPolicy;
  readonly defaultChannel: string;
  readonly lingerMs: number;
  readonly isDraining: () => boolean;
  readonly refusals: Refusals;
}

interface Asked {
  readonly channel: string;
  readonly start: Start;
  readonly onGap: 'fail' | 'skip';
  readonly format: Format;
}

export function registerSse(app: FastifyInstance, options: SseOptions): void {
  const { broadcaster, role } = options;
  app.register(async (scope) => {
    // Not refused while draining: a browser would never come back.
    guard(scope, { ...options, isDraining: () => false }, PATH);
    scope.setErrorHandler((error, _request, reply) => {
      // What passes by itself: any status but 200 would be for good.
      if (error instanceof RivercastError && ERRORS[error.code].retry) return comeBack(reply);
      throw error;
    });
    scope.get(PATH, { exposeHeadRoute: false }, async (request, reply) => {
      if (broadcaster !== null) return listen(request, reply, options, broadcaster);
      return sendProblem(reply, notHere('no events', role));
    });
  });
}

async function listen(
  request: FastifyRequest,
  reply: FastifyReply,
  options: SseOptions,
  broadcaster: Broadcaster,
): Promise<FastifyReply> {
  if (request.raw.socket !== reply.raw.socket) {
    const detail = 'a stream of events cannot follow a request whose answer is not out yet';
    return sendProblem(reply, { code: 'bad_request', detail });
  }
  const { channel, start, onGap, format } = askedOf(request, options);
  permit(request, 'subscribe', channel);
  if (options.isDraining()) return comeBack(reply);
  const admission = await broadcaster.admit(channel, start);
  return enter(request, reply, options, { broadcaster, admission, onGap, format });
}

function enter(
  request: FastifyRequest,
  reply: FastifyReply,
  options: SseOptions,
  begin: {
    readonly broadcaster: Broadcaster;
    readonly admission: Admission;
    readonly onGap: 'fail' | 'skip';
    readonly format: Format;
  },
): FastifyReply {
  using admission = begin.admission;
  const { gap } = admission;
  const { onGap, format } = begin;
  if (options.isDraining()) return comeBack(reply);
  if (gap !== null && onGap === 'fail') return sendProblem(reply, gapProblem(gap));
  const guest = options.guests.admit(request.raw, grantOf(request));
  stream(reply, options, begin.broadcaster, { admission, onGap, guest, format });
  return reply;
}

function askedOf(request: FastifyRequest, { clock, defaultChannel }: SseOptions): Asked {
  const { query } = targetOf(request.raw);
  const channel = want(channelOf(query, defaultChannel));
  const onGap = want(onGapOf(query, 'skip'));
  const format = want(formatOf(query));
  const lastEventId = request.headers['last-event-id'];
  if (lastEventId === undefined || lastEventId === '') {
    return { channel, start: want(startOf(query, clock.now())), onGap, format };
  }
  const cursor = typeof lastEventId === 'string' ? parseCursor(lastEventId) : null;
  if (cursor === null) throw new RivercastError('bad_cursor', 'Last-Event-ID is none of our ids');
  return { channel, start: { at: 'cursor', cursor }, onGap: 'skip', format };
}

/** The payloads alone, unless the messages are asked for as v1 has them. */
function formatOf(query: URLSearchParams): AskedFor<Format> {
  const values = query.getAll('format');
  if (values.length === 0) return { ok: SSE };
  return values.length === 1 && values[0] === 'v1'
    ? { ok: SSE_V1 }
    : refuse('bad_request', 'format= must be v1');
}

function stream(
  reply: FastifyReply,
  options: SseOptions,
  broadcaster: Broadcaster,
  begin: {
    readonly admission: Admission;
    readonly onGap: 'fail' | 'skip';
    readonly guest: Guest | null;
    readonly format: Format;
  },
): void {
  const { admission, onGap, guest, format } = begin;
  const { connections } = options;
  reply.hijack();
  const response = reply.raw;
  const { socket } = response;
  if (socket === null || socket.destroyed) {
    guest?.leave();
    return;
  }
  const connection = new SseConnection(response, socket, options);
  const subscriber = broadcaster.join(connection, format);
  connection.subscriber = subscriber;
  connections.add(connection);
  connection.guest = guest;
  guest?.stay(connection);
  // A client that will send nothing more, a reconnect included, is not waited for longer than a closed one.
  socket.once('end', () => connection.close());
  response.once('close', () => {
    connections.remove(connection);
    guest?.leave();
    subscriber.detach();
  });
  writeHead(reply);
  subscriber.write(Buffer.concat([Buffer.from(retryField(retryMs())), startOfStream(admission, format)]));
  broadcaster.subscribe(subscriber, admission, onGap === 'fail' ? 'close' : 'skip');
}

/** The first id is where it starts; after a gap it is the event of the gap that moves it. */
function startOfStream({ cursor, gap, tail }: Admission, format: Format): Buffer {
  const position = gap === null ? format.position(tail.channel, cursor ?? tail.ring.end) : null;
  return position ?? Buffer.alloc(0);
}

function writeHead(reply: FastifyReply): void {
  const response = reply.raw;
  response.useChunkedEncodingByDefault = false;
  response.shouldKeepAlive = false;
  response.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), ...HEADERS });
  response.flushHeaders();
}

function comeBack(reply: FastifyReply): FastifyReply {
  return reply.code(200).headers(HEADERS).send(retryField(retryMs()));
}

function retryMs(): number {
  return MIN_RETRY_MS + Math.floor(Math.random() * (MAX_RETRY_MS - MIN_RETRY_MS));
}
