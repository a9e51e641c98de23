/**
 * The conversation with a subscriber that speaks `rivercast.v1`: it asks to follow channels and to leave them,
 * and is told of each how it stands.
 *
 * What it asks is done in order, one thing at a time. A client that asks faster than that, or does not read the
 * answers, is not read: the asks that wait are bounded, and so are the answers.
 */
import { background } from '../background.ts';
import { isChannelName } from '../channels.ts';
import type { Clock } from '../clock.ts';
import { ERRORS, type ErrorCode, RivercastError, retryAfterS } from '../errors.ts';
import type { Gap } from '../log/log.ts';
import type { Logger } from '../logger.ts';
import { formatCursor } from '../protocol/cursor.ts';
import { parseStart, type Start } from '../protocol/start.ts';
import {
  errorFrame,
  helloFrame,
  type Misasked,
  type Ref,
  readSubscriberAsk,
  type SubscribeAsk,
  type SubscriberAsk,
  subscribedFrame,
  type UnsubscribeAsk,
  unsubscribedFrame,
} from '../protocol/v1.ts';
import { textFrame } from '../protocol/websocket-frame.ts';
import type { Admission, Broadcaster } from './broadcaster.ts';
import type { Format } from './format.ts';
import type { Subscriber } from './subscriber.ts';
import type { OnGap, Subscription } from './subscription.ts';
import type { Transport } from './transport.ts';

/** Each costs a place in every pass of its channel. */
export const MAX_CHANNELS = 100;
const MAX_WAITING_ASKS = 64;

export interface V1Connection extends Transport {
  /** Stops and restarts reading from the socket. */
  pause(): void;
  resume(): void;
}

export interface V1SessionOptions {
  readonly broadcaster: Broadcaster;
  readonly connection: V1Connection;
  readonly clock: Clock;
  readonly logger: Logger;
  /** One of those that speak v1. */
  readonly format: Format;
  readonly hello: { readonly server: string; readonly heartbeat: number };
}

export class V1Session {
  readonly #options: V1SessionOptions;
  readonly #subscriber: Subscriber;
  readonly #asks: SubscriberAsk[] = [];
  #isWorking = false;
  #isPaused = false;

  constructor(options: V1SessionOptions) {
    this.#options = options;
    this.#subscriber = options.broadcaster.join(options.connection, options.format);
    this.#subscriber.onEnded = (subscription, gap) => this.#ended(subscription, gap);
    this.#say(helloFrame(options.hello));
  }

  /** Follows the channels that the request itself named. */
  begin(admissions: readonly Admission[], onGap: OnGap): void {
    for (const admission of admissions) this.#follow(admission, onGap, null);
  }

  /** A message came. A binary one means nothing here. */
  receive(data: Buffer, isBinary: boolean): void {
    this.#asks.push(isBinary ? BINARY : slim(readSubscriberAsk(data.toString())));
    if (this.#asks.length >= MAX_WAITING_ASKS && !this.#isPaused) {
      this.#isPaused = true;
      this.#options.connection.pause();
    }
    this.#start();
  }

  /** The connection's pending bytes are gone. */
  drained(): void {
    this.#subscriber.drained();
    this.#start();
  }

  /** The connection is gone. */
  detach(): void {
    this.#asks.length = 0;
    this.#subscriber.detach();
  }

  visit(quietVisits: number): Buffer | null {
    return this.#subscriber.visit(quietVisits);
  }

  get closeReason(): string {
    return this.#subscriber.closeReason;
  }

  #start(): void {
    if (this.#isWorking || this.#asks.length === 0) return;
    this.#isWorking = true;
    background('answering a subscriber', this.#work(), this.#options.logger);
  }

  /** Stops while the client does not read its answers; goes on once it has. */
  async #work(): Promise<void> {
    try {
      while (this.#subscriber.isReady) {
        const ask = this.#asks.shift();
        if (ask === undefined) break;
        await this.#answer(ask);
        this.#readOn();
      }
    } finally {
      this.#isWorking = false;
    }
  }

  #readOn(): void {
    if (!this.#isPaused || this.#asks.length > MAX_WAITING_ASKS / 2) return;
    this.#isPaused = false;
    this.#options.connection.resume();
  }

