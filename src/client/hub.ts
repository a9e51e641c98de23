/**
 * One connection that carries subscriptions: a feed for each channel. When it is made again all of them are asked for
 * again, each from its own cursor.
 */
import { RiverError } from './error.ts';
import type { EventHub } from './events.ts';
import { Feed } from './feed.ts';
import { host } from './host.ts';
import { BLOCKED_TRIES, LOST, MAX_CHANNELS } from './limits.ts';
import { type Frame, Link, type LinkOptions } from './link.ts';
import type { Carrier, Carriers, Subscription } from './subscription.ts';

/** All connections together. */
export interface Siblings extends Carriers {
  /** Channels that one may carry. */
  maxChannels: number;
  /** Feeds of a channel that have come to the same place become one. */
  meet(channel: string): void;
}

export interface Where extends Pick<LinkOptions, 'url' | 'token' | 'WebSocket'> {
  readonly events: EventHub;
}

export class Hub implements Carrier {
  readonly link: Link;
  /** By their channels. */
  readonly feeds: Map<string, Feed> = new Map();
  readonly #events: EventHub;
  readonly #hubs: Siblings;
  #hasOpened = false;
  /** Whether events carry what this connection does not. */
  #isBlocked = false;
  /** All that it is kept for, those without a feed for now among them. */
  readonly #members = new Set<Subscription<unknown>>();
  #ref = 0;

  constructor(where: Where, hubs: Siblings) {
    this.#events = where.events;
    this.#hubs = hubs;
    this.link = new Link({
      ...where,
      opened: (hello) => this.#opened(hello),
      frame: (frame) => this.#route(frame),
      changed: (state, error) => {
        if (state === 'open' || state === 'connecting') return;
        if (state === 'ended') for (const subscription of [...this.#members]) subscription.end(error);
        // Events go on without it.
        else if (!this.#isBlocked) {
          for (const feed of this.feeds.values()) feed.lost();
          this.#fallBack();
        }
      },
      isAwaiting: () => this.#isAwaiting(),
      closed: (code) => {
        // Whoever is told why it may not come is not blocked.
        if (code !== LOST) this.#hasOpened = true;
      },
      patienceMs: (heartbeatMs) => heartbeatMs * 2 + 1000,
    });
  }

  add(subscription: Subscription<unknown>): void {
    const { channel } = subscription;
    const feed = this.feeds.get(channel) ?? new Feed(channel);
    this.#members.add(subscription);
    this.feeds.set(channel, feed);
    feed.members.add(subscription);
    this.link.need();
    this.#ask(feed);
    // Not before whoever follows it has it in hand.
    if (feed.state === 'live') queueMicrotask(() => this.#admit(subscription, feed));
  }

  /** It has no room for more. */
  leave(subscription: Subscription<unknown>): void {
    const feed = this.feeds.get(subscription.channel);
    if (feed?.members.delete(subscription) !== true || feed.members.size > 0) return;
    this.feeds.delete(feed.channel);
    clearTimeout(feed.retry);
    if (this.#isBlocked) this.#events.leave(feed);
    else if (feed.state !== 'idle')
      this.link.send({ type: 'unsubscribe', channel: feed.channel, ref: ++this.#ref });
  }

  /** It has ended, or another connection carries it. */
  gone(subscription: Subscription<unknown>): void {
    this.leave(subscription);
    this.#members.delete(subscription);
    if (this.#members.size === 0) this.link.spare();
  }

  #admit(subscription: Subscription<unknown>, feed: Feed): void {
    if (feed.state !== 'live' || !feed.members.has(subscription)) return;
    if (feed.fits(subscription.after)) subscription.take({ type: 'subscribed', cursor: feed.after });
    // It has gone on meanwhile.
    else this.#move(subscription);
  }

  #move(subscription: Subscription<unknown>): void {
    this.leave(subscription);
    this.#hubs.place(subscription);
  }

  #opened({ channels = MAX_CHANNELS }: Frame): void {
    this.#hasOpened = true;
    this.#unblock();
    this.#hubs.maxChannels = channels;
    const [...feeds] = this.feeds.values();
    for (const { members } of feeds.splice(channels)) {
      for (const subscription of [...members]) this.#move(subscription);
    }
    for (const feed of feeds) this.#ask(feed);
  }

  #ask(feed: Feed): void {
    const { channel, after, state } = feed;
    if (state !== 'idle' || this.feeds.get(channel) !== feed) return;
    if (this.#isBlocked) return this.#events.join(feed, (frame) => this.#take(feed, frame));
    if (!this.#isAwaiting()) this.link.touch();
    feed.ref = ++this.#ref;
    if (this.link.send({ type: 'subscribe', channel, after, ref: feed.ref })) feed.state = 'asked';
  }

  /** Each channel that is sent nothing is told where it stands once a heartbeat. */
  #isAwaiting(): boolean {
    for (const { state } of this.feeds.values()) if (state !== 'idle') return true;
    return false;
  }

  #fallBack(): void {
    if (this.#hasOpened || this.link.failures < BLOCKED_TRIES || host.EventSource === undefined) return;
    this.#isBlocked = true;
    for (const feed of this.feeds.values()) this.#ask(feed);
  }

  /** It goes on trying, and this time came through: it may be that the server was away, and nothing is blocked. */
  #unblock(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    for (const feed of this.feeds.values()) {
      this.#events.leave(feed);
      feed.lost();
    }
  }

  #route(frame: Frame): void {
    const { type, ref, channel } = frame;
    const feed =
      channel === undefined
        ? [...this.feeds.values()].find((one) => one.ref === ref)
        : this.feeds.get(channel);
    // Else it is about one that was left meanwhile.
    if (feed === undefined || (ref !== undefined && ref !== feed.ref)) return;
    if (type === 'error') this.#refused(feed, frame);
    else this.#take(feed, frame);
  }

  #take(feed: Feed, frame: Frame): void {
    feed.take(frame);
    this.#hubs.meet(feed.channel);
  }

  #refused(feed: Feed, { code = 'internal', message = code, retry, retryAfter = 1 }: Frame): void {
    if (retry !== true) return feed.end(new RiverError(code, message));
    feed.lost();
    feed.retry = setTimeout(() => this.#ask(feed), retryAfter * 1000 * (0.5 + Math.random()));
  }
}
