/**
 * The WebSocket doors: who asks for an upgrade is refused, or let in as a publisher or a subscriber.
 *
 *   /ws/manager                    each message is one entry; nothing is sent back (publish-door.ts)
 *   /ws/broadcast, /ws/broadcaster each entry is one message, and what the client sends is discarded
 *
 * With the subprotocol rivercast.v1 both sides send JSON frames, at either door.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Admission } from '../../broadcaster/admission.ts';
import type { Broadcaster } from '../../broadcaster/broadcaster.ts';
import { RAW_DEFLATED, V1_DEFLATED } from '../../broadcaster/formats/deflated.ts';
import { RAW } from '../../broadcaster/formats/raw.ts';
import { V1 } from '../../broadcaster/formats/v1.ts';
import { V1Session } from '../../broadcaster/v1-session.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config.ts';
import { ERRORS, RivercastError } from '../../errors.ts';
import { ANYBODY, type Caller, denial, EVERYTHING, type Grant, type Permission } from '../../grant.ts';
import type { Logger } from '../../logger.ts';
import type { Manager } from '../../manager/manager.ts';
import type { Rates } from '../../manager/rate.ts';
import { cursorReason } from '../../protocol/close.ts';
import { formatCursor } from '../../protocol/cursor.ts';
import { type Hello, V1_PROTOCOL } from '../../protocol/v1.ts';
import { maxPublishFrameBytes } from '../../protocol/v1-publish.ts';
import type { Refusals } from '../../refusals.ts';
import { VERSION } from '../../version.ts';
import type { Access } from '../auth/access.ts';
import { FOREIGN_PAGE, isOriginAllowed } from '../auth/origin.ts';
import type { Connections } from '../connections/connections.ts';
import type { Guest, Guests } from '../connections/guests.ts';
import { gapProblem } from '../gap.ts';
import type { Incomplete } from '../limits/incomplete.ts';
import type { LimitName } from '../limits/limit-counter.ts';
import { notHere, type Problem, refuseUpgrade } from '../problem.ts';
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
} from '../request.ts';
import { Connection, type ConnectionContext } from './connection.ts';
import { agreesToDeflate } from './deflate.ts';
import { handshakeFault } from './handshake.ts';
import { PUBLISHER_CLOSE_MS, PublishDoor } from './publish-door.ts';
import { ReadTurns } from './read-turns.ts';
import { type Agreed, WsServer } from './ws-server.ts';

const PUBLISH_PATH = '/ws/manager';
const SUBSCRIBE_PATHS: ReadonlySet<string> = new Set(['/ws/broadcast', '/ws/broadcaster']);

/** Subscribers have nothing to say; this is for clients that send their own pings as messages. */
const MAX_SUBSCRIBER_MESSAGE_BYTES = 64 * 1024;

/** How long a browser may take to answer the close that tells it why. */
const REFUSED_CLOSE_MS = 2000;

/** To follow a channel and to leave another. */
const FRAMES_PER_CHANNEL = 2;

const STOPPING = 'this server is stopping; connect again';

export interface DoorsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly connections: Connections;
  readonly access: Access;
  readonly guests: Guests;
  readonly rates: Rates;
  /** Null when this process does not have the role. */
  readonly manager: Manager | null;
  readonly broadcaster: Broadcaster | null;
  readonly incomplete: Incomplete;
  /** Somebody crossed a limit. */
  readonly crossed: (limit: LimitName) => void;
  readonly refusals: Refusals;
}

interface Knock {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
  readonly target: Target;
}

export class Doors {
  readonly #options: DoorsOptions;
  readonly #publishing: ConnectionContext;
  readonly #publishingV1: ConnectionContext;
  readonly #subscribing: ConnectionContext;
  /** Of those who are let in only to be told that they are not. */
  readonly #refusing: ConnectionContext;
  readonly #publishDoor: PublishDoor | null;
  /** What a subscriber is told first. */
  readonly #hello: Hello;
  #draining = false;

