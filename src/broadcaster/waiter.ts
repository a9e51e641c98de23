/**
 * Follows the log for up to MAX_WATCHED tails with one wait at a time, and hands each what has come. When
 * the set of tails changes, the wait is woken and asked anew. Between two waits it lets the passes make room:
 * a busy broadcaster then reads larger pages instead of many small ones.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Log, MAX_WATCHED, type PageLimits } from '../log/log.ts';
import type { Logger } from '../logger.ts';
import type { Cursor } from '../protocol/cursor.ts';
import type { Passes } from './passes.ts';
import type { Tail } from './tail.ts';

const MAX_PAGE_ENTRIES = 10_000;
const RETRY_MS = 200;

interface WaiterOptions {
  readonly log: Log;
  readonly passes: Passes;
  readonly logger: Logger;
  /** Payload bytes of one page, which becomes a block: about what one write carries. */
  readonly pageBytes: number;
}

export class Waiter {
  readonly #options: WaiterOptions;
  readonly #limits: PageLimits;
  readonly #tails = new Map<string, Tail>();
  readonly #stop = new AbortController();
  #change = new AbortController();
  #running: Promise<void> | null = null;
  #isFailing = false;
  /** Which had news last, and whose turn to be looked at it was last. */
  #latest: Tail | null = null;
  #turn = 0;

  constructor(options: WaiterOptions) {
    this.#options = options;
    this.#limits = { maxEntries: MAX_PAGE_ENTRIES, maxBytes: options.pageBytes };
  }

  get isFull(): boolean {
    return this.#tails.size >= MAX_WATCHED;
  }

  get isEmpty(): boolean {
    return this.#tails.size === 0;
  }

  has(tail: Tail): boolean {
    return this.#tails.get(tail.channel) === tail;
  }

  /** By whom it shows whether this reader reads: two at most, another one each time. */
  sample(): Set<Tail> {
    const tails = [...this.#tails.values()];
    this.#turn = (this.#turn + 1) % Math.max(1, tails.length);
    const next = tails[this.#turn];
    const latest = this.#latest ?? next;
    return new Set([next, latest].filter((tail) => tail !== undefined));
  }

  watch(tail: Tail): void {
    this.#tails.set(tail.channel, tail);
    this.#change.abort();
    this.#running ??= this.#run();
  }

  unwatch(tail: Tail): void {
    this.#tails.delete(tail.channel);
    if (this.#latest === tail) this.#latest = null;
    this.#change.abort();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#change.abort();
    await this.#running;
  }

  /** Never rejects: it ends when it is closed. */
  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        if (await this.#step()) this.#tellWorks();
        await this.#options.passes.room();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#tellFails(error);
        await delay(RETRY_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      }
    }
  }

  /** Said once, however often it is tried. */
  #tellFails(error: unknown): void {
    if (!this.#isFailing)
      this.#options.logger.error({ err: error }, 'following the log failed; it is retried');
    this.#isFailing = true;
  }

  #tellWorks(): void {
    if (this.#isFailing) this.#options.logger.info({}, 'the log is followed again');
    this.#isFailing = false;
  }

  /** Whether something came: a wait that was ended for another one has proven nothing. */
  async #step(): Promise<boolean> {
    if (this.#change.signal.aborted) this.#change = new AbortController();
    if (this.#stop.signal.aborted) this.#change.abort();
    const asked = [...this.#tails.values()];
    const cursors = new Map<string, Cursor>(asked.map((tail) => [tail.channel, tail.ring.end]));
    const pages = await this.#options.log.wait(cursors, this.#limits, this.#change.signal);
    for (const tail of asked) {
      const page = pages.get(tail.channel);
      // Not one given up meanwhile, nor its successor of the same name, which starts elsewhere.
      if (page === undefined || !this.has(tail)) continue;
      this.#latest = tail;
      tail.push(page);
    }
    return pages.size > 0;
  }
}
