/**
 * What the program around an embedded server follows, without a connection. It is a subscriber like all others: a cursor.
 * In place of a socket it has the reader's hand, which takes the next bytes once all messages of the last ones are taken,
 * so that nothing is queued here either.
 *
 *   following ──cut: too slow, or memory is short──▶ cut ──the reader took all──▶ following, from its cursor
 *   any ──left, the server stopped, or failed──▶ over
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Broadcaster } from './broadcaster/broadcaster.ts';
import { V1 } from './broadcaster/formats/v1.ts';
import type { Subscriber } from './broadcaster/subscriber.ts';
import type { Transport, WriteOutcome } from './broadcaster/transport.ts';
import { CHANNEL_RULE, isChannelName } from './channels.ts';
import { type Gap, GapError } from './client/error.ts';
import type { Frame } from './client/link.ts';
import { type CursorStore, type Message, messageOf } from './client/message.ts';
import type { Clock } from './clock.ts';
import { ERRORS, RivercastError } from './errors.ts';
import type { Logger } from './logger.ts';
import { CLOSE } from './protocol/close.ts';
import { formatCursor } from './protocol/cursor.ts';
import { parseStart, START_FORMS } from './protocol/start.ts';
import { frameEndAt, headerLengthAt } from './protocol/websocket-frame.ts';

/** Before it is followed again after a cut, and between tries when the log does not answer. */
const AGAIN_MS = 200;
const STOPPING = 'this server is stopping';

export interface FollowOptions<Data = unknown> {
  /**
   * Where to start: `latest` (what is stored from now on), `earliest`, `last:10`, `-5m`, an ISO time, a cursor; or a store that has
   * the cursor of the last run.
   */
  readonly after?: string | CursorStore;
  /** Called for one message at a time; a promise is waited for. What it throws ends the subscription. Without it: `for await`. */
  readonly onMessage?: (message: Message<Data>) => unknown;
  /** Some messages can not be had any more; the next one comes after them. Without it a gap ends the subscription with a GapError. */
  readonly onGap?: (gap: Gap) => void;
}

export interface FollowContext {
  readonly broadcaster: Broadcaster;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether the server stops, or has stopped. */
  readonly isStopping: () => boolean;
}

/** Resolves once it has its place: what is stored from then on comes. Rejects with RivercastError. */
export async function follow<Data>(
  context: FollowContext,
  channel: string,
  options: FollowOptions<Data>,
): Promise<LocalSubscription<Data>> {
  if (!isChannelName(channel)) throw new RivercastError('bad_channel', `a channel is ${CHANNEL_RULE}`);
  const { after = 'latest', onMessage } = options;
  const wanted = typeof after === 'string' ? after : (after.load() ?? 'latest');
  const hand = await Hand.open(context, channel, wanted);
  try {
    if (typeof after === 'object' && after.load() === null) after.save(hand.start);
  } catch (error) {
    hand.leave();
    throw error;
  }
  const subscription = new LocalSubscription<Data>(context, hand, options);
  if (onMessage !== undefined) subscription.listen(onMessage);
  return subscription;
}

export class LocalSubscription<Data = unknown> implements AsyncIterable<Message<Data>> {
  readonly channel: string;
  /** Resolves when it is over: with the error that ended it, or with null. */
  readonly ended: Promise<Error | null>;
  readonly #context: FollowContext;
  readonly #options: FollowOptions<Data>;
  #hand: Hand;
  /** After what was given to the reader. */
  #cursor: string;
  #isTaken = false;
  #isOver = false;
  #end: (error: Error | null) => void = () => undefined;

  constructor(context: FollowContext, hand: Hand, options: FollowOptions<Data>) {
    this.channel = hand.channel;
    this.#context = context;
    this.#options = options;
    this.#hand = hand;
    this.#cursor = hand.start;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Where it would go on: a cursor. */
  get after(): string {
    return this.#cursor;
  }

  /** Idempotent. */
  unsubscribe(): void {
    this.#isOver = true;
    this.#hand.leave();
    this.#end(null);
  }

  /** Once only: what one reader takes another does not get. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<Data>, void, undefined> {
    if (this.#isTaken) throw new RivercastError('bad_request', 'this subscription has a reader already');
    this.#isTaken = true;
    try {
      for (let frame = await this.#next(); frame !== null; frame = await this.#next()) {
        if (frame.type === 'gap') this.#meet(frame);
        for (const raw of frame.messages ?? []) {
          if (this.#isOver) return;
          const message = messageOf<Data>(this.channel, frame.epoch ?? null, raw);
          this.#cursor = message.cursor;
          yield message;
          this.#save();
        }
      }
    } catch (error) {
      this.#end(error as Error);
      throw error;
    } finally {
      this.unsubscribe();
    }
  }

  /** Takes the place of whoever would iterate. */
  listen(onMessage: (message: Message<Data>) => unknown): void {
    const run = async (): Promise<void> => {
      for await (const message of this) {
        try {
          const done = onMessage(message);
          if (done instanceof Promise) await done;
        } catch (error) {
          this.#end(error as Error);
          throw error;
        }
      }
    };
    run().catch((error: Error) => {
      this.#context.logger.error(
        { err: error, channel: this.channel },
        'a subscription in the process ended',
      );
    });
  }

