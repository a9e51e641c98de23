/**
 * Keeps one Link at hand: opened when first asked for, replaced when it broke, with back-off between tries
 * so that nobody who asks in a loop can make it hot.
 */
import { Backoff } from './backoff.ts';
import { Link, RedisFault } from './link.ts';
import type { Target } from './target.ts';

export interface KeeperOptions {
  readonly target: Target;
  readonly connectMs: number;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly onOpen?: () => void;
}

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #backoff: Backoff;
  #link: Link | null = null;
  #opening: Promise<Link> | null = null;
  #failed = false;
  #closed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
  }

  /** The live Link, or one attempt at a new one; rejects with the RedisFault of that attempt. */
  async get(): Promise<Link> {
    if (this.#link?.alive === true) return this.#link;
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** Also of a Link that is being opened. */
  close(): void {
    this.#closed = true;
    this.#link?.destroy('closed');
  }

  async #open(): Promise<Link> {
    const { target, connectMs, signal, onOpen } = this.#options;
    try {
      if (this.#failed) await this.#backoff.wait(signal);
      this.#assertOpen();
      const link = await Link.open(target, connectMs, signal);
      this.#link = link;
      if (this.#closed) link.destroy('closed');
      this.#assertOpen();
      this.#failed = false;
      this.#backoff.reset();
      onOpen?.();
      return link;
    } catch (error) {
      this.#failed = true;
      throw error;
    } finally {
      this.#opening = null;
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new RedisFault('connection', 'the connection to Redis is closed');
  }
}
