/**
 * What stands in front of the routes and the doors, whoever's server it is: requests with too many headers are refused,
 * an upgrade behind a request that is not answered is no upgrade, and what offers to go on in something else than
 * WebSockets is read as if it had not.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { LimitsConfig } from '../../config.ts';
import type { Refusals } from '../../refusals.ts';
import { isEncrypted } from '../connections/outflow.ts';
import type { LimitName } from '../limits/limit-counter.ts';
import type { Doors } from '../ws/doors.ts';
import { isAnswering, refuseHeaders, refuseUpgradeHeaders } from './broken-requests.ts';

export interface FrontOptions {
  readonly limits: LimitsConfig;
  /** Somebody crossed a limit. */
  readonly crossed: (limit: LimitName) => void;
  readonly refusals: Refusals;
  readonly routes: FastifyInstance;
  readonly doors: Doors;
}

export class Front {
  readonly #options: FrontOptions;

  constructor(options: FrontOptions) {
    this.#options = options;
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const { refusals, routes } = this.#options;
    if (this.#hasTooManyHeaders(request)) refuseHeaders(request, response, refusals);
    else routes.routing(request, response);
  }

  /** Takes the socket over, or ends it; a request for something else goes to `server` again, or is refused. */
  upgrade(server: Server | null, request: IncomingMessage, socket: Socket, head: Buffer): void {
    const { refusals, doors } = this.#options;
    // Sent before the answer to a request in front of it was out: what comes would not be in order.
    if (isAnswering(socket)) socket.destroy();
    else if (this.#hasTooManyHeaders(request)) refuseUpgradeHeaders(socket, refusals);
    else if (server === null || isForWebSocket(request)) doors.upgrade(request, socket, head);
    else readPlainly(server, request, socket, head);
  }

  /** Beyond the server's own bound Node drops headers: an Origin or a key may be among them. */
  #hasTooManyHeaders({ rawHeaders, socket }: IncomingMessage): boolean {
    const { limits, crossed } = this.#options;
    const dropped = droppedFrom(socket);
    const isTooMany = rawHeaders.length > 2 * limits.maxHeaders || rawHeaders.length >= 2 * dropped;
    if (isTooMany) crossed('headers');
    return isTooMany;
  }
}

export function isForWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** From so many headers on some may be missing, by the server that took the connection. */
function droppedFrom(socket: Socket): number {
  const { server } = socket as { server?: Partial<Server> | null };
  return server?.maxHeadersCount || Number.POSITIVE_INFINITY;
}

/**
 * An upgrade to something else (HTTP clients offer h2c) may be ignored. Node has taken the request for the last one
 * in HTTP, and so without a body: it is read again, as if nothing had been offered.
 */
export function readPlainly(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): void {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] as string;
    if (name.toLowerCase() !== 'upgrade') lines.push(`${name}: ${request.rawHeaders[i + 1]}`);
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit(isEncrypted(socket) ? 'secureConnection' : 'connection', socket);
}
