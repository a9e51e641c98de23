/**
 * One stream of server-sent events. Fastify and Node answer the request's head; after it the shared bytes of the
 * blocks go straight to the socket, as they do to a WebSocket. The body has no length and no chunks: it ends with
 * the connection (RFC 9112 6.3), so that the same bytes are right for everybody, HTTP/1.0 included.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Subscriber } from '../../broadcaster/subscriber.ts';
import type { Peer, Transport, WriteOutcome } from '../../broadcaster/transport.ts';
import { CLOSE } from '../../protocol/close.ts';
import type { Refusals } from '../../refusals.ts';
import type { Staying } from '../connections/connections.ts';
import { type Dismissable, type Guest, peerOf } from '../connections/guests.ts';
import { type Outflow, watch, writeShared } from '../connections/outflow.ts';
import { VISITS_PER_HEARTBEAT } from '../connections/timer-wheel.ts';

export class SseConnection implements Outflow, Transport, Staying, Dismissable {
  readonly socket: Socket;
  flow: Outflow['flow'] = 'clear';
  wheelSlot = -1;
  /** Who listens here. */
  subscriber: Subscriber | null = null;
  /** Who it is, where that matters. */
  guest: Guest | null = null;
  readonly #response: ServerResponse;
  readonly #lingerMs: number;
  readonly #refusals: Refusals;
  #isClosing = false;

  /** `lingerMs`: how long what is pending may take to go out once the stream has ended. */
  constructor(
    response: ServerResponse,
    socket: Socket,
    { lingerMs, refusals }: { readonly lingerMs: number; readonly refusals: Refusals },
  ) {
    this.socket = socket;
    this.#response = response;
    this.#lingerMs = lingerMs;
    this.#refusals = refusals;
  }

  get peer(): Peer {
    return peerOf(this);
  }

  write(bytes: Buffer): WriteOutcome {
    return writeShared(this, bytes);
  }

  /** A stream has no words for why it ends: the events themselves carry where to resume. */
  close(code?: number): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (code !== undefined) this.#refusals.countClose(code);
    this.#response.end();
    const timer = setTimeout(() => this.socket.destroy(), this.#lingerMs);
    this.socket.once('close', () => clearTimeout(timer));
  }

  /** Its browser comes back by itself, and is told why it may not. */
  dismiss(): void {
    this.subscriber?.close(CLOSE.unauthenticated);
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** The heartbeat keeps proxies from cutting the stream, and finds out when nobody is there any more. */
  visit(): void {
    if (!this.isOpen || this.socket.writableLength > 0) return;
    const position = this.subscriber?.visit(VISITS_PER_HEARTBEAT) ?? null;
    if (position === null) return;
    this.socket.write(position);
    if (this.socket.writableLength > 0) watch(this);
  }

  get isOpen(): boolean {
    return !this.#isClosing && this.socket.writable;
  }

  flushed(): void {
    this.subscriber?.drained();
  }

  stuck(bytes: number): void {
    this.subscriber?.stalled(bytes);
  }
}
