/**
 * One connection to one door of the server, made when somebody needs it and made again when it is lost: after a time
 * drawn by lot (full jitter), so that a thousand clients do not come back at once. link-state.ts says what follows
 * what.
 */

import { RiverError } from './error.ts';
import { host, type Socket, type SocketClass, watchHost } from './host.ts';
import {
  CONNECT_MS,
  FIRST_WAIT_MS,
  MAX_WAIT_MS,
  RESTART_WAIT_MS,
  RESTARTING,
  UNAUTHENTICATED,
} from './limits.ts';
import { type LinkEvent, type LinkState, nextLinkState } from './link-state.ts';
import type { RawMessage } from './message.ts';
import { fetched, renewalMs, type TokenSource } from './token.ts';

/** A frame of the server, as it was parsed. */
export interface Frame {
  readonly type: string;
  readonly ref?: number;
  readonly channel?: string;
  readonly epoch?: string | null;
  readonly cursor?: string | null;
  readonly id?: string;
  readonly duplicate?: boolean;
  readonly code?: string;
  readonly message?: string;
  readonly retry?: boolean;
  readonly retryAfter?: number;
  readonly messages?: readonly RawMessage[];
  readonly reason?: 'trimmed' | 'reset' | 'deleted' | 'damaged';
  readonly lost?: number | null;
  readonly heartbeat?: number;
  readonly channels?: number;
  readonly keys?: number;
  readonly tip?: string;
}

export interface LinkOptions {
  /** Of the door: `ws://host:3000/ws/broadcast?channel=`. */
  readonly url: string;
  readonly token?: TokenSource;
  readonly WebSocket?: SocketClass;
  /** The server said hello: everything is to be asked again. */
  readonly opened: (hello: Frame) => void;
  readonly frame: (frame: Frame) => void;
  /** `error` when it ended for good. */
  readonly changed: (state: LinkState, error: RiverError | null) => void;
  /** The server closed the connection, with this code. */
  readonly closed?: (code: number) => void;
  /** Whether something is awaited: then a line on which nothing moves for so long as `patienceMs` is a loss. */
  readonly isAwaiting: () => boolean;
  /** In ms, by the heartbeat of the server. */
  readonly patienceMs: (heartbeatMs: number) => number;
}

const PROTOCOL = 'rivercast.v1';
/** Closes that come again however often one tries; that for a token only when it came with one that was new. */
const FINAL: Readonly<Record<number, string>> = {
  4400: 'bad_request',
  [UNAUTHENTICATED]: 'unauthenticated',
  4403: 'forbidden',
};
/** SecurityError, SyntaxError. */
const NEVER = /^S[ey]/;

