/**
 * One connection to one door of the server, made when somebody needs it and made again when it is lost: after a time
 * drawn by lot (full jitter), so that a thousand clients do not come back at once. link-state.ts says what follows
 * what.
 */

import { RiverError } from './error.ts';
import { host, type Socket, type SocketClass, watchHost } from './host.ts';
import { type LinkEvent, type LinkState, NEXT } from './link-state.ts';
import type { RawMessage } from './message.ts';
import { renewalMs, type TokenSource } from './token.ts';

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
}

export interface LinkOptions {
  /** Of the door: `ws://host:3000/ws/broadcast?channel=`. */
  readonly url: string;
  readonly token: TokenSource | undefined;
  readonly WebSocket: SocketClass | undefined;
  /** The server said hello: everything is to be asked again. */
  readonly opened: () => void;
  readonly frame: (frame: Frame) => void;
  /** `error` when it ended for good. */
  readonly changed: (state: LinkState, error: RiverError | null) => void;
  /** The server closed the connection, with this code. */
  readonly closed?: (code: number) => void;
  /** Whether something is awaited: then silence for so long as `patienceMs` is a loss. */
  readonly isAwaiting: () => boolean;
  /** In ms, by the heartbeat of the server. */
  readonly patienceMs: (heartbeatMs: number) => number;
}

const PROTOCOL = 'rivercast.v1';
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;
/** A server that stops sends its clients away in its own time: they may come back at once, to another. */
const RESTART_WAIT_MS = 1000;
/** Until the hello. */
const CONNECT_MS = 15_000;
/** Closes that come again however often one tries; 4401 only when it came with a token that was new. */
const FINAL: Readonly<Record<number, string>> = { 4400: 'bad_request', 4403: 'forbidden' };
const UNAUTHENTICATED = 4401;
const NEVER: ReadonlySet<string> = new Set(['SyntaxError', 'SecurityError']);
const RESTARTING = 1012;

export class Link {
  state: LinkState = 'idle';
  /** How many tries in a row came to nothing. */
  failures = 0;
  readonly #options: LinkOptions;
  #socket: Socket | null = null;
  #error: RiverError | null = null;
  #heardMs = 0;
  #heartbeatMs = 25_000;
  /** Retry, or silence: one of the two is waited for at a time. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | null = null;
  #wasRefused = false;
  /** Of the try under way: what comes of an earlier one is nobody's any more. */
  #attempt = 0;

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

  /** Something is awaited from now on: silence before it does not count. */
  touch(): void {
    this.#heardMs = Date.now();
  }

  sendText(text: string): boolean {
    if (this.state !== 'open') return false;
    this.#socket?.send(text);
    return true;
  }

  #on(event: LinkEvent, waitMs?: number): void {
    const before = this.state;
    const state = NEXT[before][event];
    if (state === before) return;
    this.state = state;
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
    if (state === 'waiting') this.#timer = setTimeout(() => this.#on('due'), waitMs ?? this.#waitMs());
    this.#options.changed(state, this.#error);
  }

  #rest(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    this.failures = 0;
  }

  #waitMs(): number {
    return Math.random() * Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(10, this.failures - 1));
  }

  /** The network is back, or the page is looked at again. */
  #back(): void {
    if (this.state === 'open') this.#listen();
    else this.#on('online');
  }

  async #connect(): Promise<void> {
    const { url, token } = this.#options;
    this.#timer = setTimeout(() => this.#lost(), CONNECT_MS);
    const attempt = ++this.#attempt;
    let shown: string | null = null;
    try {
      // As it comes from a file or an answer, with a line end behind it.
      shown = (await token?.())?.trim() ?? null;
      if (this.state !== 'connecting' || attempt !== this.#attempt) return;
      const Class = this.#options.WebSocket ?? host.WebSocket;
      if (Class === undefined)
        throw new RiverError('bad_request', 'there is no WebSocket here; pass one to connect()');
      this.#socket = new Class(url, shown === null ? [PROTOCOL] : [PROTOCOL, `access_token.${shown}`]);
    } catch (error) {
      if (this.state === 'connecting' && attempt === this.#attempt) this.#failed(error as Error);
      return;
    }
    this.#follow(this.#socket, shown);
  }

  #failed(error: Error): void {
    if (error instanceof RiverError) this.#refuse(error);
    // An address or a token that can be none, or an unencrypted address on an encrypted page: no try will help.
    else if (NEVER.has(error.name)) this.#refuse(new RiverError('bad_request', error.message));
    else this.#lost();
  }

  #follow(socket: Socket, token: string | null): void {
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
      status = Number(/response: (\d+)/.exec(message ?? '')?.[1] ?? 0);
    };
    socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) => {
      this.#socket = null;
      this.#closed(status >= 400 && status < 500 ? 4000 + status : code, reason);
    };
  }

  #greeted({ heartbeat = 25 }: Frame, token: string | null): void {
    this.#heartbeatMs = heartbeat * 1000;
    this.#on('opened');
    this.#wasRefused = false;
    if (token !== null) this.#renewLater(token);
    this.#options.opened();
    if (this.state === 'open') this.#listen();
  }

  #closed(code: number, reason: string): void {
    this.#options.closed?.(code);
    const final = FINAL[code];
    if (final !== undefined) return this.#refuse(new RiverError(final, reason || `refused: ${final}`));
    if (code === UNAUTHENTICATED) {
      // The token was over, perhaps: the next one is new.
      if (this.#wasRefused || this.#options.token === undefined) {
        return this.#refuse(new RiverError('unauthenticated', reason || 'a valid token is needed'));
      }
      this.#wasRefused = true;
      this.failures = 0;
      return this.#on('lost', 0);
    }
    if (code === RESTARTING && this.state === 'open')
      return this.#on('lost', Math.random() * RESTART_WAIT_MS);
    this.#lost();
  }

  #lost(): void {
    this.failures += 1;
    this.#on('lost');
  }

  #refuse(error: RiverError): void {
    this.#error = error;
    this.#on('refused');
  }

  /** Silence where something is awaited is a loss that nobody tells of. */
  #listen(): void {
    clearTimeout(this.#timer);
    const patienceMs = this.#options.patienceMs(this.#heartbeatMs);
    const leftMs = this.#heardMs + patienceMs - Date.now();
    if (!this.#options.isAwaiting()) this.#heardMs = Date.now();
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
    const token = await this.#options.token?.();
    if (typeof token === 'string' && this.send({ type: 'auth', token, ref: -1 })) this.#renewLater(token);
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
