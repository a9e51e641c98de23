/**
 * What is to be published: a queue, sent in order, each kept until it is acknowledged. Every message has a key, so that
 * what is sent again after a lost connection is stored once.
 */
import { RiverError } from './error.ts';
import { type Frame, Link, type LinkOptions } from './link.ts';

export interface PublishOptions {
  /** What makes a second try known as one; one of its own for each call unless given. */
  readonly key?: string;
}

export interface QueueBounds {
  /** Messages that wait, sent or not. */
  readonly maxQueued: number;
}

/** The server remembers keys for ten minutes unless told otherwise: later, what was sent may be stored twice if it is sent again. */
const KEY_LIFE_MS = 9 * 60_000;
/** An answer that does not come for so long will not come. */
const PATIENCE_MS = 15_000;

/** The close code of a message that is too large. */
const TOO_LARGE = 1009;

interface Entry {
  readonly ref: number;
  readonly frame: string;
  readonly resolve: (id: string) => void;
  readonly reject: (error: RiverError) => void;
  /** When it was first sent; null: not yet. */
  sentMs: number | null;
  /** Whether it is on its way on this connection. */
  isUnderway: boolean;
}

export class Publisher {
  readonly link: Link;
  readonly #maxQueued: number;
  /** In order, by their refs. */
  readonly #queue = new Map<number, Entry>();
  /** While it runs nothing is sent: what was refused for a while comes before what was published since. */
  #retry: ReturnType<typeof setTimeout> | null = null;
  #ref = 0;

  constructor(options: Pick<LinkOptions, 'url' | 'token' | 'WebSocket'>, { maxQueued }: QueueBounds) {
    this.#maxQueued = maxQueued;
    this.link = new Link({
      ...options,
      opened: () => this.#sendAll(),
      frame: (frame) => this.#answered(frame),
      changed: (state, error) => {
        if (state === 'ended') this.#fail(error ?? new RiverError('closed', 'the client was closed'));
        else if (state !== 'open') for (const entry of this.#queue.values()) entry.isUnderway = false;
      },
      isAwaiting: () => this.#queue.size > 0,
      patienceMs: () => PATIENCE_MS,
      closed: (code) => {
        if (code === TOO_LARGE) this.#refuseLongest();
      },
    });
  }

  /** Resolves with the id once it is stored; rejects with RiverError. */
  publish(channel: string, data: unknown, { key = randomKey() }: PublishOptions): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#queue.size >= this.#maxQueued) {
        throw new RiverError('queue_full', `${this.#maxQueued} messages wait to be stored already`, true);
      }
      const ref = ++this.#ref;
      const content = data instanceof Uint8Array ? { data64: base64Of(data) } : { data };
      const frame = { type: 'publish', ref, channel, key, ...content };
      const entry: Entry = {
        ref,
        frame: JSON.stringify(frame),
        resolve,
        reject,
        sentMs: null,
        isUnderway: false,
      };
      if (this.#queue.size === 0) this.link.touch();
      this.#queue.set(ref, entry);
      this.link.need();
      if (this.link.state === 'ended') this.#fail(new RiverError('closed', 'the client was closed'));
      else this.#send(entry);
    });
  }

  close(): void {
    clearTimeout(this.#retry ?? undefined);
    this.link.close();
  }

  #sendAll(): void {
    for (const entry of this.#queue.values()) this.#send(entry);
  }

  #send(entry: Entry): void {
    if (entry.isUnderway || this.#retry !== null) return;
    const now = Date.now();
    if (entry.sentMs !== null && now - entry.sentMs > KEY_LIFE_MS) {
      const why = 'it was sent too long ago to be sent again: nobody knows whether it is stored';
      return this.#settle(entry.ref)?.reject(new RiverError('unknown', why));
    }
    if (!this.link.sendText(entry.frame)) return;
    entry.sentMs ??= now;
    entry.isUnderway = true;
  }

  #answered(frame: Frame): void {
    const {
      type,
      ref = 0,
      id = '',
      code = 'internal',
      message = code,
      retry = false,
      retryAfter = 1,
    } = frame;
    const entry = this.#queue.get(ref);
    if (entry === undefined) return;
    if (type === 'ack') this.#settle(ref)?.resolve(id);
    else if (!retry) this.#settle(ref)?.reject(new RiverError(code, message));
    else {
      entry.isUnderway = false;
      this.#sendLater(retryAfter);
    }
  }

  #sendLater(retryAfter: number): void {
    this.#retry ??= setTimeout(
      () => {
        this.#retry = null;
        this.#sendAll();
      },
      retryAfter * 1000 * (0.5 + Math.random()),
    );
  }

  /** The server ends the connection for a frame that no message fits; it would again, and the longest is too long for certain. */
  #refuseLongest(): void {
    const entries = [...this.#queue.values()].filter(({ sentMs }) => sentMs !== null);
    const longest = entries.reduce<Entry | null>(
      (a, b) => (a === null || b.frame.length > a.frame.length ? b : a),
      null,
    );
    if (longest === null) return;
    this.#settle(longest.ref)?.reject(
      new RiverError('too_large', 'the message is larger than the server takes'),
    );
  }

  #settle(ref: number): Entry | undefined {
    const entry = this.#queue.get(ref);
    this.#queue.delete(ref);
    return entry;
  }

  #fail(error: RiverError): void {
    for (const { ref } of [...this.#queue.values()]) this.#settle(ref)?.reject(error);
  }
}

/** Not `randomUUID`: pages that came over plain HTTP from elsewhere than loopback have none. */
function randomKey(): string {
  return base64Of(crypto.getRandomValues(new Uint8Array(18)));
}

function base64Of(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
