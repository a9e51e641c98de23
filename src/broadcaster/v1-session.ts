/**
 * The conversation with a subscriber that speaks `rivercast.v1`: it asks to follow channels and to leave them,
 * and is told of each how it stands.
 *
 * What it asks is done in order, one thing at a time. A client that asks faster than that, or does not read the
 * answers, is not read: the asks that wait are bounded, and so are the answers.
 */
import { background } from '../background.ts';
import { CHANNEL_RULE, isChannelName } from '../channels.ts';
import type { Clock } from '../clock.ts';
import { ERRORS, type ErrorCode, RivercastError, retryOf } from '../errors.ts';
import { type Caller, denial } from '../grant.ts';
import type { Gap } from '../log/log.ts';
import type { Logger } from '../logger.ts';
import { formatCursor } from '../protocol/cursor.ts';
import { parseStart, START_FORMS, type Start } from '../protocol/start.ts';
import {
  type AuthAsk,
  authenticatedFrame,
  errorFrame,
  type Hello,
  helloFrame,
  type Ref,
  readSubscriberAsk,
  type SubscriberAsk,
  subscribedFrame,
  type UnsubscribeAsk,
  unsubscribedFrame,
} from '../protocol/v1.ts';
import { textFrame } from '../protocol/websocket-frame.ts';
import type { Refusals } from '../refusals.ts';
import type { Admission } from './admission.ts';
import type { Broadcaster } from './broadcaster.ts';
import type { Format } from './format.ts';
import type { Subscriber } from './subscriber.ts';
import type { OnGap, Subscription } from './subscription.ts';
import type { Peer, Transport, WriteOutcome } from './transport.ts';

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
  readonly caller: Caller;
  /** Each costs a place in every pass of its channel. */
  readonly maxChannels: number;
  readonly logger: Logger;
  /** One of those that speak v1. */
  readonly format: Format;
  readonly hello: Hello;
  readonly refusals: Refusals;
}

/** What is to be answered. Whatever the client sent, it is small: a valid channel, a start that was read. */
type Ask =
  | {
      readonly type: 'subscribe';
      readonly channel: string;
      readonly start: Start;
      readonly onGap: 'fail' | 'skip';
      readonly ref: Ref | null;
    }
  | UnsubscribeAsk
  | AuthAsk
  | Refused;

interface Refused {
  readonly type: 'refused';
  readonly code: ErrorCode;
  readonly message: string;
  readonly ref: Ref | null;
  readonly channel: string | undefined;
  /** Where to go on, when a gap is the reason. */
  readonly cursor?: string;
}

export class V1Session implements Transport {
  readonly #options: V1SessionOptions;
  readonly #subscriber: Subscriber;
  #asks: Ask[] = [];
  #isWorking = false;
  #isPaused = false;

  constructor(options: V1SessionOptions) {
    this.#options = options;
    this.#subscriber = options.broadcaster.join(this, options.format);
    this.#subscriber.onEnded = (subscription, gap) => this.#ended(subscription, gap);
    this.#subscriber.onReady = () => this.#start();
    this.#say(helloFrame(options.hello));
  }

  /** Follows the channels that the request itself named. */
  begin(admissions: readonly Admission[], onGap: OnGap): void {
    for (const admission of admissions) this.#follow(admission, onGap, null);
  }

