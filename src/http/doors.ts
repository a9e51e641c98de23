/**
 * The WebSocket doors: who asks for an upgrade is refused, or let in as a publisher or a subscriber.
 *
 *   /ws/manager                    each message is one entry; nothing is sent back
 *   /ws/broadcast, /ws/broadcaster each entry is one message, and what the client sends is discarded;
 *                                  or, with the subprotocol rivercast.v1, both sides send JSON frames
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type RawData, WebSocketServer } from 'ws';
import type { Admission, Broadcaster } from '../broadcaster/broadcaster.ts';
import { RAW } from '../broadcaster/formats/raw.ts';
import { V1Session } from '../broadcaster/v1-session.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { ERRORS, RivercastError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Manager } from '../manager/manager.ts';
import { Publisher } from '../manager/publisher.ts';
import { CLOSE, closeReason, cursorReason } from '../protocol/close.ts';
import { formatCursor } from '../protocol/cursor.ts';
import { V1_PROTOCOL } from '../protocol/v1.ts';
import { VERSION } from '../version.ts';
import { Connection, type HeartbeatOptions, ReasonedSocket } from './connection.ts';
import { type Connections, untilEmpty } from './connections.ts';
import { isOriginAllowed } from './origin.ts';
import { type Problem, refuseUpgrade } from './problem.ts';
import {
  channelOf,
  channelsOf,
  offeredProtocolOf,
  onGapOf,
  protocolOf,
  startOf,
  type Target,
  targetOf,
  want,
} from './request.ts';

const PUBLISH_PATH = '/ws/manager';
const SUBSCRIBE_PATHS: ReadonlySet<string> = new Set(['/ws/broadcast', '/ws/broadcaster']);

/** Subscribers have nothing to say; this is for clients that send their own pings as messages. */
const MAX_SUBSCRIBER_MESSAGE_BYTES = 64 * 1024;
/** One-byte fragments and chunks cost far more memory than they carry. */
const MAX_FRAGMENTS = 128;
const MIN_BUFFERED_CHUNKS = 1024;
/** A large message comes in pieces of one packet each when the network is slow; some are well below 1,460 bytes. */
const MIN_CHUNK_BYTES = 512;
/** How long a publisher may take to answer a close; what it sends until then is stored. */
export const PUBLISHER_CLOSE_MS = 2000;

export interface DoorsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly connections: Connections;
  /** Null when this process does not have the role. */
  readonly manager: Manager | null;
  readonly broadcaster: Broadcaster | null;
}

interface Knock {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
  readonly target: Target;
}

export class Doors {
  readonly #options: DoorsOptions;
  readonly #heartbeat: HeartbeatOptions;
  readonly #publishing: WebSocketServer;
  readonly #subscribing: WebSocketServer;
  readonly #publishers = new Set<Connection>();
  #draining = false;

  constructor(options: DoorsOptions) {
    const { clock, config } = options;
    const { heartbeatMs, idleTimeoutMs, lingerMs } = config.http;
    this.#options = options;
    this.#heartbeat = { clock, heartbeatMs, idleTimeoutMs };
    this.#publishing = webSocketServer(config.manager.maxMessageBytes, PUBLISHER_CLOSE_MS);
    this.#subscribing = webSocketServer(MAX_SUBSCRIBER_MESSAGE_BYTES, lingerMs);
  }

