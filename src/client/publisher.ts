/**
 * What is to be published: a queue, sent in order, each kept until it is acknowledged. Every message has a key, so that
 * what is sent again after a lost connection is stored once.
 *
 * All of it is on its way at once, until one is refused for a while. Then what comes behind in its channel would overtake
 * it: so the rest is waited for, and the channel goes on one by one until all that were refused are stored.
 */
import { RiverError } from './error.ts';
import {
  KEYS_MARGIN_S,
  KEYS_S,
  MAX_QUEUED,
  MAX_QUEUED_BYTES,
  PATIENCE_MS,
  SLOWEST,
  TOO_LARGE,
} from './limits.ts';
import { type Frame, Link, type LinkOptions } from './link.ts';

export interface PublishOptions {
  /** What makes a second try known as one; one of its own for each call unless given. */
  readonly key?: string;
}

interface PublisherOptions extends Pick<LinkOptions, 'url' | 'token' | 'WebSocket'> {
  /** Messages that wait, sent or not. */
  readonly maxQueued?: number;
  /** What they take, as they are sent. */
  readonly maxQueuedBytes?: number;
}

/** Refusals of what is certainly not stored by this try. */
const NOT_STORED: ReadonlySet<string> = new Set(['rate_limited', 'overloaded', 'draining']);

/** A channel of which messages were refused for a while. */
interface Jam {
  readonly refused: Set<Entry>;
  /** How many of it are on their way all the same. */
  underway: number;
  /** While it runs nothing is sent. */
  retry: ReturnType<typeof setTimeout> | undefined;
}

interface Entry {
  readonly ref: number;
  readonly channel: string;
  readonly frame: string;
  readonly resolve: (id: string) => void;
  readonly reject: (error: RiverError) => void;
  /** When it was sent on this connection; null: it is not under way. */
  sentMs: number | null;
  /** When it was first sent without anybody knowing what came of it. */
  doubtMs: number | null;
}

export class Publisher {
  readonly link: Link;
  readonly #options: PublisherOptions;
  /** In order, by their refs. */
  readonly #queue = new Map<number, Entry>();
  #bytes = 0;
  #underway = 0;
  /** By their channels. */
  readonly #jams = new Map<string, Jam>();
  #ref = 0;
  /** How long after it was sent what may be stored may be sent again. */
  #keysMs = 0;

  constructor(options: PublisherOptions, patienceMs: number = PATIENCE_MS) {
    this.#options = options;
    this.link = new Link({
      ...options,
      opened: ({ keys = KEYS_S }) => {
        this.#keysMs = (keys - KEYS_MARGIN_S) * 1000;
        this.#sendAll();
      },
      frame: (frame) => this.#answered(frame),
      changed: (state, error) => {
        if (state === 'ended') this.#fail(error ?? new RiverError('closed', 'the client was closed'));
        else if (state !== 'open') this.#lost();
      },
      isAwaiting: () => this.#underway > 0,
      patienceMs: () => patienceMs + (this.#longest()?.frame.length ?? 0) / SLOWEST,
      closed: (code) => {
        if (code === TOO_LARGE) this.#refuseLongest();
      },
    });
  }

  /** Resolves with the id once it is stored; rejects with RiverError. */
  publish(channel: string, data: unknown, { key = randomKey() }: PublishOptions): Promise<string> {
    return new Promise((resolve, reject) => {
      const ref = ++this.#ref;
      const content = data instanceof Uint8Array ? { data64: base64Of(data) } : { data };
      const frame = JSON.stringify({ type: 'publish', ref, channel, key, ...content });
      this.#mustHaveRoomFor(frame);
      const entry: Entry = { ref, channel, frame, resolve, reject, sentMs: null, doubtMs: null };
      this.#queue.set(ref, entry);
      this.#bytes += frame.length;
      this.link.need();
      if (this.link.state === 'ended') this.#fail(new RiverError('closed', 'the client was closed'));
      else this.#send(entry);
    });
  }

  close(): void {
    this.link.close();
  }

  /** One that is larger than the bound may still wait alone. */
  #mustHaveRoomFor({ length }: string): void {
    const { maxQueued = MAX_QUEUED, maxQueuedBytes = MAX_QUEUED_BYTES } = this.#options;
    const { size } = this.#queue;
    if (size < maxQueued && (size === 0 || this.#bytes + length <= maxQueuedBytes)) return;
    throw new RiverError('queue_full', `${size} messages wait already`, true);
  }

  #sendAll(): void {
    for (const entry of this.#queue.values()) this.#send(entry);
  }

  #send(entry: Entry): void {
    const { channel, sentMs, doubtMs, frame } = entry;
    const jam = this.#jams.get(channel);
    if (sentMs !== null || (jam !== undefined && (jam.retry !== undefined || jam.underway > 0))) return;
    const now = Date.now();
    if (doubtMs !== null && now - doubtMs > this.#keysMs) {
      this.#settle(entry);
      return entry.reject(new RiverError('unknown', 'nobody knows any more whether it is stored'));
    }
    if (this.#underway === 0) this.link.touch();
    if (!this.link.sendText(frame)) return;
    entry.sentMs = now;
    this.#underway += 1;
    if (jam !== undefined) jam.underway += 1;
  }

  #answered({
    type,
    ref = 0,
    id = '',
    code = 'internal',
    message = code,
    retry,
    retryAfter = 1,
  }: Frame): void {
    const entry = this.#queue.get(ref);
    if (entry === undefined) return;
    if (type === 'error' && retry === true) {
      this.#returned(entry, !NOT_STORED.has(code));
      return this.#refused(entry, retryAfter);
    }
    const isJammed = this.#jams.has(entry.channel);
    this.#settle(entry);
    if (type === 'ack') entry.resolve(id);
    else entry.reject(new RiverError(code, message));
    if (isJammed) this.#sendAll();
  }

