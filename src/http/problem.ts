/**
 * Refusals over HTTP: `application/problem+json` (RFC 9457), the same for a request and for an upgrade that
 * is turned down. What is wrong is always the sender's to read: code, status, detail.
 */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Role } from '../config.ts';
import { ERRORS, type ErrorCode, retryOf } from '../errors.ts';
import type { Refusals } from '../refusals.ts';
import { securityLines } from './security-headers.ts';

const UNAUTHORIZED = 401;
/** RFC 6750, 3: what kind of credentials are asked for. */
const CHALLENGE = 'Bearer realm="rivercast"';
/** The only version of WebSocket spoken here (RFC 6455 4.4). */
export const WEBSOCKET_VERSION = '13';

const PROBLEM_TYPE = 'application/problem+json';
/** What an application calls its counter of refusals. */
const REFUSALS = 'refusals';

export interface Problem {
  readonly code: ErrorCode;
  readonly detail: string;
  /** More members for the body, such as the cursor to go on from. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

const MAX_SHOWN_PATH = 200;

/** Of a URL that leads nowhere. */
export function notFound(url: string): Problem {
  return { code: 'not_found', detail: `nothing at ${url.split('?', 1)[0]?.slice(0, MAX_SHOWN_PATH)}` };
}

/** Of what other processes do, and this one does not. `what`: it, denied. */
export function notHere(what: string, role: Role): Problem {
  return { code: 'not_found', detail: `${what} here; this process has ROLE=${role}` };
}

function problemBody({ code, detail, extra }: Problem): string {
  const { http, title } = ERRORS[code];
  return JSON.stringify({ type: 'about:blank', title, status: http, code, detail, ...extra });
}

/** Whatever the routes of `app` refuse is counted by `refusals`. */
export function countProblems(app: FastifyInstance, refusals: Refusals): void {
  app.decorate(REFUSALS, refusals);
}

/** Answers a request with a refusal. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  reply.server.getDecorator<Refusals>(REFUSALS).count('request', problem.code);
  const { http } = ERRORS[problem.code];
  const { retryAfter } = retryOf(problem.code);
  if (retryAfter !== undefined) reply.header('Retry-After', `${retryAfter}`);
  // 404 and 410 may else be kept by a cache that was told nothing.
  if (http === UNAUTHORIZED) reply.header('WWW-Authenticate', CHALLENGE);
  reply.header('Cache-Control', 'no-store');
  return reply.code(http).type(PROBLEM_TYPE).send(problemBody(problem));
}

/** Answers an upgrade request with a refusal, and ends its connection. */
export function refuseUpgrade(socket: Duplex, problem: Problem, refusals: Refusals): void {
  refusals.count('upgrade', problem.code);
  const { http } = ERRORS[problem.code];
  const { retryAfter } = retryOf(problem.code);
  const body = problemBody(problem);
  const head = [
    `HTTP/1.1 ${http} ${STATUS_CODES[http]}`,
    'Connection: close',
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...securityLines(socket),
    ...(http === UNAUTHORIZED ? [`WWW-Authenticate: ${CHALLENGE}`] : []),
    ...(retryAfter === undefined ? [] : [`Retry-After: ${retryAfter}`]),
    ...(problem.code === 'upgrade_required'
      ? ['Upgrade: websocket', `Sec-WebSocket-Version: ${WEBSOCKET_VERSION}`]
      : []),
  ];
  // A client may reset at any time, also while it is refused; without a listener that ends the process.
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
