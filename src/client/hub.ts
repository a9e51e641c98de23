/**
 * The subscriptions of one connection, which carries each channel once. When it is made again all of them are asked
 * for again, each from its own cursor.
 */
import { RiverError } from './error.ts';
import type { EventHub } from './events.ts';
import { type Frame, Link, type LinkOptions } from './link.ts';
import type { Carrier, Subscription } from './subscription.ts';

/** So many tries that never came to a hello, and WebSockets are taken to be blocked. */
const BLOCKED_TRIES = 2;
/** The code of a connection that ended without a word, or never came to be. */
const LOST = 1006;
/** The server allows as many unless told otherwise. */
const MAX_CHANNELS = 100;

export class Hub implements Carrier {
  readonly link: Link;
  readonly #events: EventHub;
  #hasOpened = false;
  /** Whether events carry what this connection does not. */
  #isBlocked = false;
  readonly #subscriptions = new Map<string, Subscription<unknown>>();
  /** Who asked last under which ref: what names no channel is about that. */
  readonly #asked = new Map<number, Subscription<unknown>>();
  #ref = 0;
  readonly #retries = new Set<ReturnType<typeof setTimeout>>();

  constructor(options: Pick<LinkOptions, 'url' | 'token' | 'WebSocket'>, events: EventHub) {
    this.#events = events;
    this.link = new Link({
      ...options,
      opened: () => {
        this.#hasOpened = true;
        this.#asked.clear();
        this.#unblock();
        for (const subscription of this.#subscriptions.values()) this.join(subscription);
      },
      frame: (frame) => this.#route(frame),
      changed: (state, error) => {
        if (state === 'open' || state === 'connecting') return;
        // Events go on without it, unless it is over.
        if (this.#isBlocked && state !== 'ended') return;
        for (const subscription of [...this.#subscriptions.values()]) {
          if (state === 'ended') subscription.end(error);
          else subscription.lost();
        }
        this.#fallBack();
      },
      // Each channel that is sent nothing is told where it stands once a heartbeat.
      isAwaiting: () =>
        this.#asked.size > 0 || [...this.#subscriptions.values()].some(({ state }) => state === 'live'),
      closed: (code) => {
        // Whoever is told why it may not come is not blocked.
        if (code !== LOST) this.#hasOpened = true;
      },
      patienceMs: (heartbeatMs) => heartbeatMs * 2 + 1000,
    });
  }

  hasRoomFor(channel: string): boolean {
    return this.#subscriptions.size < MAX_CHANNELS && !this.#subscriptions.has(channel);
  }

  add(subscription: Subscription<unknown>): void {
    this.#subscriptions.set(subscription.channel, subscription);
    this.link.need();
    this.join(subscription);
  }

  join(subscription: Subscription<unknown>): void {
    const { channel, after, state } = subscription;
    if (state !== 'connecting') return;
    if (this.#isBlocked) this.#events.join(subscription);
    else if (this.link.send({ type: 'subscribe', channel, after, ref: ++this.#ref })) {
      if (this.#asked.size === 0) this.link.touch();
      this.#asked.set(this.#ref, subscription);
    }
  }

  leave(subscription: Subscription<unknown>): void {
    const { channel } = subscription;
    if (this.#isBlocked) this.#events.leave(subscription);
    else this.link.send({ type: 'unsubscribe', channel, ref: ++this.#ref });
  }

  gone(subscription: Subscription<unknown>): void {
    const { channel, state } = subscription;
    // Also when it is not known yet to be followed: its channel must be free for the next who asks.
    const isAsked = [...this.#asked.values()].includes(subscription);
    if (state === 'live' || isAsked || this.#isBlocked) this.leave(subscription);
    this.#subscriptions.delete(channel);
    if (this.#subscriptions.size === 0) this.link.spare();
  }

  close(): void {
    for (const timer of this.#retries) clearTimeout(timer);
    this.link.close();
  }

  #fallBack(): void {
    if (this.#hasOpened || this.link.failures < BLOCKED_TRIES || !this.#events.isPossible) return;
    this.#isBlocked = true;
    for (const subscription of this.#subscriptions.values()) this.join(subscription);
  }

  /** It goes on trying, and this time came through: it may be that the server was away, and nothing is blocked. */
  #unblock(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    for (const subscription of this.#subscriptions.values()) {
      this.#events.leave(subscription);
      subscription.lost();
    }
  }

  #route(frame: Frame): void {
    const { ref = 0, channel = '' } = frame;
    // About one that was left meanwhile.
    if (frame.type === 'error' && ref !== 0 && !this.#asked.has(ref)) return;
    const subscription = this.#asked.get(ref) ?? this.#subscriptions.get(channel);
    this.#asked.delete(ref);
    if (subscription === undefined) return;
    if (frame.type === 'error') this.#refused(subscription, frame);
    else subscription.take(frame);
  }

  #refused(
    subscription: Subscription<unknown>,
    { code = 'internal', message = code, retry, retryAfter = 1 }: Frame,
  ): void {
    // We left it just now, and asked before that was known.
    if (code === 'bad_request' && subscription.state !== 'connecting') return;
    if (retry !== true) return subscription.end(new RiverError(code, message));
    subscription.lost();
    const timer = setTimeout(
      () => {
        this.#retries.delete(timer);
        this.join(subscription);
      },
      retryAfter * 1000 * (0.5 + Math.random()),
    );
    this.#retries.add(timer);
  }
}
