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
import type { Transport, WriteOutcome } from '../broadcaster/transport.ts';
import type { Clock } from '../clock.ts';
import { closeReason } from '../protocol/close.ts';
import { PING_FRAME } from '../protocol/websocket-frame.ts';
import type { Visited } from './timer-wheel.ts';

const NOTHING = Buffer.alloc(0);

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

export class Connection implements Transport, Visited {
  wheelSlot = -1;
  /** Who is told what happens to the connection. */
  user: ConnectionUser | null = null;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #heartbeat: HeartbeatOptions;
  #lastBytes = 0;
  #lastLifeMs: number;
  #draining = false;
  /** The payload of the last ping that was not answered yet. */
  #ping: Buffer | null = null;

  constructor(ws: WebSocket, socket: Socket, heartbeat: HeartbeatOptions) {
    this.#ws = ws;
    this.#socket = socket;
    this.#heartbeat = heartbeat;
    this.#lastLifeMs = heartbeat.clock.monotonic();
  }

  write(bytes: Buffer): WriteOutcome {
    const socket = this.#socket;
    if (this.#ws.readyState !== WebSocket.OPEN || socket.destroyed) return 'closed';
    socket.write(bytes);
    // Not what `write` returned: that is false for any large write, even one the kernel took whole.
    if (socket.writableLength === 0) return 'taken';
    this.#watchDrain();
    return 'pending';
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
    const now = clock.monotonic();
    const bytes = this.#socket.bytesRead + this.#socket.bytesWritten - this.#socket.writableLength;
    if (bytes !== this.#lastBytes) {
      this.#lastBytes = bytes;
      this.#lastLifeMs = now;
      return;
    }
    if (this.#socket.writableLength > 0 || this.#ws.isPaused || this.#ws.readyState !== WebSocket.OPEN) {
      // Its silence is ours: it begins to count when we read, or have written, again.
      this.#lastLifeMs = now;
      return;
    }
    const silentMs = now - this.#lastLifeMs;
    if (silentMs >= idleTimeoutMs) {
      this.#ws.terminate();
    } else if (silentMs >= heartbeatMs && this.#socket.writable) {
      this.#socket.write(PING_FRAME);
      // The ping is no sign of life of the other side.
      this.#lastBytes += PING_FRAME.length;
      if (this.#socket.writableLength > 0) this.#watchDrain();
    }
  }

  #pong(): void {
    if (this.#ping === null || this.#ws.readyState !== WebSocket.OPEN) return;
    if (this.#socket.writableLength > 0) {
      this.#watchDrain();
      return;
    }
    const payload = this.#ping;
    this.#ping = null;
    this.#ws.pong(payload);
  }

  /**
   * `drain` is not emitted for a write below the high-water mark, although the kernel may have refused it; an
   * empty write behind the pending one is told of in every case.
   */
  #watchDrain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#socket.write(NOTHING, (error) => {
      this.#draining = false;
      // The connection is gone; its close is told elsewhere.
      if (error) return;
      if (this.#socket.writableLength > 0) {
        this.#watchDrain();
        return;
      }
      this.#pong();
      this.user?.drained();
    });
  }
}