  async #next(): Promise<Frame | null> {
    while (!this.#isOver) {
      const frame = this.#hand.take();
      if (frame !== null) return frame;
      if (this.#hand.state === 'over') return null;
      if (this.#hand.state === 'cut') await this.#again();
      else await this.#hand.filled();
    }
    return null;
  }

  async #again(): Promise<void> {
    await delay(AGAIN_MS);
    if (this.#context.isStopping()) return this.unsubscribe();
    if (this.#isOver) return;
    try {
      this.#hand = await Hand.open(this.#context, this.channel, this.#cursor);
    } catch (error) {
      if (!(error instanceof RivercastError) || !ERRORS[error.code].retry) throw error;
    }
    // Left meanwhile.
    if (this.#isOver) this.#hand.leave();
  }

  #meet({ reason = 'reset', lost = null, cursor }: Frame): void {
    this.#cursor = cursor ?? this.#cursor;
    const gap = { channel: this.channel, reason, lost, cursor: this.#cursor };
    if (this.#options.onGap === undefined) throw new GapError(gap);
    this.#options.onGap(gap);
    this.#save();
  }

  /** It was dealt with, since the next is asked for. */
  #save(): void {
    const { after } = this.#options;
    if (typeof after === 'object') after.save(this.#cursor);
  }
}

/** What was written for the reader, and not taken yet: one write, and a word or two beside it. */
class Hand implements Transport {
  readonly channel: string;
  /** The cursor it began at. */
  start = '';
  state: 'following' | 'cut' | 'over' = 'following';
  #subscriber: Subscriber | null = null;
  #writes: Iterator<Frame>[] = [];
  #wake: (() => void) | null = null;

  private constructor(channel: string) {
    this.channel = channel;
  }

  /** Rejects with RivercastError. */
  static async open(
    { broadcaster, clock, isStopping }: FollowContext,
    channel: string,
    after: string,
  ): Promise<Hand> {
    if (isStopping()) throw new RivercastError('draining', STOPPING);
    const start = parseStart(after, clock.now());
    if (start === null) throw new RivercastError('bad_cursor', `after must be ${START_FORMS}`);
    using admission = await broadcaster.admit(channel, start);
    if (isStopping()) throw new RivercastError('draining', STOPPING);
    const hand = new Hand(channel);
    // Before a gap, which is told next.
    hand.start = formatCursor(admission.gap?.requested ?? admission.cursor ?? admission.tail.ring.end);
    hand.#subscriber = broadcaster.join(hand, V1);
    broadcaster.subscribe(hand.#subscriber, admission, 'skip');
    return hand;
  }

  /** The next frame; null: there is none yet. */
  take(): Frame | null {
    for (let [frames] = this.#writes; frames !== undefined; [frames] = this.#writes) {
      const { done, value } = frames.next();
      if (done !== true) return value;
      this.#writes.shift();
      // In a turn of its own, as a socket has it: a reader that is quick would otherwise hold everybody up.
      if (this.#writes.length === 0) setImmediate(() => this.#drained());
    }
    return null;
  }

  #drained(): void {
    if (this.state === 'following' && this.#writes.length === 0) this.#subscriber?.drained();
  }

  /** Resolves when there is something to take, or nothing more will come. */
  async filled(): Promise<void> {
    if (this.state !== 'following' || this.#writes.length > 0) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  leave(): void {
    if (this.state === 'over') return;
    this.#turn('over');
    this.#writes = [];
    this.#subscriber?.detach();
  }

  write(bytes: Buffer): WriteOutcome {
    if (this.state !== 'following') return 'closed';
    const write = framesOf(bytes);
    this.#writes.push(write);
    this.#wake?.();
    // A reader that is busy is one whose socket takes nothing.
    setImmediate(() => {
      if (this.state === 'following' && this.#writes.includes(write)) this.#subscriber?.stalled(bytes.length);
    });
    return 'underway';
  }

  close(code: number): void {
    this.#turn(code === CLOSE.tooSlow ? 'cut' : 'over');
    this.#subscriber?.detach();
  }

  destroy(): void {
    if (this.state === 'following') this.#turn('cut');
  }

  #turn(state: 'cut' | 'over'): void {
    this.state = state;
    this.#wake?.();
  }
}

/** Parsed as they are taken. */
function* framesOf(bytes: Buffer): Generator<Frame, undefined> {
  for (let at = 0; at < bytes.length; at = frameEndAt(bytes, at)) {
    const text = bytes.toString('utf8', at + headerLengthAt(bytes, at), frameEndAt(bytes, at));
    yield JSON.parse(text) as Frame;
  }
}
