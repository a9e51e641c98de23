/**
 * Where WebSockets are blocked (a proxy that lets only plain HTTP through): subscriptions by server-sent events, one stream
 * each. The browser's EventSource comes back by itself; only when it has given up is it made again.
 */
import type { EventStream, EventStreamClass } from './host.ts';
import type { Frame } from './link.ts';
import type { Subscription } from './subscription.ts';
import type { TokenSource } from './token.ts';

const GIVEN_UP = 2;
const AGAIN_MS = 5000;

type Event = { readonly data: string; readonly lastEventId: string };

export class EventHub {
  readonly #url: string;
  readonly #token: TokenSource | undefined;
  readonly #Class: EventStreamClass | undefined;
  readonly #streams = new Map<Subscription<unknown>, EventStream>();
  /** Those that are to have a stream: what opens late for another is closed. */
  readonly #wanted = new Set<Subscription<unknown>>();

  constructor(url: string, token: TokenSource | undefined, Class: EventStreamClass | undefined) {
    this.#url = url;
    this.#token = token;
    this.#Class = Class;
  }

  get isPossible(): boolean {
    return this.#Class !== undefined;
  }

  join(subscription: Subscription<unknown>): void {
    this.#wanted.add(subscription);
    this.#open(subscription).catch(() => this.#again(subscription));
  }

  leave(subscription: Subscription<unknown>): void {
    this.#wanted.delete(subscription);
    this.#cut(subscription);
  }

  #cut(subscription: Subscription<unknown>): void {
    this.#streams.get(subscription)?.close();
    this.#streams.delete(subscription);
  }

  async #open(subscription: Subscription<unknown>): Promise<void> {
    const { channel, after } = subscription;
    const token = (await this.#token?.())?.trim();
    if (!this.#wanted.has(subscription)) return;
    if (this.#Class === undefined || subscription.state !== 'connecting' || this.#streams.has(subscription))
      return;
    const query = new URLSearchParams({ channel, format: 'v1' });
    if (after !== undefined) query.set('after', after);
    if (typeof token === 'string') query.set('token', token);
    const stream = new this.#Class(`${this.#url}/sse?${query.toString()}`);
    this.#streams.set(subscription, stream);
    stream.onerror = () => {
      if (this.#streams.get(subscription) !== stream) return;
      subscription.lost();
      if (stream.readyState === GIVEN_UP) this.#again(subscription);
    };
    stream.addEventListener('message', (event) => subscription.take(messageOf(event)));
    // The first that comes says where it starts: a position, or the gap before it.
    stream.addEventListener('cursor', ({ data }) => begin(subscription, JSON.parse(data) as Place));
    stream.addEventListener('gap', ({ data }) => {
      const gap = JSON.parse(data) as Place;
      begin(subscription, gap);
      subscription.take({ ...gap, type: 'gap' });
    });
  }

  #again(subscription: Subscription<unknown>): void {
    this.#cut(subscription);
    setTimeout(
      () => {
        if (this.#wanted.has(subscription)) this.join(subscription);
      },
      AGAIN_MS * (0.5 + Math.random() / 2),
    );
  }
}

interface Place {
  readonly cursor: string;
}

function begin(subscription: Subscription<unknown>, { cursor }: Place): void {
  subscription.take({ type: subscription.state === 'connecting' ? 'subscribed' : 'cursor', cursor });
}

function messageOf({ data, lastEventId }: Event): Frame {
  const epoch = /@([^.]+)/.exec(lastEventId)?.[1] ?? null;
  return { type: 'messages', epoch, messages: [JSON.parse(data) as { id: string }] };
}