  /** A message came. A binary one means nothing here. */
  receive(data: Buffer, isBinary: boolean): void {
    if (!this.#subscriber.isOpen) return;
    const now = this.#options.clock.now();
    this.#asks.push(isBinary ? BINARY : askOf(readSubscriberAsk(data.toString()), now));
    if (this.#asks.length >= MAX_WAITING_ASKS && !this.#isPaused) {
      this.#isPaused = true;
      this.#options.connection.pause();
    }
    this.#start();
  }

  /** The connection's pending bytes are gone. */
  drained(): void {
    this.#subscriber.drained();
  }

  /** What was underway is pending. */
  stalled(bytes: number): void {
    this.#subscriber.stalled(bytes);
  }

  /** The connection is gone. */
  detach(): void {
    this.#asks = [];
    this.#subscriber.detach();
  }

  visit(quietVisits: number): Buffer | null {
    return this.#subscriber.visit(quietVisits);
  }

  /** Says why, and where to go on: the connection ends. */
  dismiss(code: ErrorCode, reason: string): void {
    this.#refuse(refused(code, reason, { ref: null }));
    this.#subscriber.close(ERRORS[code].close);
  }

  get peer(): Peer | undefined {
    return this.#options.connection.peer;
  }

  get closeReason(): string {
    return this.#subscriber.closeReason;
  }

  write(bytes: Buffer): WriteOutcome {
    return this.#options.connection.write(bytes);
  }

  /** Reads on, or the client's own close would never be seen. */
  close(code: number, reason: string): void {
    this.#asks = [];
    this.#options.connection.close(code, reason);
    this.#readOn();
  }

  destroy(): void {
    this.#options.connection.destroy();
  }

  #start(): void {
    if (this.#isWorking || this.#asks.length === 0) return;
    this.#isWorking = true;
    background('answering a subscriber', this.#work(), this.#options.logger);
  }

  /** Stops while the client does not read its answers; goes on once it has. */
  async #work(): Promise<void> {
    try {
      while (this.#asks.length > 0) {
        const turn = this.#options.broadcaster.asks.step();
        if (turn !== null) await turn;
        if (!this.#subscriber.isReady) break;
        const ask = this.#asks.shift();
        if (ask === undefined) break;
        const answering = this.#answer(ask);
        if (answering !== null) await answering;
        this.#readOn();
      }
    } catch (error) {
      this.#options.logger.error({ err: error }, 'answering a subscriber failed; its connection is ended');
      this.#subscriber.destroy();
    } finally {
      this.#isWorking = false;
    }
  }

  #readOn(): void {
    if (!this.#isPaused || this.#asks.length > MAX_WAITING_ASKS / 2) return;
    this.#isPaused = false;
    this.#options.connection.resume();
  }

  /** Null: done. Waiting for nothing would give the socket away to entries before the next answer. */
  #answer(ask: Ask): Promise<void> | null {
    if (ask.type === 'refused') this.#refuse(ask);
    else if (ask.type === 'unsubscribe') this.#unsubscribe(ask);
    else if (ask.type === 'auth') return this.#renew(ask);
    else {
      const refused = this.#refusalOf(ask);
      if (refused === null) return this.#subscribe(ask);
      this.#refuse(refused);
    }
    return null;
  }

  #refusalOf({ channel, ref }: Ask & { readonly type: 'subscribe' }): Refused | null {
    if (this.#find(channel) !== undefined) {
      return refused('bad_request', 'already subscribed', { channel, ref });
    }
    const { caller, maxChannels } = this.#options;
    const denied = denial(caller.grant, 'subscribe', channel);
    if (denied !== null) return refused('forbidden', denied, { channel, ref });
    if (this.#subscriber.subscriptions.length < maxChannels) return null;
    const message = `one connection follows ${maxChannels} channels at most`;
    return refused('limit_reached', message, { channel, ref });
  }

  /** Null when it failed, and the client was told. */
  async #admitted(asked: {
    readonly channel: string;
    readonly start: Start;
    readonly ref: Ref | null;
  }): Promise<Admission | null> {
    try {
      return await this.#options.broadcaster.admit(asked.channel, asked.start);
    } catch (error) {
      this.#failed(error, asked);
      return null;
    }
  }

  async #subscribe({ channel, start, onGap, ref }: Ask & { readonly type: 'subscribe' }): Promise<void> {
    using admission = await this.#admitted({ channel, start, ref });
    if (admission === null || !this.#subscriber.isOpen) return;
    if (admission.gap !== null && onGap === 'fail') {
      const cursor = formatCursor(admission.gap.resumeAt);
      this.#refuse({ ...refused('gap', GAP_ADVICE, { channel, ref }), cursor });
      return;
    }
    this.#follow(admission, onGap === 'fail' ? 'end' : 'skip', ref);
  }

  /** A new token; what it does not let the client follow ends. */
  async #renew({ token, ref }: AuthAsk): Promise<void> {
    try {
      const { subject, expiresMs } = await this.#options.caller.renew(token);
      this.#say(authenticatedFrame({ subject, expires: expiresMs === null ? null : expiresMs / 1000, ref }));
    } catch (error) {
      this.#refuse(renewalRefused(error, ref));
      return;
    }
    for (const subscription of [...this.#subscriber.subscriptions]) {
      const { channel } = subscription.feed;
      const denied = denial(this.#options.caller.grant, 'subscribe', channel);
      if (denied === null) continue;
      this.#subscriber.leave(subscription);
      this.#refuse(refused('forbidden', denied, { channel, ref: null }));
      this.#say(unsubscribedFrame(channel, subscription.cursor, null));
    }
  }

  #failed(error: unknown, asked: { readonly channel: string; readonly ref: Ref | null }): void {
    if (!(error instanceof RivercastError)) {
      this.#options.logger.error({ err: error }, 'a subscription failed');
      this.#refuse(refused('internal', 'the server failed to subscribe', asked));
      return;
    }
    const { code, message } = error;
    this.#refuse(refused(code, message, asked));
    if (code !== 'log_unavailable') return;
    // Those that waited meanwhile would each wait as long again, one after the other.
    this.#asks = this.#asks.map((ask) => (ask.type === 'subscribe' ? refused(code, message, ask) : ask));
  }

  #unsubscribe(ask: UnsubscribeAsk): void {
    const subscription = this.#find(ask.channel);
    if (subscription === undefined) return this.#refuse(refused('bad_request', 'not subscribed', ask));
    this.#subscriber.leave(subscription);
    this.#say(unsubscribedFrame(ask.channel, subscription.cursor, ask.ref));
  }

  #follow(admission: Admission, onGap: OnGap, ref: Ref | null): void {
    const { channel, ring } = admission.tail;
    // Before a gap, which is told next: who is cut off between the two must be told of it again.
    const cursor = admission.gap?.requested ?? admission.cursor ?? ring.end;
    this.#say(subscribedFrame({ channel, epoch: ring.end.epoch, cursor, tip: ring.end.id, ref }));
    this.#options.broadcaster.subscribe(this.#subscriber, admission, onGap);
  }

  /** A gap ended a subscription that had asked for that. */
  #ended({ feed: { channel }, cursor }: Subscription, gap: Gap): void {
    this.#refuse({
      ...refused('gap', GAP_ADVICE, { channel, ref: null }),
      cursor: formatCursor(gap.resumeAt),
    });
    this.#say(unsubscribedFrame(channel, cursor, null));
  }

  #find(channel: string): Subscription | undefined {
    return this.#subscriber.subscriptions.find(({ feed }) => feed.channel === channel);
  }

  #refuse({ code, message, ref, channel, cursor }: Refused): void {
    this.#options.refusals.count('subscribe', code);
    this.#say(errorFrame({ code, message, ...retryOf(code), channel, cursor, ref }));
  }

  #say(text: string): void {
    if (this.#subscriber.isOpen) this.#subscriber.write(textFrame(text));
  }
}