  #refused(entry: Entry, retryAfter: number): void {
    const { channel } = entry;
    const jam = this.#jams.get(channel) ?? this.#jamOf(channel);
    jam.refused.add(entry);
    jam.retry ??= setTimeout(
      () => {
        jam.retry = undefined;
        this.#sendAll();
      },
      retryAfter * 1000 * (0.5 + Math.random()),
    );
  }

  #jamOf(channel: string): Jam {
    const jam: Jam = { refused: new Set(), underway: 0, retry: undefined };
    for (const entry of this.#queue.values())
      if (entry.channel === channel && entry.sentMs !== null) jam.underway += 1;
    this.#jams.set(channel, jam);
    return jam;
  }

  /** On another connection nothing is on its way that could overtake. */
  #lost(): void {
    for (const { retry } of this.#jams.values()) clearTimeout(retry);
    this.#jams.clear();
    for (const entry of this.#queue.values()) this.#returned(entry, true);
  }

  #longest(): Entry | null {
    let longest: Entry | null = null;
    for (const entry of this.#queue.values()) {
      if (entry.sentMs !== null && entry.frame.length > (longest?.frame.length ?? 0)) longest = entry;
    }
    return longest;
  }

  /** The server ends the connection for a frame that no message fits; it would again, and the longest is too long for certain. */
  #refuseLongest(): void {
    const longest = this.#longest();
    if (longest === null) return;
    this.#settle(longest);
    longest.reject(new RiverError('too_large', 'larger than the server takes'));
  }

  /** It is under way no more; `isInDoubt`: it may be stored all the same. */
  #returned(entry: Entry, isInDoubt: boolean): void {
    if (entry.sentMs === null) return;
    if (isInDoubt) entry.doubtMs ??= entry.sentMs;
    entry.sentMs = null;
    this.#underway -= 1;
    const jam = this.#jams.get(entry.channel);
    if (jam !== undefined) jam.underway -= 1;
  }

  #settle(entry: Entry): void {
    const { ref, channel, frame } = entry;
    this.#returned(entry, false);
    this.#queue.delete(ref);
    this.#bytes -= frame.length;
    const jam = this.#jams.get(channel);
    if (jam?.refused.delete(entry) !== true || jam.refused.size > 0) return;
    clearTimeout(jam.retry);
    this.#jams.delete(channel);
  }

  #fail(error: RiverError): void {
    for (const entry of [...this.#queue.values()]) {
      this.#settle(entry);
      entry.reject(error);
    }
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