  async #answer(ask: SubscriberAsk): Promise<void> {
    switch (ask.type) {
      case 'subscribe':
        return this.#subscribe(ask);
      case 'unsubscribe':
        return this.#unsubscribe(ask);
      case 'misasked':
        return this.#refuse(ask, 'bad_request', ask.message);
    }
  }

  async #subscribe(ask: SubscribeAsk): Promise<void> {
    const { channel, onGap, ref } = ask;
    if (!isChannelName(channel)) return this.#refuse(ask, 'bad_channel', CHANNEL_RULE);
    const start: Start | null =
      ask.after === null ? { at: 'latest' } : parseStart(ask.after, this.#options.clock.now());
    if (start === null) return this.#refuse(ask, 'bad_cursor', 'after is no start position');
    if (this.#find(channel) !== undefined) return this.#refuse(ask, 'bad_request', 'already subscribed');
    if (this.#subscriber.subscriptions.length >= MAX_CHANNELS) {
      return this.#refuse(ask, 'limit_reached', `one connection follows ${MAX_CHANNELS} channels at most`);
    }
    let admission: Admission;
    try {
      admission = await this.#options.broadcaster.admit(channel, start);
    } catch (error) {
      if (!(error instanceof RivercastError)) throw error;
      return this.#refuse(ask, error.code, error.message);
    }
    if (!this.#subscriber.isOpen) return;
    if (admission.gap !== null && onGap === 'fail') {
      const cursor = formatCursor(admission.gap.resumeAt);
      return this.#refuse(ask, 'gap', GAP_ADVICE, cursor);
    }
    this.#follow(admission, onGap === 'fail' ? 'end' : 'skip', ref);
  }

  #unsubscribe(ask: UnsubscribeAsk): void {
    const subscription = this.#find(ask.channel);
    if (subscription === undefined) return this.#refuse(ask, 'bad_request', 'not subscribed');
    this.#subscriber.leave(subscription);
    this.#say(unsubscribedFrame(ask.channel, subscription.cursor, ask.ref));
  }

  #follow(admission: Admission, onGap: OnGap, ref: Ref | null): void {
    const { channel, ring } = admission.tail;
    const cursor = admission.cursor ?? ring.end;
    this.#say(subscribedFrame({ channel, epoch: ring.end.epoch, cursor, tip: ring.end.id, ref }));
    this.#options.broadcaster.subscribe(this.#subscriber, admission, onGap);
  }

  /** A gap ended a subscription that had asked for that. */
  #ended({ feed: { channel }, cursor }: Subscription, gap: Gap): void {
    const told = { channel, cursor: formatCursor(gap.resumeAt) };
    this.#say(errorFrame({ code: 'gap', message: GAP_ADVICE, retry: false, ...told }));
    this.#say(unsubscribedFrame(channel, cursor, null));
  }

  #find(channel: string): Subscription | undefined {
    return this.#subscriber.subscriptions.find(({ feed }) => feed.channel === channel);
  }

  #refuse(
    ask: { readonly ref: Ref | null; readonly channel?: string },
    code: ErrorCode,
    message: string,
    cursor?: string,
  ): void {
    const { retry } = ERRORS[code];
    const { ref, channel } = ask;
    this.#say(
      errorFrame({
        code,
        message,
        retry,
        ...(retry ? { retryAfter: retryAfterS(code) } : {}),
        ...(channel === undefined ? {} : { channel }),
        ...(cursor === undefined ? {} : { cursor }),
        ref,
      }),
    );
  }

  #say(text: string): void {
    if (this.#subscriber.isOpen) this.#subscriber.write(textFrame(text));
  }
}

const CHANNEL_RULE = 'channel must be 1 to 128 characters of A-Z a-z 0-9 _ . : -';
const GAP_ADVICE =
  'entries after this position are gone; subscribe again after the cursor with "on_gap":"skip"';
const BINARY: Misasked = { type: 'misasked', message: 'a frame must be text: one JSON object', ref: null };

/** What waits must be small: a name that is none is not kept whole. */
function slim(ask: SubscriberAsk): SubscriberAsk {
  if (ask.type === 'misasked' || ask.channel.length <= MAX_KEPT_LENGTH) return ask;
  return { type: 'misasked', message: CHANNEL_RULE, ref: ask.ref };
}

const MAX_KEPT_LENGTH = 128;