  /** The paths that lead somewhere in this process. */
  get paths(): readonly string[] {
    const { manager, broadcaster } = this.#options;
    return [...(manager === null ? [] : [PUBLISH_PATH]), ...(broadcaster === null ? [] : SUBSCRIBE_PATHS)];
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  get publisherCount(): number {
    return this.#publishers.size;
  }

  /** Handles the `upgrade` event of an HTTP server. Never throws, and never leaves a socket behind. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', destroyThis);
    const knock = { request, socket, head, target: targetOf(request) };
    const { headers } = request;
    if (this.#draining) {
      refuseUpgrade(socket, { code: 'draining', detail: 'this server is stopping; connect again' });
    } else if (!isOriginAllowed(headers.origin, headers.host, this.#options.config.http)) {
      const detail = 'pages of this origin may not connect; see ALLOWED_ORIGINS';
      refuseUpgrade(socket, { code: 'forbidden', detail });
    } else {
      this.#open(knock).catch((error: unknown) =>
        this.#refuse(knock, problemOf(error, this.#options.logger)),
      );
    }
  }

  /** Tells publishers to go elsewhere; resolves when they are gone, or after they had time to. */
  async closePublishers(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    for (const connection of this.#publishers) connection.close(CLOSE.draining, 'the server is stopping');
    await untilEmpty(this.#publishers, signal);
  }

  async #open(knock: Knock): Promise<void> {
    const { path } = knock.target;
    const { manager, broadcaster, config } = this.#options;
    if (path === PUBLISH_PATH && manager !== null) return this.#openPublisher(knock, manager);
    if (SUBSCRIBE_PATHS.has(path) && broadcaster !== null) return this.#openSubscriber(knock, broadcaster);
    throw new RivercastError('not_found', `no WebSocket here; this process has ROLE=${config.role}`);
  }

  async #openPublisher(knock: Knock, manager: Manager): Promise<void> {
    const channel = this.#channel(knock);
    const protocol = want(protocolOf(knock.request.headers['sec-websocket-protocol']));
    accept(this.#publishing, knock, protocol, (ws) => this.#publisher(ws, knock.socket, manager, channel));
  }

  async #openSubscriber(knock: Knock, broadcaster: Broadcaster): Promise<void> {
    const { query } = knock.target;
    const protocol = want(protocolOf(knock.request.headers['sec-websocket-protocol']));
    const isV1 = protocol === V1_PROTOCOL;
    const channels = isV1 ? want(channelsOf(query, this.#options.config.log.stream)) : [this.#channel(knock)];
    const start = want(startOf(query, this.#options.clock.now()));
    if (start.at === 'cursor' && channels.length > 1) {
      throw new RivercastError('bad_cursor', 'after= can be a cursor for one channel only');
    }
    const onGap = want(onGapOf(query, isV1 ? 'skip' : 'fail'));
    const admissions = await Promise.all(channels.map((channel) => broadcaster.admit(channel, start)));
    this.#mayEnter(admissions);
    const gap = admissions.find((admission) => admission.gap !== null)?.gap;
    if (gap && onGap === 'fail') {
      const { reason, lost, floor } = gap;
      const extra = { reason, lost, floor, cursor: formatCursor(gap.resumeAt) };
      const detail = 'entries after this position are gone; go on with after=<cursor>&on_gap=skip';
      this.#refuse(knock, { code: 'gap', detail, extra }, cursorReason(extra.cursor));
      return;
    }
    const close = onGap === 'fail' ? 'close' : 'skip';
    accept(this.#subscribing, knock, protocol, (ws) => {
      const connection = this.#connect(ws, knock.socket);
      if (isV1) this.#converse(ws, connection, broadcaster).begin(admissions, close);
      else this.#listen(connection, broadcaster, admissions[0] as Admission, close);
    });
  }

  /** Much may have happened while the log was asked. */
  #mayEnter(admissions: readonly Admission[]): void {
    if (this.#draining) throw new RivercastError('draining', 'this server is stopping; connect again');
    if (admissions.some(({ tail }) => tail.isGone)) {
      throw new RivercastError('log_unavailable', 'the log took too long to answer; try again');
    }
  }

  #listen(
    connection: Connection,
    broadcaster: Broadcaster,
    admission: Admission,
    onGap: 'skip' | 'close',
  ): void {
    const subscriber = broadcaster.join(connection, RAW);
    connection.user = subscriber;
    broadcaster.subscribe(subscriber, admission, onGap);
  }

  #converse(ws: ReasonedSocket, connection: Connection, broadcaster: Broadcaster): V1Session {
    const { clock, logger, config } = this.#options;
    const hello = { server: `rivercast/${VERSION}`, heartbeat: config.http.heartbeatMs / 1000 };
    const session = new V1Session({ broadcaster, connection, clock, logger, hello });
    connection.user = session;
    ws.on('message', (data: RawData, isBinary: boolean) => {
      session.receive(isBinary ? null : (data as Buffer).toString());
    });
    return session;
  }

  #publisher(ws: ReasonedSocket, socket: Socket, manager: Manager, channel: string): void {
    const connection = this.#connect(ws, socket);
    const publisher = new Publisher(manager, channel, connection);
    this.#publishers.add(connection);
    ws.on('message', (data: RawData, isBinary: boolean) => {
      publisher.publish(isBinary ? 'binary' : 'text', data as Buffer);
    });
    connection.user = {
      drained: ignore,
      detach: () => this.#publishers.delete(connection),
      visit: nothing,
      closeReason: '',
    };
  }

  /**
   * What listens lives as long as the connection does, and keeps all of the scope it was made in: here that is
   * not the request with its headers, which would be a third of what an idle subscriber takes.
   */
  #connect(ws: ReasonedSocket, socket: Socket): Connection {
    const connection = new Connection(ws, socket, this.#heartbeat);
    ws.connection = connection;
    this.#options.connections.add(connection);
    ws.on('ping', (payload: Buffer) => connection.pinged(payload));
    // A protocol error, or a connection reset: `ws` closes by itself, and `close` follows.
    ws.on('error', ignore);
    ws.on('close', () => {
      this.#options.connections.remove(connection);
      connection.user?.detach();
    });
    return connection;
  }

  #channel(knock: Knock): string {
    return want(channelOf(knock.target.query, this.#options.config.log.stream));
  }

  /** A browser cannot read a refused upgrade, so it is let in and told by the close. */
  #refuse(knock: Knock, problem: Problem, reason: string = problem.detail): void {
    const { request, socket } = knock;
    if (request.headers.origin === undefined || problem.code === 'not_found') {
      refuseUpgrade(socket, problem);
      return;
    }
    const offered = offeredProtocolOf(request.headers['sec-websocket-protocol']);
    accept(this.#subscribing, knock, offered, (ws) => {
      ws.on('error', ignore);
      ws.close(ERRORS[problem.code].close, closeReason(reason));
    });
  }
}

