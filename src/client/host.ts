/**
 * What of a browser or of Node the client uses, as far as it uses it: declared here, so that it needs the types of
 * neither, and runs where some of it is missing.
 */

/** A WebSocket as browsers have it; the class of `ws` fits as well. */
export interface Socket {
  // Whoever sets one knows what it is given: with `never` the classes of browsers and of `ws` fit, whose events have more.
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number): void;
  /** What was sent and has not left yet, in bytes. */
  readonly bufferedAmount?: number;
}

export type SocketClass = new (url: string, protocols: string[]) => Socket;

export interface EventStream {
  onopen: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  addEventListener(
    type: string,
    listener: (event: { readonly data: string; readonly lastEventId: string }) => void,
  ): void;
  readonly readyState: number;
  close(): void;
}

export type EventStreamClass = new (url: string) => EventStream;

interface Target {
  addEventListener(type: string, listener: () => void, options?: { readonly signal: AbortSignal }): void;
}

export interface Keeper {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly body: { cancel(): Promise<void> } | null;
  json(): Promise<unknown>;
}

interface Host extends Partial<Target> {
  readonly WebSocket?: SocketClass;
  readonly EventSource?: EventStreamClass;
  readonly fetch?: (url: string) => Promise<Answer>;
  readonly document?: Target & { readonly visibilityState: string };
  readonly localStorage?: Keeper;
  readonly location?: { readonly href: string };
}

export const host: Host = globalThis;

/**
 * Calls `back` whenever a try may succeed that did not before: the network is there again, or somebody looks at the page, whose
 * timers may have been held back meanwhile; `away` when the network goes. Returns what ends it.
 */
export function watchHost(back: () => void, away: () => void): () => void {
  const { document } = host;
  const seen = (): void => {
    if (document?.visibilityState === 'visible') back();
  };
  const over = new AbortController();
  host.addEventListener?.('online', back, over);
  host.addEventListener?.('offline', away, over);
  document?.addEventListener('visibilitychange', seen, over);
  return () => over.abort();
}