export class Link {
  state: LinkState = 'idle';
  /** How many tries in a row came to nothing. */
  failures = 0;
  readonly #options: LinkOptions;
  #socket: Socket | null = null;
  #error: RiverError | null = null;
  #heardMs = 0;
  /** What waited to leave when that was looked at last. */
  #waitingBytes = 0;
  #heartbeatMs = 25_000;
  /** Another try, or silence: one of the two is waited for at a time. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | null = null;
  #wasRefused = false;
  /** Of its state: what comes of a try from before the last one is nobody's any more. */
  #changes = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  need(): void {
    this.#on('need');
  }

  spare(): void {
    this.#on('spare');
  }

  close(): void {
    this.#on('closed');
  }

  /** False: it is not open. */
  send(frame: object): boolean {
    return this.sendText(JSON.stringify(frame));
  }

  /** Silence before now does not count. */
  touch(): void {
    this.#heardMs = Date.now();
  }

  sendText(text: string): boolean {
    if (this.state !== 'open') return false;
    this.#look();
    this.#socket?.send(text);
    this.#waitingBytes = this.#socket?.bufferedAmount ?? 0;
    return true;
  }

  #on(event: LinkEvent, waitMs?: number): void {
    const before = this.state;
    const state = nextLinkState(before, event);
    if (state === before) return;
    this.state = state;
    this.#changes += 1;
    clearTimeout(this.#timer);
    if (state !== 'open') clearTimeout(this.#renewal);
    if (state !== 'open' && state !== 'connecting') this.#letGo();
    if (state === 'idle' || state === 'ended') this.#rest();
    else
      this.#unwatch ??= watchHost(
        () => this.#back(),
        () => this.#on('offline'),
      );
    if (state === 'connecting') this.#connect().catch(() => this.#lost());
    if (state === 'waiting' || state === 'offline')
      this.#timer = setTimeout(() => this.#on('due'), waitMs ?? this.#waitMs());
    this.#options.changed(state, this.#error);
  }

  #rest(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    this.failures = 0;
  }

  #waitMs(): number {
    // Not every machine says that its network is back.
    if (this.state === 'offline') return MAX_WAIT_MS * (0.5 + Math.random() / 2);
    return Math.random() * Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.failures - 1));
  }

  /** The network is back, or the page is looked at again. */
  #back(): void {
    if (this.state === 'open') this.#listen();
    else this.#on('online');
  }

  async #connect(): Promise<void> {
    this.#timer = setTimeout(() => this.#lost(), CONNECT_MS);
    const changes = this.#changes;
    const token = await fetched(this.#options.token).catch(() => null);
    if (changes !== this.#changes) return;
    if (token === null) return this.#lost();
    const Class = this.#options.WebSocket ?? host.WebSocket;
    if (Class === undefined)
      return this.#refuse('bad_request', 'there is no WebSocket; pass one to connect()');
    const protocols = token === undefined ? [] : [`access_token.${token}`];
    try {
      this.#socket = new Class(this.#options.url, [PROTOCOL, ...protocols]);
    } catch (error) {
      const { name, message } = error as Error;
      // An address or a token that can be none, or an unencrypted address on an encrypted page: no try will help.
      return NEVER.test(name) ? this.#refuse('bad_request', message) : this.#lost();
    }
    this.#follow(this.#socket, token);
  }

  #follow(socket: Socket, token: string | undefined): void {
    let status = 0;
    socket.onmessage = ({ data }: { readonly data: unknown }) => {
      this.#heardMs = Date.now();
      const frame = JSON.parse(data as string) as Frame;
      if (frame.type === 'hello') this.#greeted(frame, token);
      else if (frame.type === 'authenticated') this.#wasRefused = false;
      else {
        // A server that greets and closes is as good as none: only one that does something is worth a quick return.
        if (frame.type !== 'error') this.failures = 0;
        this.#options.frame(frame);
      }
    };
    // Outside of browsers a refusal comes with its status, in the words of `ws`.
    socket.onerror = ({ message }: { readonly message?: string }) => {
      status = Number(/response: (4\d\d)/.exec(message ?? '')?.[1] ?? 0);
    };
    socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) => {
      this.#socket = null;
      this.#closed(status > 0 ? 4000 + status : code, reason);
    };
  }

  #greeted(hello: Frame, token: string | undefined): void {
    this.#heartbeatMs = (hello.heartbeat ?? 25) * 1000;
    this.#on('opened');
    this.#wasRefused = false;
    if (token !== undefined) this.#renewLater(token);
    this.#options.opened(hello);
    if (this.state === 'open') this.#listen();
  }

  #closed(code: number, reason: string): void {
    this.#options.closed?.(code);
    const final = FINAL[code];
    if (code === UNAUTHENTICATED && !this.#wasRefused && this.#options.token !== undefined) {
      // The token was over, perhaps: the next one is new.
      this.#wasRefused = true;
      this.failures = 0;
      return this.#on('lost', 0);
    }
    if (final !== undefined) return this.#refuse(final, reason || `refused: ${final}`);
    if (code === RESTARTING && this.state === 'open')
      return this.#on('lost', Math.random() * RESTART_WAIT_MS);
    this.#lost();
  }

  #lost(): void {
    this.failures += 1;
    this.#on('lost');
  }

  #refuse(code: string, why: string): void {
    this.#error = new RiverError(code, why);
    this.#on('refused');
  }

  /** Bytes that leave are a sign of life too: while a large message is on its way nothing else is seen. */
  #look(): void {
    const bytes = this.#socket?.bufferedAmount ?? 0;
    if (bytes < this.#waitingBytes) this.touch();
    this.#waitingBytes = bytes;
  }

  /** Silence where something is awaited is a loss that nobody tells of. */
  #listen(): void {
    clearTimeout(this.#timer);
    this.#look();
    const patienceMs = this.#options.patienceMs(this.#heartbeatMs);
    const leftMs = this.#heardMs + patienceMs - Date.now();
    if (!this.#options.isAwaiting()) this.touch();
    else if (leftMs <= 0) return this.#lost();
    this.#timer = setTimeout(() => this.#listen(), Math.max(50, Math.min(patienceMs, leftMs)));
  }

  #renewLater(token: string): void {
    const ms = renewalMs(token, Date.now());
    clearTimeout(this.#renewal);
    if (ms === null) return;
    this.#renewal = setTimeout(() => {
      this.#renew().catch(() => undefined);
    }, ms);
  }

  async #renew(): Promise<void> {
    // Should it fail, the server closes with 4401 when the last one is over, and then it is asked for again.
    const token = await fetched(this.#options.token);
    if (token !== undefined && this.send({ type: 'auth', token, ref: -1 })) this.#renewLater(token);
  }

  #letGo(): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    socket.onmessage = null;
    socket.onclose = null;
    // `ws` throws an error that nobody listens for.
    socket.onerror = () => undefined;
    try {
      socket.close();
    } catch {
      // It was not open yet.
    }
  }
}
