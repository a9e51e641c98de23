/**
 * One publisher connection that speaks `rivercast.v1`: each publish is answered, once it is stored or has failed,
 * in the order of asking, whatever the channels.
 *
 * The asks that are not answered yet stand in a queue, those that were refused at once among them; what is settled
 * at its head goes out, all that settled in one turn in one write. It is not read while it has too much that is
 * not stored (pressure.ts), too many asks that are not answered, or does not take its answers.
 */
import { CHANNEL_RULE, isChannelName } from '../channels.ts';
import type { Clock } from '../clock.ts';
import { ERRORS, type ErrorCode, RivercastError, retryOf } from '../errors.ts';
import { type Caller, denial, type Grant } from '../grant.ts';
import type { AppendResult, EntryType, NewEntry } from '../log/log.ts';
import type { EntryId } from '../protocol/id.ts';
import { type AuthAsk, type Hello, helloFrame, type Ref } from '../protocol/v1.ts';
import {
  ackText,
  authenticatedText,
  type PublishAsk,
  type PublisherAsk,
  publishErrorText,
  readPublishAsk,
} from '../protocol/v1-publish.ts';
import { asciiFrame } from '../protocol/websocket-frame.ts';
import type { Refusals } from '../refusals.ts';
import type { Submitter } from './batcher.ts';
import type { Manager } from './manager.ts';
import { costOf, type Pausable } from './pressure.ts';
import type { PublisherConnection } from './publisher.ts';
import type { Rate } from './rate.ts';

/** Of one connection. */
const MAX_UNANSWERED = 4096;
/** Of answers in one write, and so the most that waits in a socket for one who does not read. */
const MAX_WRITE_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

export interface AnsweredConnection extends PublisherConnection {
  /** `pending`: some of it waits in this process, and `drained` follows; `underway`: perhaps, then `stalled` comes first. */
  write(bytes: Buffer): 'taken' | 'underway' | 'pending' | 'closed';
  destroy(): void;
}

export interface V1PublisherOptions {
  readonly manager: Manager;
  readonly connection: AnsweredConnection;
  /** Where to publish what names no channel. */
  readonly channel: string;
  readonly clock: Clock;
  readonly caller: Caller;
  /** Null: it may publish as fast as it can. */
  readonly rate: Rate | null;
  readonly maxMessageBytes: number;
  /** Whoever takes none of its answers for so long is cut off. */
  readonly idleTimeoutMs: number;
  readonly hello: Hello;
  readonly refusals: Refusals;
}

/** What was asked, from its frame to its answer. The log is given it as it is. */
class Ask implements NewEntry {
  readonly type: EntryType;
  data: Buffer;
  readonly key: string | undefined;
  readonly channel: string;
  readonly ref: Ref | null;
  /** Settled: one of the three. */
  id: EntryId | null = null;
  granted: Grant | null = null;
  error: RivercastError | null = null;
  isDuplicate = false;

  constructor(entry: NewEntry, channel: string, ref: Ref | null) {
    this.type = entry.type;
    this.data = entry.data;
    this.key = entry.key;
    this.channel = channel;
    this.ref = ref;
  }
}

const STOPPING = { code: 'draining', reason: 'the server is stopping' } as const;
const TOO_FAST = new RivercastError('rate_limited', 'you publish faster than you may; this is not stored');
const BINARY: PublisherAsk = {
  type: 'misasked',
  code: 'bad_request',
  message: 'a frame must be text: one JSON object',
  ref: null,
};
const NO_ENTRY: NewEntry = { type: 'text', data: NOTHING };

export class V1Publisher implements Submitter, Pausable {
  readonly origin = 'v1';
  readonly isAnswered = true;
  readonly #options: V1PublisherOptions;
  #asks: Ask[] = [];
  /** What lies before is answered. */
  #head = 0;
  #unstoredBytes = 0;
  #isPaused = false;
  /** Not read because of its bytes, until the manager says so. */
  #isHeld = false;
  /** What was written waits in the socket. */
  #isBlocked = false;
  #blockedMs = 0;
  #isAnswering = false;
  /** Why it is to end once it is answered. */
  #leaving: { readonly code: ErrorCode; readonly reason: string } | null = null;
  #isRenewing = false;
  #isClosed = false;

