/**
 * Where WebSockets are blocked (a proxy that lets only plain HTTP through): feeds by server-sent events, one stream
 * each. The browser's EventSource comes back by itself; only when it has given up is it made again.
 */
import { RiverError } from './error.ts';
import type { Feed } from './feed.ts';
import { host } from './host.ts';
import { AGAIN_MS } from './limits.ts';
import type { Frame } from './link.ts';
import { fetched, type TokenSource } from './token.ts';

const GIVEN_UP = 2;

type Take = (frame: Frame) => void;

export class EventHub {
  readonly #url: string;
  readonly #token: TokenSource | undefined;
  /** Those that are to have a stream: what opens late for another is closed. */
  readonly #wanted = new Map<Feed, Take>();

  constructor(url: string, token: TokenSource | undefined) {
    this.#url = url;
    this.#token = token;
  }

  /** `take` is given what comes. */
  join(feed: Feed, take: Take): void {
    this.#wanted.set(feed, take);
    this.#open(feed).catch(() => this.#again(feed));
  }

  leave(feed: Feed): void {
    this.#wanted.delete(feed);
    cut(feed);
  }

  async #open(feed: Feed, hasGivenUp = false): Promise<void> {
    const token = await fetched(this.#token);
    const { channel, after } = feed;
    const query = { channel, format: 'v1', after, ...(token === undefined ? {} : { token }) };
    const url = `${this.#url}/sse?${new URLSearchParams(query).toString()}`;
    if (hasGivenUp && this.#wanted.has(feed)) await mustBeAllowed(feed, url);
    const take = this.#wanted.get(feed);
    const { EventSource } = host;
    if (EventSource === undefined || take === undefined || feed.stream !== null) return;
    const stream = new EventSource(url);
    feed.stream = stream;
    stream.onerror = () => {
      if (feed.stream !== stream) return;
      feed.lost();
      if (stream.readyState === GIVEN_UP) this.#again(feed);
    };
    for (const type of ['message', 'cursor', 'gap']) {
      stream.addEventListener(type, ({ data, lastEventId }) => {
        const told = JSON.parse(data) as Told;
        if (type === 'message') {
          const epoch = /@([^.]+)/.exec(lastEventId)?.[1] ?? null;
          return take({ type: 'messages', epoch, messages: [told] });
        }
        // The first that comes says where it starts: a position, or the gap before it.
        take({ type: feed.state === 'live' ? 'cursor' : 'subscribed', cursor: told.cursor });
        if (type === 'gap') take({ ...told, type });
      });
    }
  }

  #again(feed: Feed): void {
    cut(feed);
    setTimeout(
      () => {
        if (this.#wanted.has(feed)) this.#open(feed, true).catch(() => this.#again(feed));
      },
      AGAIN_MS * (0.5 + Math.random() / 2),
    );
  }
}

function cut(feed: Feed): void {
  feed.stream?.close();
  feed.stream = null;
}

/** A message, or a place. */
interface Told {
  readonly id: string;
  readonly cursor: string;
}

/** An EventSource does not say why it gave up: what is refused for good, also with a new token, ends. */
async function mustBeAllowed(feed: Feed, url: string): Promise<void> {
  const answer = await host.fetch?.(url);
  if (answer?.ok !== false) return answer?.body?.cancel();
  // Too many requests, or a fault of a server: later, perhaps.
  if (answer.status >= 429) throw new Error();
  const { code, detail } = (await answer.json()) as { readonly code: string; readonly detail: string };
  feed.end(new RiverError(code, detail));
}