function webSocketServer(maxPayload: number, closeTimeout: number): WebSocketServer {
  const options = {
    noServer: true,
    WebSocket: ReasonedSocket,
    clientTracking: false,
    perMessageDeflate: false,
    autoPong: false,
    maxPayload,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: Math.max(MIN_BUFFERED_CHUNKS, Math.ceil(maxPayload / MIN_CHUNK_BYTES)),
    closeTimeout,
    handleProtocols: (_offered: Set<string>, request: IncomingMessage) => chosen.get(request) ?? false,
  };
  const server = new WebSocketServer(options);
  // What `ws` itself finds wrong with a handshake is refused as everything else is.
  server.on('wsClientError', (error: Error, socket: Duplex) => {
    refuseUpgrade(socket, { code: 'bad_request', detail: error.message });
  });
  return server;
}

/** The subprotocol decided for a request, until `ws` asks for it in the same turn. */
const chosen = new WeakMap<IncomingMessage, string>();

function accept(
  server: WebSocketServer,
  { request, socket, head }: Knock,
  protocol: string | null,
  opened: (ws: ReasonedSocket) => void,
): void {
  if (protocol !== null) chosen.set(request, protocol);
  socket.off('error', destroyThis);
  server.handleUpgrade(request, socket, head, (ws) => opened(ws as ReasonedSocket));
}

function problemOf(error: unknown, logger: Logger): Problem {
  if (error instanceof RivercastError) return { code: error.code, detail: error.message };
  logger.error({ err: error }, 'an upgrade failed');
  return { code: 'internal', detail: 'the server failed to open the connection' };
}

function destroyThis(this: Socket): void {
  this.destroy();
}

function ignore(): void {}

function nothing(): null {
  return null;
}
