/**
 * Publishers in: what comes from all connections, batched per channel and appended to the log.
 *
 * The bytes received and not yet stored are bounded per publisher and for all of them. A publisher above
 * either bound is paused; it goes on once half of the bound is free again, so that it does not stop and start
 * with every batch.
 */

import type { FailureLogger } from '../background.ts';
import type { ManagerConfig } from '../config.ts';
import type { Log, NewEntry } from '../log/log.ts';
import { Batcher, type Submitter } from './batcher.ts';

/** A source of entries that can be made to wait (publisher.ts). */
export interface Pausable {
  /** Received from it and not yet stored. */
  readonly unstoredBytes: number;
  readonly isPaused: boolean;
  resume(): void;
}

export interface ManagerOptions {
  readonly log: Log;
  readonly logger: FailureLogger;
  readonly config: ManagerConfig;
}

export class Manager {
  readonly #options: ManagerOptions;
  readonly #batchers = new Map<string, Batcher>();
  readonly #paused = new Set<Pausable>();
  #unstoredBytes = 0;
  #lost = 0;

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  submit(channel: string, entry: NewEntry, submitter: Submitter, bytes: number): void {
    this.#unstoredBytes += bytes;
    let batcher = this.#batchers.get(channel);
    if (batcher === undefined) {
      const { log, config } = this.#options;
      batcher = new Batcher(log, channel, {
        maxEntries: config.batchMaxEntries,
        maxBytes: config.batchMaxBytes,
      });
      this.#batchers.set(channel, batcher);
    }
    batcher.add(entry, submitter);
  }

  /** Whether this publisher must not be read for now; it is then resumed as soon as it may be. */
  mustPause(publisher: Pausable): boolean {
    const { publisherBufferBytes, bufferBytes } = this.#options.config;
    if (publisher.unstoredBytes <= publisherBufferBytes && this.#unstoredBytes <= bufferBytes) return false;
    this.#paused.add(publisher);
    return true;
  }

  settled(publisher: Pausable, bytes: number): void {
    const { publisherBufferBytes, bufferBytes } = this.#options.config;
    const wasFull = this.#unstoredBytes > bufferBytes / 2;
    this.#unstoredBytes -= bytes;
    const mayResume = (one: Pausable): boolean => one.unstoredBytes <= publisherBufferBytes / 2;
    const isOver = this.#unstoredBytes > bufferBytes;
    if (!isOver && publisher.isPaused && mayResume(publisher)) this.#resume(publisher);
    if (!wasFull || this.#unstoredBytes > bufferBytes / 2) return;
    for (const paused of [...this.#paused]) if (mayResume(paused)) this.#resume(paused);
  }

  /** An entry that was received will not be stored: said once, for the first of them. */
  lost(channel: string, error: unknown): void {
    this.#lost += 1;
    if (this.#lost > 1) return;
    this.#options.logger.error({ err: error, channel }, 'messages that were received could not be stored');
  }

  /** Resolves when nothing is in flight any more, or when `signal` aborts; true when everything is stored. */
  async drain(signal: AbortSignal): Promise<boolean> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    for (;;) {
      const busy = [...this.#batchers.values()].filter((batcher) => !batcher.isIdle);
      if (busy.length === 0) return this.#lost === 0;
      if (signal.aborted) return false;
      await Promise.race([aborted, Promise.all(busy.map((batcher) => batcher.settled))]);
    }
  }

  /** Regular work, about once a second: forgets channels nobody publishes to. */
  tick(): void {
    for (const [channel, batcher] of this.#batchers) if (batcher.isIdle) this.#batchers.delete(channel);
  }

  #resume(publisher: Pausable): void {
    this.#paused.delete(publisher);
    publisher.resume();
  }
}