  constructor(options: V1PublisherOptions) {
    this.#options = options;
    this.#write(asciiFrame(helloFrame(options.hello)));
  }

  /** Where goes what names no channel. */
  get channel(): string {
    return this.#options.channel;
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  /** Whether answers wait for the client to take them. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Whether everything that was asked is answered. */
  get isAnsweredInFull(): boolean {
    return this.#head === this.#asks.length;
  }

  /** A message came. What comes behind our close cannot be answered, and is not stored. */
  receive(data: Buffer, isBinary: boolean): void {
    if (this.#isClosed) return;
    this.#take(isBinary ? BINARY : readPublishAsk(data.toString(), this.#options.maxMessageBytes));
    this.#pauseIfFull();
  }

  /** Only what this connection itself submitted comes back. */
  stored(ask: Ask, result: AppendResult): void {
    this.#unstoredBytes -= costOf(ask);
    ask.data = NOTHING;
    ask.id = result.id;
    ask.isDuplicate = result.duplicate;
    this.#answerSoon();
  }

  failed(ask: Ask, error: unknown): void {
    this.#unstoredBytes -= costOf(ask);
    ask.error = errorOf(error, 'the server failed to store this');
    this.#answerSoon();
  }

  resume(): void {
    this.#isHeld = false;
    this.#readOn();
  }

  /** What was underway is pending. */
  stalled(): void {
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#blockedMs = this.#options.clock.monotonic();
  }

  /** The connection's pending bytes are gone. */
  drained(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    this.#answer();
  }

  /** The connection is gone; what was submitted is stored all the same. */
  detach(): void {
    this.#isClosed = true;
    this.#asks = [];
    this.#head = 0;
    this.#options.manager.forget(this);
  }

  /** Regular work. */
  visit(): void {
    const { clock, connection, idleTimeoutMs } = this.#options;
    if (this.#isBlocked && clock.monotonic() - this.#blockedMs >= idleTimeoutMs) connection.destroy();
  }

  /** What was asked is answered, what comes is refused, and then the connection ends with the code of an error. */
  dismiss(code: ErrorCode, reason: string): void {
    this.#leaving ??= { code, reason };
    this.#endIfAnswered();
  }

  /** Ends the connection. Whoever waits for an answer is told that there is none. */
  end(): void {
    for (const ask of this.#asks) if (ask.id === null && ask.granted === null) ask.error ??= abandoned();
    this.#answer();
    this.#close();
  }

  #take(asked: PublisherAsk): void {
    if (asked.type === 'auth') return this.#renew(asked);
    const ask = asked.type === 'publish' ? this.#askOf(asked) : refused(asked.code, asked.message, asked.ref);
    this.#asks.push(ask);
    if (ask.error !== null) return this.#answerSoon();
    this.#unstoredBytes += costOf(ask);
    this.#options.manager.submit(ask.channel, ask, this);
  }

  #askOf({ entry, channel, ref }: PublishAsk): Ask {
    if (channel !== null && !isChannelName(channel)) {
      return refused('bad_channel', `channel must be ${CHANNEL_RULE}`, ref);
    }
    const ask = new Ask(entry, channel ?? this.#options.channel, ref);
    ask.error = this.#refusalOf(ask.channel);
    return ask;
  }

  #refusalOf(channel: string): RivercastError | null {
    const { caller, rate } = this.#options;
    if (this.#leaving !== null)
      return new RivercastError(this.#leaving.code, `${this.#leaving.reason}; connect again`);
    const denied = denial(caller.grant, 'publish', channel);
    if (denied !== null) return new RivercastError('forbidden', denied);
    return rate !== null && rate.take() > 0 ? TOO_FAST : null;
  }

  /** What is published meanwhile is judged by the last token. */
  #renew({ token, ref }: AuthAsk): void {
    const ask = new Ask(NO_ENTRY, '', ref);
    this.#asks.push(ask);
    if (this.#isRenewing) {
      ask.error = new RivercastError('bad_request', 'the last token is not checked yet');
      return this.#answerSoon();
    }
    this.#isRenewing = true;
    this.#options.caller
      .renew(token)
      .then(
        (grant) => {
          ask.granted = grant;
        },
        (error: unknown) => {
          ask.error = errorOf(error, 'the server failed to check the token');
        },
      )
      .finally(() => {
        this.#isRenewing = false;
        this.#answerSoon();
      });
  }

  #pauseIfFull(): void {
    if (this.#isClosed) return;
    if (!this.#isHeld) this.#isHeld = this.#options.manager.mustPause(this);
    if (this.#isPaused) return;
    if (this.#isHeld || this.#isBlocked || this.#asks.length - this.#head >= MAX_UNANSWERED) {
      this.#isPaused = true;
      this.#options.connection.pause();
    }
  }

  #readOn(): void {
    if (!this.#isPaused || this.#isHeld || this.#isBlocked) return;
    if (this.#asks.length - this.#head > MAX_UNANSWERED / 2) return;
    this.#isPaused = false;
    this.#options.connection.resume();
  }

  /** Once this turn has settled all that it will. */
  #answerSoon(): void {
    if (this.#isAnswering) return;
    this.#isAnswering = true;
    process.nextTick(this.#answerNow);
  }

  readonly #answerNow = (): void => {
    this.#isAnswering = false;
    this.#answer();
  };

  #answer(): void {
    while (!this.#isBlocked) {
      const frames = this.#takeFrames();
      if (frames === '') break;
      this.#write(frames);
    }
    if (this.#isHeld) this.#options.manager.settled(this);
    this.#readOn();
    this.#endIfAnswered();
  }

  /** The frames of what is settled at the head of the queue, as much as one write may have. */
  #takeFrames(): string {
    const { refusals } = this.#options;
    let frames = '';
    while (this.#head < this.#asks.length && frames.length < MAX_WRITE_BYTES) {
      const ask = this.#asks[this.#head] as Ask;
      if (ask.error !== null) frames += asciiFrame(errorText(ask, ask.error, refusals));
      else if (ask.id !== null) frames += asciiFrame(ackText(ask.id, ask.isDuplicate, ask.ref));
      else if (ask.granted !== null) frames += asciiFrame(grantedText(ask.granted, ask.ref));
      else break;
      this.#head += 1;
    }
    if (this.isAnsweredInFull) {
      this.#asks = [];
      this.#head = 0;
    } else if (this.#head >= MAX_UNANSWERED) {
      this.#asks = this.#asks.slice(this.#head);
      this.#head = 0;
    }
    return frames;
  }

  #write(frames: string): void {
    const outcome = this.#options.connection.write(Buffer.from(frames, 'latin1'));
    if (outcome === 'closed') this.#isClosed = true;
    if (outcome === 'pending') this.stalled();
  }

  #endIfAnswered(): void {
    if (this.#leaving !== null && !this.#isBlocked && this.isAnsweredInFull) this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { code, reason } = this.#leaving ?? STOPPING;
    this.#options.connection.close(ERRORS[code].close, reason);
    // Or the client's own close would never be seen.
    if (this.#isPaused) this.#options.connection.resume();
    this.#isPaused = false;
  }
}

function errorOf(error: unknown, otherwise: string): RivercastError {
  return error instanceof RivercastError
    ? error
    : new RivercastError('internal', otherwise, { cause: error });
}

function grantedText({ subject, expiresMs }: Grant, ref: Ref | null): string {
  return authenticatedText({ subject, expires: expiresMs === null ? null : expiresMs / 1000, ref });
}

function abandoned(): RivercastError {
  return new RivercastError(
    'log_unavailable',
    'the server stops before the log has answered, so it is not known whether this is stored',
  );
}

function refused(code: ErrorCode, message: string, ref: Ref | null = null): Ask {
  const ask = new Ask(NO_ENTRY, '', ref);
  ask.error = new RivercastError(code, message);
  return ask;
}

function errorText({ ref, channel }: Ask, { code, message }: RivercastError, refusals: Refusals): string {
  refusals.count('publish', code);
  const named = channel === '' ? undefined : channel;
  return publishErrorText({ code, message, ...retryOf(code), ref, channel: named });
}
