/**
 * One WebSocket connection. `ws` does the handshake and reads the incoming frames; data frames are made by
 * the broadcaster and go whole to the socket, so that the control frames of `ws` never land inside one.
 *
 * Any byte received or taken by the kernel counts as life. A connection silent for the heartbeat is pinged
 * (never while bytes are pending, which are a probe already, nor while a publisher is paused and its pong
 * unread); one silent for the idle time-out is ended.
 */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Transport } from '../broadcaster/transport.ts';
import type { Clock } from '../clock.ts';
import { closeReason } from '../protocol/close.ts';
import { PING_FRAME } from '../protocol/websocket-frame.ts';
import { Outflow } from './outflow.ts';
import { VISITS_PER_HEARTBEAT, type Visited } from './timer-wheel.ts';

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly idleTimeoutMs: number;
}

export interface ConnectionUser {
  /** Pending bytes are gone. */
  drained(): void;
  /** The connection is gone. */
  detach(): void;
  /** What it is to be sent on a regular visit; null: nothing. */
  visit(quietVisits: number): Buffer | null;
  /** What a close by the server says when nothing else is to be said. */
  readonly closeReason: string;
}

/** A WebSocket that also says why when `ws` itself closes it, for a frame that breaks the protocol. */
export class ReasonedSocket extends WebSocket {
  connection: Connection | null = null;

  override close(code?: number, reason?: string | Buffer): void {
    const said = code === undefined ? reason : (reason ?? this.connection?.user?.closeReason);
    super.close(code, said);
  }
}

export class Connection extends Outflow implements Transport, Visited {
  wheelSlot = -1;
  /** Who is told what happens to the connection. */
  user: ConnectionUser | null = null;
  readonly #ws: WebSocket;
  readonly #heartbeat: HeartbeatOptions;
  #lastBytes = 0;
  #lastLifeMs: number;
  /** The payload of the last ping that was not answered yet. */
  #ping: Buffer | null = null;

  constructor(ws: WebSocket, socket: Socket, heartbeat: HeartbeatOptions) {
    super(socket);
    this.#ws = ws;
    this.#heartbeat = heartbeat;
    this.#lastLifeMs = heartbeat.clock.monotonic();
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, closeReason(reason));
  }

  destroy(): void {
    this.#ws.terminate();
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    this.#ws.resume();
  }

  /**
   * A ping came. One pong answers all that come in one turn, with the last one's payload (RFC 6455 5.5.3),
   * and only when nothing is pending: whoever does not read cannot make pongs pile up.
   */
  pinged(payload: Buffer): void {
    if (this.#ping === null) queueMicrotask(() => this.#pong());
    this.#ping = payload;
  }

  visit(): void {
    const { clock, heartbeatMs, idleTimeoutMs } = this.#heartbeat;
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
    if (this.socket.writableLength > 0 || this.#ws.isPaused || !this.isOpen) {
      // Its silence is ours: it begins to count when we read, or have written, again.
      this.#lastLifeMs = now;
      return;
    }
    const silentMs = now - this.#lastLifeMs;
    if (silentMs >= idleTimeoutMs) {
      this.#ws.terminate();
    } else if (silentMs >= heartbeatMs) {
      this.#probe(PING_FRAME);
    }
  }

  protected get isOpen(): boolean {
    return this.#ws.readyState === WebSocket.OPEN;
  }

  protected flushed(): void {
    this.#pong();
    this.user?.drained();
  }

  /** Sends what is no sign of life of the other side. */
  #probe(bytes: Buffer): void {
    if (!this.socket.writable || this.socket.writableLength > 0) return;
    this.socket.write(bytes);
    this.#lastBytes += bytes.length;
    if (this.socket.writableLength > 0) this.watchDrain();
  }

  #pong(): void {
    if (this.#ping === null || !this.isOpen) return;
    if (this.socket.writableLength > 0) {
      this.watchDrain();
      return;
    }
    const payload = this.#ping;
    this.#ping = null;
    this.#ws.pong(payload);
  }
}
