/**
 * One subscription: a cursor, and what was received and is not taken yet. It outlives connections: whenever it is asked
 * for again it goes on after its cursor, and what it had already is dropped.
 * What follows what, subscription-state.ts says.
 *
 *   connecting ──subscribed──▶ live ──buffer full──▶ paused ──half of it taken──▶ connecting
 *   any ──unsubscribed, refused, failed──▶ ended
 */
import { type Gap, GapError, RiverError } from './error.ts';
import { BUFFER, LATEST } from './limits.ts';
import type { Frame } from './link.ts';
import {
  type CursorStore,
  isNoLater,
  type Message,
  messageOf,
  type SubscribeOptions,
  type SubscriptionState,
} from './message.ts';
import { nextState, type SubscriptionEvent } from './subscription-state.ts';

/** What a subscription needs of the connection that carries it. */
export interface Carrier {
  /** It is paused. */
  leave(subscription: Subscription<unknown>): void;
  /** It has ended, or another carries it. */
  gone(subscription: Subscription<unknown>): void;
}

export interface Carriers {
  /** Has one of them carry it, from where it stands. */
  place(subscription: Subscription<unknown>): void;
}

type Item<Data> = Message<Data> | { readonly gap: Gap };

export class Subscription<Data> implements AsyncIterable<Message<Data>> {
  readonly channel: string;
  state: SubscriptionState = 'connecting';
  /** What carries it; null: nothing yet. */
  hub: Carrier | null = null;
  readonly #options: SubscribeOptions<Data>;
  readonly #carriers: Carriers;
  readonly #store: CursorStore | null;
  /** Where it stands: behind the last message received. */
  #cursor: string | null;
  /** The same, taken apart. What lies before it was received. */
  #last: { readonly epoch: string | null; readonly id: string } | null = null;
  #items: Item<Data>[] = [];
  #error: Error | null = null;
  #wake: (() => void) | null = null;
  #isTaken = false;

  constructor(channel: string, options: SubscribeOptions<Data>, carriers: Carriers) {
    const { after } = options;
    this.channel = channel;
    this.#options = options;
    this.#carriers = carriers;
    this.#store = typeof after === 'object' ? after : null;
    this.#cursor = this.#store?.load() ?? null;
  }

  /** Where it goes on: the cursor of the last message received, else where it was told to start. */
  get after(): string {
    const { after = LATEST } = this.#options;
    return this.#cursor ?? (typeof after === 'string' ? after : LATEST);
  }

  /** What is received and not taken yet is gone. Idempotent. */
  unsubscribe(): void {
    this.#items = [];
    this.end(null);
  }

  /** A frame of the server about this channel. */
  take(frame: Frame): void {
    if (this.state === 'ended') return;
    if (frame.type === 'subscribed') this.#joined(frame);
    else if (this.state !== 'live') return;
    else if (frame.type === 'messages') this.#receive(frame);
    else if (frame.type === 'gap') this.#meet(frame);
    else if (frame.type === 'cursor') this.#stand(frame);
  }

  /** The connection is gone: it will be asked for again. */
  lost(): void {
    this.#on('lost');
  }

  end(error: Error | null): void {
    if (this.state === 'ended') return;
    this.#error = error;
    this.hub?.gone(this);
    this.#wake?.();
    this.#on('over');
  }

  /** Once only: what one reader takes another does not get. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<Data>, void, undefined> {
    if (this.#isTaken) throw new RiverError('bad_request', 'it has a reader already');
    this.#isTaken = true;
    try {
      for (;;) {
        const item = this.#items.shift();
        if (item === undefined) {
          if (this.state === 'ended') break;
          await new Promise<void>((resolve) => (this.#wake = resolve));
          continue;
        }
        this.#resume();
        if ('gap' in item) this.#tell(item.gap);
        else {
          yield await this.#checked(item);
          // It is taken when the next one is asked for.
          this.#store?.save(item.cursor);
        }
      }
      if (this.#error !== null) throw this.#error;
    } catch (error) {
      this.end(error as Error);
      throw error;
    } finally {
      this.unsubscribe();
    }
  }

  #joined(frame: Frame): void {
    const isFirst = this.#cursor === null;
    // Whoever began with `latest` has from here on something to lose.
    this.#stand(frame);
    // A first visit that gets nothing has a place to come back to all the same.
    try {
      if (isFirst && this.#cursor !== null) this.#store?.save(this.#cursor);
      this.#on('begun');
    } catch (error) {
      // Of the store: others who follow the channel are told behind this one.
      this.end(error as Error);
    }
  }

  #stand({ cursor, epoch = null }: Frame): void {
    if (typeof cursor !== 'string') return;
    this.#cursor = cursor;
    const [id = '', named = epoch] = cursor.split(/[@.]/);
    this.#last = { id, epoch: named };
  }

  #receive({ epoch = null, messages = [] }: Frame): void {
    for (const raw of messages) {
      const last = this.#last;
      if (last !== null && last.epoch === epoch && isNoLater(raw.id, last.id)) continue;
      const message = messageOf<Data>(this.channel, epoch, raw);
      this.#last = { epoch, id: message.id };
      this.#cursor = message.cursor;
      this.#put(message);
      if (this.state !== 'live') return;
    }
  }

  #meet(frame: Frame): void {
    const { reason = 'reset', lost = null } = frame;
    this.#stand(frame);
    this.#put({ gap: { channel: this.channel, reason, lost, cursor: this.#cursor ?? '' } });
  }

  #put(item: Item<Data>): void {
    this.#items.push(item);
    this.#wake?.();
    // A browser cannot pause a WebSocket: what does not fit is asked for again when it does.
    if (this.#items.length < (this.#options.buffer ?? BUFFER)) return;
    this.#on('full');
    this.hub?.leave(this);
  }

  #resume(): void {
    if (this.state !== 'paused' || this.#items.length > (this.#options.buffer ?? BUFFER) / 2) return;
    this.#on('room');
    // Whoever was told of it may have ended it.
    if ((this.state as string) === 'connecting') this.#carriers.place(this);
  }

  #tell(gap: Gap): void {
    if (this.#options.onGap === undefined) throw new GapError(gap);
    this.#options.onGap(gap);
  }

  async #checked(message: Message<Data>): Promise<Message<Data>> {
    const { schema } = this.#options;
    if (schema === undefined) return message;
    const checked = await schema['~standard'].validate(message.data);
    if (checked.issues === undefined) return { ...message, data: checked.value };
    const why = checked.issues.map(({ message: text }) => text).join('; ');
    throw new RiverError('invalid', `message ${message.id} of ${this.channel}: ${why}`);
  }

  #on(event: SubscriptionEvent): void {
    const state = nextState(this.state, event);
    if (state === this.state) return;
    this.state = state;
    try {
      this.#options.onState?.(state, this.#error);
    } catch (error) {
      // Other subscriptions of the connection are told behind this one.
      console.error(error);
    }
  }
}