  constructor(options: DoorsOptions) {
    const { clock, config, manager, refusals } = options;
    const { heartbeatMs, idleTimeoutMs, lingerMs } = config.http;
    const { maxMessageBytes } = config.manager;
    const { maxFragments, maxControlFramesPerSecond: maxControlFrames } = config.limits;
    // Whoever may follow so many channels may say so at once.
    const leastFrames = FRAMES_PER_CHANNEL * config.quotas.maxChannels;
    const maxSubscriberFrames = Math.max(config.limits.maxSubscriberFramesPerSecond, leastFrames);
    this.#options = options;
    const hello = { server: `rivercast/${VERSION}`, heartbeat: heartbeatMs / 1000 };
    this.#hello = { ...hello, channels: config.quotas.maxChannels };
    const publisherHello = { ...hello, keys: config.log.idempotency.windowMs / 1000 };
    this.#publishDoor =
      manager === null
        ? null
        : new PublishDoor({
            manager,
            clock,
            refusals,
            hello: publisherHello,
            maxMessageBytes,
            idleTimeoutMs,
          });
    const turns = new ReadTurns(clock);
    const context = (
      maxFrameBytes: number,
      closeMs: number,
      maxFrames: number | null,
    ): ConnectionContext => ({
      server: new WsServer(maxFrameBytes, closeMs, refusals),
      clock,
      heartbeatMs,
      idleTimeoutMs,
      limits: { maxMessageBytes: maxFrameBytes, maxFragments, maxControlFrames, maxFrames },
      incomplete: options.incomplete,
      turns,
      crossed: options.crossed,
      gone: this.#gone,
    });
    this.#publishing = context(maxMessageBytes, PUBLISHER_CLOSE_MS, null);
    this.#publishingV1 = context(maxPublishFrameBytes(maxMessageBytes), PUBLISHER_CLOSE_MS, null);
    this.#subscribing = context(MAX_SUBSCRIBER_MESSAGE_BYTES, lingerMs, maxSubscriberFrames);
    this.#refusing = context(MAX_SUBSCRIBER_MESSAGE_BYTES, REFUSED_CLOSE_MS, maxSubscriberFrames);
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
    return this.#publishDoor?.count ?? 0;
  }

  /** Null when this process takes nothing in. */
  get publishDoor(): PublishDoor | null {
    return this.#publishDoor;
  }

  /** Handles the `upgrade` event of an HTTP server. Never throws, and never leaves a socket behind. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', destroyThis);
    const knock = { request, socket, head, target: targetOf(request) };
    const { headers } = request;
    const { config, logger, refusals } = this.#options;
    const fault = handshakeFault(request);
    if (fault !== null) {
      refuseUpgrade(socket, fault, refusals);
    } else if (this.#draining) {
      refuseUpgrade(socket, { code: 'draining', detail: STOPPING }, refusals);
    } else if (!isOriginAllowed(headers.origin, headers.host, config.http)) {
      refuseUpgrade(socket, FOREIGN_PAGE, refusals);
    } else {
      this.#open(knock).catch((error: unknown) => this.#refuse(knock, problemOf(error, logger)));
    }
  }

  /** Tells publishers to go elsewhere; resolves when they are gone, or after they had time to. */
  async closePublishers(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    await this.#publishDoor?.close(signal);
  }

  async #open(knock: Knock): Promise<void> {
    const { path, query } = knock.target;
    const { broadcaster, config, access } = this.#options;
    const door = this.#publishDoor;
    const isPublisher = path === PUBLISH_PATH && door !== null;
    const isSubscriber = SUBSCRIBE_PATHS.has(path) && broadcaster !== null;
    if (isPublisher || isSubscriber) {
      const grant = access.isOpen ? EVERYTHING : await access.grantOf(knock.request.headers, query);
      if (this.#draining) throw new RivercastError('draining', STOPPING);
      if (isPublisher) return this.#openPublisher(knock, door, grant);
      if (isSubscriber) return this.#openSubscriber(knock, broadcaster, grant);
    }
    this.#refuse(knock, notHere('no WebSocket', config.role));
  }

