/**
 * One WebSocket connection. `ws` does the handshake and reads what comes in; data frames are made by the
 * broadcaster and go whole to the socket, so that the control frames of `ws` never land inside one.
 *
 *   asleep ──first frame but a pong, or a close of ours──▶ awake
 *
 * A subscriber that says nothing stays asleep: its connection is a socket with a few listeners that all share,
 * and takes less than half of what one with a socket of `ws` does. Its pongs are recognised and need none.
 *
 * Any byte received or taken by the kernel counts as life. A connection silent for the heartbeat is pinged
 * (never while bytes are pending, which are a probe already, nor while a publisher is paused and its pong
 * unread); one silent for the idle time-out is ended, and so is one that has ended its side and takes nothing more.
 */
import type { Socket } from 'node:net';
import { type RawData, WebSocket } from 'ws';
import type { Peer, Transport, WriteOutcome } from '../../broadcaster/transport.ts';
import type { Clock } from '../../clock.ts';
import { ERRORS, type ErrorCode } from '../../errors.ts';
import { CLOSE, closeReason } from '../../protocol/close.ts';
import { holdsOnlyPongs, PING_FRAME } from '../../protocol/websocket-frame.ts';
import { type Dismissable, type Guest, peerOf } from '../connections/guests.ts';
import { type Outflow, watch, writeShared } from '../connections/outflow.ts';
import { VISITS_PER_HEARTBEAT, type Visited } from '../connections/timer-wheel.ts';
import type { Incomplete } from '../limits/incomplete.ts';
import type { LimitName } from '../limits/limit-counter.ts';
import { Inflater } from './deflate.ts';
import { FastLane, type LaneLimits, type LaneRefusal } from './fast-lane.ts';
import type { ReadTurns } from './read-turns.ts';
import { Reading } from './reading.ts';
import type { ReasonedSocket, WsServer } from './ws-server.ts';

const NOTHING = Buffer.alloc(0);

/** Pongs in so many pieces a sleeping connection may send between two visits; one that sends more is counted. */
const MAX_UNCOUNTED_PIECES = 16;
/** As much as a packet holds; a larger piece counts for several. */
const PIECE_BYTES = 1500;
/** How long who is refused may take to read why. It is not read from any more. */
const REFUSED_LINGER_MS = 500;

/** What `ws` calls a message above the bound, and one above every bound. */
const TOO_LONG_CODES: ReadonlySet<string> = new Set([
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
]);

const REFUSALS: Readonly<Record<LaneRefusal, { readonly code: number; readonly reason: string }>> = {
  fragments: { code: CLOSE.policyViolation, reason: 'too many fragments in a message' },
  control_frames: { code: CLOSE.policyViolation, reason: 'too many pings and pongs a second' },
  subscriber_frames: { code: CLOSE.policyViolation, reason: 'too many messages a second from a subscriber' },
  incomplete_bytes: { code: CLOSE.tryAgainLater, reason: 'too many bytes of unfinished messages are held' },
};

/** What all connections of a door share. */
export interface ConnectionContext {
  readonly server: WsServer;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly idleTimeoutMs: number;
  readonly limits: LaneLimits;
  readonly incomplete: Incomplete;
  readonly turns: ReadTurns;
  /** Somebody crossed a limit. */
  readonly crossed: (limit: LimitName) => void;
  /** The connection has ended. */
  readonly gone: (connection: Connection) => void;
}

export interface ConnectionUser {
  /** Pending bytes are gone. */
  drained(): void;
  /** So many bytes that were underway wait in this process; `drained` follows. Absent: it writes nothing. */
  stalled?(bytes: number): void;
  /** The connection is gone. */
  detach(): void;
  /** What it is to be sent on a regular visit; null: nothing. */
  visit(quietVisits: number): Buffer | null;
  /** A message came. Absent: what comes is checked and discarded. */
  receive?(data: Buffer, isBinary: boolean): void;
  /** Ends the conversation with the code of an error, once what was asked is answered. */
  dismiss(code: ErrorCode, reason: string): void;
  /** What a close by the server says when nothing else is to be said. */
  readonly closeReason: string;
}

