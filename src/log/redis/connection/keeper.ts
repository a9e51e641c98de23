/**
 * Keeps one Link at hand: opened when first asked for, replaced when it broke, with back-off between tries
 * so that nobody who asks in a loop can make it hot.
 */
import type { Backoff } from '../../../backoff.ts';
import { redisBackoff } from './backoff.ts';
import { type Link, RedisFault } from './link.ts';

export interface KeeperOptions {
  readonly open: (deadlineMs: number) => Promise<Link>;
  readonly connectMs: number;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly onOpen?: () => void;
  /** What a new Link has to pass before anybody gets it; rejects with a RedisFault. */
  readonly prepare?: (link: Link) => Promise<void>;
}

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #backoff: Backoff;
  #link: Link | null = null;
  /** Open, but not prepared yet. */
  #fresh: Link | null = null;
  #opening: Promise<Link> | null = null;
  #failed = false;
  #closed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#backoff = redisBackoff(options.random);
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
    this.#fresh?.destroy('closed');
  }

  async #open(): Promise<Link> {
    const { open, connectMs, signal, onOpen, prepare } = this.#options;
    try {
      if (this.#failed) await this.#backoff.wait(signal);
      this.#assertOpen();
      const link = await open(connectMs);
      this.#fresh = link;
      if (this.#closed) link.destroy('closed');
      this.#assertOpen();
      await prepare?.(link);
      this.#assertOpen();
      this.#link = link;
      this.#failed = false;
      this.#backoff.reset();
      onOpen?.();
      return link;
    } catch (error) {
      this.#failed = true;
      this.#fresh?.destroy(error instanceof Error ? error.message : String(error));
      throw error;
    } finally {
      this.#opening = null;
      this.#fresh = null;
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new RedisFault('connection', 'the connection to Redis is closed');
  }
}