  #openPublisher(knock: Knock, door: PublishDoor, grant: Grant): void {
    const channel = this.#channel(knock);
    const protocol = want(protocolOf(knock.request.headers['sec-websocket-protocol']));
    const isV1 = protocol === V1_PROTOCOL;
    // One who speaks v1 may name channels later, and only there.
    if (!isV1 || knock.target.query.has('channel')) demand(grant, 'publish', channel);
    else if (grant.publish.isEmpty)
      throw new RivercastError('forbidden', 'the token does not let you publish');
    const context = isV1 ? this.#publishingV1 : this.#publishing;
    const { rates, guests } = this.#options;
    const rate = rates.of(rates.bucket(), grant.subject);
    const guest = guests.admit(knock.request, grant);
    this.#accept(context, knock, { protocol, deflate: false, guest }, (connection, head) => {
      if (isV1) door.openV1(connection, channel, { caller: guest ?? ANYBODY, rate });
      else door.openRaw(connection, channel, rate);
      connection.wake(head);
    });
  }

  async #openSubscriber(knock: Knock, broadcaster: Broadcaster, grant: Grant): Promise<void> {
    const { query } = knock.target;
    const protocol = want(protocolOf(knock.request.headers['sec-websocket-protocol']));
    const isV1 = protocol === V1_PROTOCOL;
    const channels = this.#channelsOf(knock, isV1, grant);
    const start = want(startOf(query, this.#options.clock.now()));
    if (start.at === 'cursor' && channels.length > 1) {
      throw new RivercastError('bad_cursor', 'after= can be a cursor for one channel only');
    }
    const onGap = want(onGapOf(query, isV1 ? 'skip' : 'fail'));
    using admissions = await broadcaster.admitAll(channels, start);
    if (this.#draining) throw new RivercastError('draining', STOPPING);
    const { list } = admissions;
    const gap = list.find((admission) => admission.gap !== null)?.gap;
    if (gap && onGap === 'fail') {
      this.#refuse(knock, gapProblem(gap), cursorReason(formatCursor(gap.resumeAt)));
      return;
    }
    const close = onGap === 'fail' ? 'close' : 'skip';
    const extensions = knock.request.headers['sec-websocket-extensions'];
    const deflate = this.#options.config.http.compression && agreesToDeflate(extensions);
    const guest = this.#options.guests.admit(knock.request, grant);
    this.#accept(this.#subscribing, knock, { protocol, deflate, guest }, (connection, head) => {
      if (isV1) this.#converse(connection, broadcaster, deflate, guest ?? ANYBODY).begin(list, close);
      else this.#listen(connection, broadcaster, deflate, { admission: list[0] as Admission, close });
      if (head.length > 0) connection.wake(head);
    });
  }

  /** Those to follow from the start, all of which the client may; throws RivercastError. */
  #channelsOf(knock: Knock, isV1: boolean, grant: Grant): readonly string[] {
    const { log, quotas } = this.#options.config;
    const channels = isV1
      ? want(channelsOf(knock.target.query, log.stream, quotas.maxChannels))
      : [this.#channel(knock)];
    for (const channel of channels) demand(grant, 'subscribe', channel);
    if (!grant.subscribe.isEmpty) return channels;
    throw new RivercastError('forbidden', 'the token does not let you subscribe');
  }

  #listen(
    connection: Connection,
    broadcaster: Broadcaster,
    deflate: boolean,
    start: { readonly admission: Admission; readonly close: 'skip' | 'close' },
  ): void {
    const subscriber = broadcaster.join(connection, deflate ? RAW_DEFLATED : RAW);
    connection.user = subscriber;
    broadcaster.subscribe(subscriber, start.admission, start.close);
  }

  #converse(connection: Connection, broadcaster: Broadcaster, deflate: boolean, caller: Caller): V1Session {
    const { clock, logger, config, refusals } = this.#options;
    const format = deflate ? V1_DEFLATED : V1;
    const session = new V1Session({
      ...{ broadcaster, connection, clock, logger, format, caller, refusals },
      hello: this.#hello,
      maxChannels: config.quotas.maxChannels,
    });
    connection.user = session;
    return session;
  }

  /**
   * Lets somebody in. What lives as long as the connection does must not hold the request with its headers, which
   * would be a third of what an idle subscriber takes.
   */
  #accept(
    context: ConnectionContext,
    knock: Knock,
    { guest, ...agreed }: Agreed & { readonly guest: Guest | null },
    opened: (connection: Connection, head: Buffer) => void,
  ): void {
    const { socket } = knock;
    let isOpened = false;
    socket.off('error', destroyThis);
    context.server.accept(knock, agreed, (head) => {
      isOpened = true;
      const connection = new Connection(socket, context, agreed.deflate);
      this.#options.connections.add(connection);
      connection.guest = guest;
      guest?.stay(connection);
      opened(connection, head);
    });
    if (!isOpened) guest?.leave();
  }

  readonly #gone = (connection: Connection): void => {
    this.#options.connections.remove(connection);
    connection.guest?.leave();
    connection.user?.detach();
  };

  #channel(knock: Knock): string {
    return want(channelOf(knock.target.query, this.#options.config.log.stream));
  }

  /** A browser cannot read a refused upgrade, so it is let in and told by the close. */
  #refuse(knock: Knock, problem: Problem, reason: string = problem.detail): void {
    const { request, socket } = knock;
    const { connections, refusals } = this.#options;
    if (request.headers.origin === undefined || problem.code === 'not_found' || connections.isFull) {
      refuseUpgrade(socket, problem, refusals);
      return;
    }
    refusals.count('upgrade', problem.code);
    const protocol = offeredProtocolOf(request.headers['sec-websocket-protocol']);
    this.#accept(this.#refusing, knock, { protocol, deflate: false, guest: null }, (connection, head) => {
      connection.wake(head);
      connection.close(ERRORS[problem.code].close, reason);
    });
  }
}

/** Throws RivercastError `forbidden`. */
function demand(grant: Grant, permission: Permission, channel: string): void {
  const denied = denial(grant, permission, channel);
  if (denied !== null) throw new RivercastError('forbidden', denied);
}

function problemOf(error: unknown, logger: Logger): Problem {
  if (error instanceof RivercastError) return { code: error.code, detail: error.message };
  logger.error({ err: error }, 'an upgrade failed');
  return { code: 'internal', detail: 'the server failed to open the connection' };
}

function destroyThis(this: Socket): void {
  this.destroy();
}