const GAP_ADVICE =
  'entries after this position are gone; subscribe again after the cursor with "on_gap":"skip"';
const BINARY: Refused = refused('bad_request', 'a frame must be text: one JSON object', { ref: null });

function refused(
  code: ErrorCode,
  message: string,
  { ref, channel }: { readonly ref: Ref | null; readonly channel?: string },
): Refused {
  return { type: 'refused', code, message, ref, channel };
}

function renewalRefused(error: unknown, ref: Ref | null): Refused {
  if (error instanceof RivercastError) return refused(error.code, error.message, { ref });
  throw error;
}

function askOf(ask: SubscriberAsk, nowMs: number): Ask {
  const { ref } = ask;
  if (ask.type === 'misasked') return refused('bad_request', ask.message, { ref });
  if (ask.type === 'auth') return ask;
  if (!isChannelName(ask.channel)) return refused('bad_channel', `channel must be ${CHANNEL_RULE}`, { ref });
  if (ask.type === 'unsubscribe') return ask;
  const { type, channel, after, onGap } = ask;
  const start: Start | null = after === null ? { at: 'latest' } : parseStart(after, nowMs);
  if (start === null) return refused('bad_cursor', `after must be ${START_FORMS}`, { ref, channel });
  return { type, channel, start, onGap, ref };
}
