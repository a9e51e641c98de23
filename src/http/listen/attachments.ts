/**
 * Somebody else's HTTP servers as the way in. Of each request it is decided by its path whose it is: what is not ours
 * goes on to whoever listened before, as if we were not there.
 *
 *   below a prefix    everything that the server has; the prefix is taken off
 *   without one       the doors: WebSockets, events, and what is below /api/channels; all else is the host's
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { pathAndQueryOf } from '../request.ts';
import { oweAnswer } from './broken-requests.ts';
import type { Entrance } from './entrance.ts';
import { type Front, isForWebSocket, readPlainly } from './front.ts';
import { prefixOf, setPrefix } from './prefix.ts';

const DOORS: readonly string[] = ['/ws/manager', '/ws/broadcast', '/ws/broadcaster', '/sse', '/api/channels'];
const CHANNELS = '/api/channels/';
const PREFIX_PATTERN = /^(?:\/[\w.~-]+)+$/;

export type Plugin = FastifyPluginAsync;

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
type Upgrade = (request: IncomingMessage, socket: Socket, head: Buffer) => void;

export class Attachments implements Entrance {
  readonly addresses: readonly string[] = [];
  readonly #front: Front;
  /** Puts each host back as it was. */
  readonly #undo: (() => void)[] = [];
  readonly #answering = new Set<ServerResponse>();
  readonly #sockets = new Set<Socket>();
  #isOver = false;

  constructor(front: Front) {
    this.#front = front;
  }

  /** Answers a request that is ours, whatever its path: there the prefix is off already, if it had one. */
  readonly request: Answer = (request, response) => {
    oweAnswer(request.socket, response);
    if (prefixOf(request) === '') setPrefix(request, mountOf(request));
    this.#answer(request, response);
  };

  /** Takes over the socket of an upgrade that is ours, or refuses it. */
  readonly upgrade: Upgrade = (request, socket, head) => this.#upgrade(null, request, socket, head);

  /** Takes from a server what is ours. Throws TypeError when the prefix is none. */
  attach(server: Server, prefix: string): void {
    const isOurs = ownership(prefix);
    this.#putInFront<Answer>(server, 'request', (others) => (request, response) => {
      oweAnswer(request.socket, response);
      if (this.#isOver || !isOurs(request)) {
        for (const other of others) other.call(server, request, response);
      } else {
        strip(request, prefix);
        this.#answer(request, response);
      }
    });
    this.#attachUpgrades(server, prefix);
  }

  /** The same as a plugin of Fastify, below the prefix that it is registered with. */
  async plug(scope: FastifyInstance): Promise<void> {
    const { prefix } = scope;
    ownership(prefix);
    // Bodies are read by whoever answers.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    const answer = (request: FastifyRequest, reply: FastifyReply): void => {
      reply.hijack();
      strip(request.raw, prefix);
      this.request(request.raw, reply.raw);
    };
    for (const path of prefix === '' ? [...DOORS, `${CHANNELS}*`] : ['/', '/*']) scope.all(path, answer);
    this.#attachUpgrades(scope.server, prefix);
  }

  async sockets(): Promise<number> {
    return this.#sockets.size;
  }

  reload(): boolean {
    return false;
  }

  /** The host goes on to accept: what is ours is refused by the routes and the doors. */
  stop(): void {}

  close(): void {
    this.#isOver = true;
    for (const undo of this.#undo) undo();
    for (const { socket } of this.#answering) socket?.destroy();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.#count(request.socket);
    if (this.#isOver) {
      response.writeHead(503, { Connection: 'close' }).end();
      return;
    }
    this.#answering.add(response);
    response.once('close', () => this.#answering.delete(response));
    this.#front.answer(request, response);
  }

  #upgrade(server: Server | null, request: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#count(socket);
    this.#front.upgrade(server, request, socket, head);
  }

  #attachUpgrades(server: Server, prefix: string): void {
    const isOurs = ownership(prefix);
    this.#putInFront<Upgrade>(server, 'upgrade', (others) => (request, socket, head) => {
      if (!this.#isOver && isOurs(request)) {
        if (isForWebSocket(request)) strip(request, prefix);
        this.#upgrade(server, request, socket, head);
      } else if (others.length > 0) {
        for (const other of others) other.call(server, request, socket, head);
      } else if (server.listenerCount('upgrade') === 1) {
        // Without a listener Node would have taken it for a request like others.
        readPlainly(server, request, socket, head);
      }
    });
  }

  /** In place of those who listen already, who get what is left over: each of them may answer what it does not know. */
  #putInFront<Listener extends Answer | Upgrade>(
    server: Server,
    event: 'request' | 'upgrade',
    make: (others: readonly Listener[]) => Listener,
  ): void {
    const others = server.listeners(event) as Listener[];
    const ours = make(others) as (...args: unknown[]) => void;
    server.removeAllListeners(event);
    server.on(event, ours);
    this.#undo.push(() => {
      // Somebody who has put himself in front of us passes on what is not his.
      if (!server.listeners(event).includes(ours)) return;
      server.off(event, ours);
      for (const other of others) server.on(event, other as (...args: unknown[]) => void);
    });
  }

  #count(socket: Socket): void {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

/** Throws TypeError when the prefix is none. */
function ownership(prefix: string): (request: IncomingMessage) => boolean {
  if (prefix === '') {
    return (request) => {
      const path = pathOf(request);
      return DOORS.includes(path) || path.startsWith(CHANNELS);
    };
  }
  if (!PREFIX_PATTERN.test(prefix))
    throw new TypeError(`prefix ${JSON.stringify(prefix)}: write it as /live`);
  return (request) => {
    const path = pathOf(request);
    return path === prefix || path.startsWith(`${prefix}/`);
  };
}

function pathOf(request: IncomingMessage): string {
  return pathAndQueryOf(request).split('?', 1)[0] as string;
}

/** What a router took off the path: Express and Connect keep the whole of it. */
function mountOf(request: IncomingMessage & { readonly originalUrl?: unknown }): string {
  const { originalUrl } = request;
  if (typeof originalUrl !== 'string') return '';
  const [whole = ''] = originalUrl.split('?', 1);
  const own = pathOf(request);
  // `/live` itself is `/` to us.
  const prefix = whole.endsWith(own) ? whole.slice(0, -own.length) : whole;
  return PREFIX_PATTERN.test(prefix) ? prefix : '';
}

function strip(request: IncomingMessage, prefix: string): void {
  if (prefix === '') return;
  // As routers of other kinds keep it: what is relative starts there.
  (request as IncomingMessage & { originalUrl?: string | undefined }).originalUrl ??= request.url;
  const rest = pathAndQueryOf(request).slice(prefix.length);
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
  setPrefix(request, prefix);
}
