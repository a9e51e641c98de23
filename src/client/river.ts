/**
 * The client. One connection carries all subscriptions (hubs.ts says when there are more), another all that is published.
 *
 *   const river = connect('ws://127.0.0.1:3000');
 *   for await (const message of river.subscribe('scores')) console.log(message.data);
 *   await river.publish('scores', { goal: 1 });
 */
import { RiverError } from './error.ts';
import { EventHub } from './events.ts';
import { host, type SocketClass } from './host.ts';
import { Hubs } from './hubs.ts';
import type { ListenOptions, SubscribeOptions } from './message.ts';
import { Publisher, type PublishOptions } from './publisher.ts';
import { Subscription } from './subscription.ts';
import type { TokenSource } from './token.ts';

export interface ConnectOptions {
  /** Where to publish, when that is another server. */
  readonly publishUrl?: string;
  /** Called for each connection, and before a token is over. */
  readonly token?: TokenSource;
  /** Where there is none: Node before 22 takes that of `ws`. */
  readonly WebSocket?: SocketClass;
  /** Messages that may wait to be stored; more are refused with `queue_full`. */
  readonly maxQueued?: number;
  /** The same in bytes, as they are sent: a character of their JSON counts as one. */
  readonly maxQueuedBytes?: number;
}

/** The base address of the server, `http:` or `ws:`; the paths are added to it. Nothing is connected before it is needed. */
export function connect(url: string, options: ConnectOptions = {}): River {
  return new River(url, options);
}

export class River {
  readonly #url: string;
  readonly #options: ConnectOptions;
  readonly #hubs: Hubs;
  #publisher: Publisher | null = null;
  #isClosed = false;

  constructor(url: string, options: ConnectOptions) {
    this.#url = baseOf(url);
    this.#options = options;
    const events = new EventHub(this.#url.replace(/^ws/, 'http'), options.token);
    this.#hubs = new Hubs({ ...options, url: `${this.#url}/ws/broadcast?channel=`, events });
  }

  /**
   * Follows a channel: with `onMessage` each message is given to that; else `for await` over what is returned takes
   * them. Ends by `unsubscribe()`, by leaving the loop, or by an error that trying again does not help.
   */
  subscribe<Data = unknown>(
    channel: string,
    options: SubscribeOptions<Data> | ListenOptions<Data> = {},
  ): Subscription<Data> {
    const subscription = new Subscription<Data>(channel, options, this.#hubs);
    if (this.#isClosed) subscription.end(new RiverError('closed', 'the client was closed'));
    else this.#hubs.place(subscription);
    if ('onMessage' in options && options.onMessage !== undefined) listen(subscription, options);
    return subscription;
  }

  /**
   * Resolves with the id of the message once it is stored. While the server is away it waits, and is sent again until it is
   * known to be stored, once. A string is sent as text, bytes as they are, anything else as JSON.
   */
  publish(channel: string, data: unknown, options: PublishOptions = {}): Promise<string> {
    // One that was refused for good: this one may have another token.
    if (this.#publisher?.link.state === 'ended' && !this.#isClosed) this.#publisher = null;
    this.#publisher ??= this.#makePublisher();
    return this.#publisher.publish(channel, data, options);
  }

  /** Ends all subscriptions; what is not stored yet is rejected. */
  close(): void {
    this.#isClosed = true;
    this.#hubs.close();
    (this.#publisher ??= this.#makePublisher()).close();
  }

  #makePublisher(): Publisher {
    const { publishUrl } = this.#options;
    const base = publishUrl === undefined ? this.#url : baseOf(publishUrl);
    return new Publisher({ ...this.#options, url: `${base}/ws/manager` });
  }
}

function listen<Data>(subscription: Subscription<Data>, { onMessage, onState }: ListenOptions<Data>): void {
  const run = async (): Promise<void> => {
    for await (const message of subscription) {
      const done = onMessage(message);
      if (done instanceof Promise) await done;
    }
  };
  run().catch((error: Error) => {
    subscription.end(error);
    // An end that nobody asked to be told of must not look like a channel where nothing happens.
    if (onState === undefined) console.error(error);
  });
}

/** With a scheme of WebSockets, and nothing behind the host but a path without its last slash. */
function baseOf(url: string): string {
  return new URL(url, host.location?.href).href.replace(/^http/, 'ws').replace(/\/?([?#].*)?$/, '');
}