export class Connection implements Outflow, Transport, Visited, Dismissable {
  readonly socket: Socket;
  flow: Outflow['flow'] = 'clear';
  wheelSlot = -1;
  /** Who is told what happens to the connection. */
  user: ConnectionUser | null = null;
  /** Who it is, where that matters. */
  guest: Guest | null = null;
  readonly #context: ConnectionContext;
  readonly #deflate: boolean;
  #ws: ReasonedSocket | null = null;
  #reading: Reading | null = null;
  #isAlone = false;
  #lastBytes = 0;
  /** Came since the last visit, while asleep. */
  #pieces = 0;
  #lastLifeMs: number;
  /** The payload of the last ping that was not answered yet. */
  #ping: Buffer | null = null;

  /** `deflate`: whether what comes in may be compressed. */
  constructor(socket: Socket, context: ConnectionContext, deflate: boolean) {
    this.socket = socket;
    this.#context = context;
    this.#deflate = deflate;
    this.#lastLifeMs = context.clock.monotonic();
    sleepers.set(socket, this);
    socket.on('data', heard).on('end', ended).on('error', ignore).on('close', closed);
  }

  /** Begins to read messages, starting with what was received already. */
  wake(head: Buffer = NOTHING): ReasonedSocket {
    const { socket } = this;
    if (this.#ws !== null) {
      // Its user closed it before what came with the handshake was read: a close of the client may be in there.
      if (head.length > 0) socket.unshift(head);
      return this.#ws;
    }
    sleepers.delete(socket);
    socket.off('data', heard).off('end', ended).off('error', ignore).off('close', closed);
    const { server, limits } = this.#context;
    const inflater = this.#deflate
      ? new Inflater(limits.maxMessageBytes, (code) => this.#ws?.close(code))
      : null;
    const ws = server.socket(socket, head, inflater);
    this.#ws = ws;
    ws.reason = () => this.user?.closeReason;
    ws.on('message', (data: RawData, isBinary: boolean) => this.user?.receive?.(data as Buffer, isBinary));
    ws.on('ping', (payload: Buffer) => this.#pinged(payload));
    this.#openLane(ws);
    return ws;
  }

  get peer(): Peer {
    return peerOf(this);
  }

  write(bytes: Buffer): WriteOutcome {
    return writeShared(this, bytes);
  }

  close(code: number, reason: string): void {
    if (this.#ws !== null || this.isOpen) this.wake().close(code, closeReason(reason));
  }

  dismiss(code: ErrorCode, reason: string): void {
    if (this.user === null) this.close(ERRORS[code].close, reason);
    else this.user.dismiss(code, reason);
  }

  destroy(): void {
    if (this.#ws === null) this.socket.destroy();
    else this.#ws.terminate();
  }

  pause(): void {
    this.wake().pause();
    this.#reading?.paused();
  }

  resume(): void {
    this.wake().resume();
    this.#reading?.resumed();
  }

  /** Its peer has gone: what has come is read at once, and nothing is written, which would end the socket before. */
  hurry(): void {
    this.#isAlone = true;
    this.#reading?.hurry();
  }

  /** Bytes came while asleep. */
  heard(chunk: Buffer): void {
    this.#pieces += 1 + Math.floor(chunk.length / PIECE_BYTES);
    if (this.#pieces <= MAX_UNCOUNTED_PIECES && holdsOnlyPongs(chunk)) return;
    this.wake();
    // The listener of `ws` was not there yet when these bytes came.
    this.socket.emit('data', chunk);
  }

  /** The connection ended while asleep. */
  closed(): void {
    sleepers.delete(this.socket);
    this.#context.gone(this);
  }

  visit(): void {
    const { clock, heartbeatMs, idleTimeoutMs } = this.#context;
    this.#pieces = 0;
    if (this.isOpen) {
      const said = this.user?.visit(VISITS_PER_HEARTBEAT) ?? null;
      if (said !== null) this.#probe(said);
    }
    const now = clock.monotonic();
    const bytes = this.socket.bytesRead + this.socket.bytesWritten - this.socket.writableLength;
    if (bytes !== this.#lastBytes) {
      this.#lastBytes = bytes;
      this.#lastLifeMs = now;
      return;
    }
    // One whose side has ended owes us nothing but to take what is pending.
    if (!this.socket.readableEnded && this.#isWaitingForUs()) {
      // Its silence is ours: it begins to count when we read, or have written, again.
      this.#lastLifeMs = now;
      return;
    }
    const silentMs = now - this.#lastLifeMs;
    if (silentMs >= idleTimeoutMs) {
      this.destroy();
    } else if (silentMs >= heartbeatMs) {
      this.#probe(PING_FRAME);
    }
  }

  get isOpen(): boolean {
    return this.#ws === null ? this.socket.writable : this.#ws.readyState === WebSocket.OPEN;
  }

  flushed(): void {
    this.#pong();
    this.user?.drained();
  }

  stuck(bytes: number): void {
    this.user?.stalled?.(bytes);
  }

  /** Puts the lane between the socket and `ws`, whose listener gets what is not for the lane. */
  #openLane(ws: ReasonedSocket): void {
    const { socket } = this;
    const { limits, clock, incomplete, turns, gone } = this.#context;
    const listeners = socket.listeners('data');
    const read = listeners[0] as (this: Socket, chunk: Buffer) => void;
    if (listeners.length !== 1) throw new Error('ws reads its socket in another way than it did');
    let isBroken = false;
    let isRefused = false;
    // A protocol error, or a connection reset: `ws` closes by itself, and `close` follows.
    ws.on('error', ({ code }: NodeJS.ErrnoException) => {
      isBroken = true;
      if (TOO_LONG_CODES.has(code ?? '')) this.#context.crossed('message_bytes');
    });
    const lane = new FastLane({
      limits,
      clock,
      incomplete,
      isDeflated: this.#deflate,
      receive: (data, isBinary) => this.user?.receive?.(data, isBinary),
      pass: (bytes) => {
        if (!isBroken) read.call(socket, bytes);
      },
      refuse: (limit) => {
        isRefused = true;
        this.#refuse(ws, limit);
      },
    });
    const reading = new Reading(socket, lane, turns, () => isRefused || ws.isPaused);
    this.#reading = reading;
    socket.off('data', read);
    socket.on('data', (chunk) => reading.take(chunk));
    // What a paused socket has received when it closes `ws` would read itself, in the middle of a frame perhaps.
    socket.prependListener('close', () => reading.end());
    ws.on('close', () => gone(this));
  }

  /** A limit is crossed: it is told why, and nothing more is read, which would cost as much as before. */
  #refuse(ws: ReasonedSocket, limit: LaneRefusal): void {
    this.#context.crossed(limit);
    const { code, reason } = REFUSALS[limit];
    ws.close(code, closeReason(this.user?.closeReason || reason));
    this.socket.end();
    this.socket.pause();
    const timer = setTimeout(() => ws.terminate(), REFUSED_LINGER_MS);
    ws.once('close', () => clearTimeout(timer));
  }

  #isWaitingForUs(): boolean {
    return this.socket.writableLength > 0 || this.#ws?.isPaused === true || !this.isOpen;
  }

  /**
   * A ping came. One pong answers all that come in one turn, with the last one's payload (RFC 6455 5.5.3),
   * and only when nothing is pending: whoever does not read cannot make pongs pile up.
   */
  #pinged(payload: Buffer): void {
    if (this.#ping === null) queueMicrotask(() => this.#pong());
    this.#ping = payload;
  }

  /** Sends what is no sign of life of the other side. */
  #probe(bytes: Buffer): void {
    if (this.#isAlone || !this.socket.writable || this.socket.writableLength > 0) return;
    this.socket.write(bytes);
    this.#lastBytes += bytes.length;
    if (this.socket.writableLength > 0) watch(this);
  }

  #pong(): void {
    if (this.#ping === null || this.#isAlone || !this.isOpen) return;
    if (this.socket.writableLength > 0) {
      watch(this);
      return;
    }
    const payload = this.#ping;
    this.#ping = null;
    this.#ws?.pong(payload);
  }
}

/** Found by their sockets, so that a thousand of them share four listeners. */
const sleepers = new WeakMap<Socket, Connection>();

function heard(this: Socket, chunk: Buffer): void {
  sleepers.get(this)?.heard(chunk);
}

/** Its side is closed without a word: so is ours, after what is pending. */
function ended(this: Socket): void {
  this.end();
}

function closed(this: Socket): void {
  sleepers.get(this)?.closed();
}

function ignore(): void {}
