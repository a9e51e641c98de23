/**
 * Messages on their way through the client, in order: as many at once as the bounds allow, each known to be stored or
 * not. Who gives it messages waits while it is full, and so does whoever feeds that.
 */
import { type River, RiverError } from '../client/index.ts';
import { StartError } from '../errors.ts';
import { failureOf } from './remote.ts';
import { counted, say } from './terminal.ts';

export const MAX_QUEUED = 4000;
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/** More of the same would hide what else is said. */
const MAX_COMPLAINTS = 10;
/** Without an answer for so long, a person wants to know why nothing happens. */
const NOTICE_MS = 5000;

/** The next message would meet the same. */
const HOPELESS: ReadonlySet<string> = new Set([
  'unauthenticated',
  'token_expired',
  'forbidden',
  'bad_channel',
  'closed',
]);

export interface OutboxOptions {
  /** Told the id of each message that is stored, in no other order than they were given. */
  readonly stored?: ((id: string) => void) | undefined;
  /** In ms without an answer, after which it gives up; 0: never. */
  readonly timeoutMs: number;
}

export interface Outgoing {
  readonly channel: string;
  readonly data: unknown;
  readonly key?: string | undefined;
  /** Roughly what it takes. */
  readonly bytes: number;
  /** Its place in the input, from 1. */
  readonly place: number;
  /** What it is called in a complaint: `line 17`. */
  readonly name: string;
}

export class Outbox implements Disposable {
  stored = 0;
  failed = 0;
  readonly #river: River;
  readonly #options: OutboxOptions;
  readonly #watch: NodeJS.Timeout;
  /** In the order they were given. */
  readonly #waiting = new Map<number, Outgoing>();
  #given = 0;
  #waitingBytes = 0;
  #answeredMs = performance.now();
  #hasNoticed = false;
  #error: Error | null = null;
  #wake: (() => void) | null = null;

  constructor(river: River, options: OutboxOptions) {
    this.#river = river;
    this.#options = options;
    this.#watch = setInterval(() => this.#look(), 250);
  }

  /** Resolves once there is room for more. Rejects, as `settled` does, with StartError when it is pointless to go on. */
  async send(message: Outgoing): Promise<void> {
    this.#start(message);
    if (this.#waiting.size >= MAX_QUEUED || this.#waitingBytes >= MAX_QUEUED_BYTES) await this.#until(0.75);
    if (this.#error !== null) throw this.#error;
  }

  /** Resolves once everything is stored, or known not to be. */
  async settled(): Promise<void> {
    await this.#until(0);
    if (this.#error !== null) throw this.#error;
  }

  /** The first that is not known to be stored, nor refused for itself. */
  get unsettled(): Outgoing | undefined {
    return this.#waiting.values().next().value;
  }

  complain(name: string, why: string): void {
    this.failed += 1;
    if (this.failed <= MAX_COMPLAINTS) say(`${name}: ${why}`);
    else if (this.failed === MAX_COMPLAINTS + 1) say('more of them are counted, and not named');
  }

  [Symbol.dispose](): void {
    clearInterval(this.#watch);
  }

  #start(message: Outgoing): void {
    const { channel, data, key, name } = message;
    const number = ++this.#given;
    if (this.#waiting.size === 0) this.#answeredMs = performance.now();
    this.#waiting.set(number, message);
    this.#waitingBytes += message.bytes;
    this.#river.publish(channel, data, key === undefined ? {} : { key }).then(
      (id) => {
        this.stored += 1;
        this.#options.stored?.(id);
        this.#answered(number);
      },
      (error: unknown) => {
        if (error instanceof RiverError && !HOPELESS.has(error.code)) {
          this.complain(name, error.message);
          this.#answered(number);
          return;
        }
        this.#error ??= failureOf(error);
        this.#wake?.();
      },
    );
  }

  #answered(number: number): void {
    this.#waitingBytes -= this.#waiting.get(number)?.bytes ?? 0;
    this.#waiting.delete(number);
    this.#answeredMs = performance.now();
    if (this.#hasNoticed) say('going on');
    this.#hasNoticed = false;
    this.#wake?.();
  }

  /** Waits until no more than this share of the bounds is taken. */
  async #until(share: number): Promise<void> {
    while (
      this.#error === null &&
      (this.#waiting.size > MAX_QUEUED * share || this.#waitingBytes > MAX_QUEUED_BYTES * share)
    ) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #look(): void {
    const silentMs = performance.now() - this.#answeredMs;
    if (this.#waiting.size === 0 || this.#error !== null) return;
    const { timeoutMs } = this.#options;
    if (timeoutMs > 0 && silentMs > timeoutMs) {
      const left = counted(this.#waiting.size, 'message');
      this.#error = new StartError(`no answer for ${timeoutMs / 1000} s: ${left} not known to be stored`);
      this.#wake?.();
    } else if (silentMs > NOTICE_MS && !this.#hasNoticed) {
      this.#hasNoticed = true;
      say('nothing was acknowledged for 5 s; still trying');
    }
  }
}
