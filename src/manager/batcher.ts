/**
 * Group commit for one channel: one append is in flight, and what comes meanwhile makes the next batch. An
 * idle channel stores at once (all of what one read from a socket held goes together); a busy one fills its
 * batches by itself. Order is the order of `add`.
 */
import type { AppendResult, Log, NewEntry } from '../log/log.ts';

export interface Submitter {
  /** The entry is stored. Called in the order of submission. */
  stored(entry: NewEntry, result: AppendResult): void;
  /** The entry is not stored, and will not be: the log is closed or broken. */
  failed(entry: NewEntry, error: unknown): void;
}

export interface BatchLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

interface Waiting {
  readonly entry: NewEntry;
  readonly submitter: Submitter;
}

export class Batcher {
  readonly #log: Log;
  readonly #channel: string;
  readonly #limits: BatchLimits;
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;

  constructor(log: Log, channel: string, limits: BatchLimits) {
    this.#log = log;
    this.#channel = channel;
    this.#limits = limits;
  }

  get isIdle(): boolean {
    return this.#running === null;
  }

  /** Resolves when everything added so far was stored or has failed. */
  get settled(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  add(entry: NewEntry, submitter: Submitter): void {
    this.#waiting.push({ entry, submitter });
    this.#running ??= this.#run();
  }

  /** Never rejects: every failure is told to its submitter. */
  async #run(): Promise<void> {
    // The rest of what one socket read holds is added before this goes on.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      const entries = batch.map(({ entry }) => entry);
      let results: AppendResult[];
      try {
        results = await this.#log.append(this.#channel, entries);
      } catch (error) {
        for (const { entry, submitter } of batch) submitter.failed(entry, error);
        continue;
      }
      for (const [i, { entry, submitter }] of batch.entries()) {
        submitter.stored(entry, results[i] as AppendResult);
      }
    }
    this.#running = null;
  }

  #take(): Waiting[] {
    const { maxEntries, maxBytes } = this.#limits;
    let count = 0;
    let bytes = 0;
    for (const { entry } of this.#waiting) {
      bytes += entry.data.length;
      if (count > 0 && (count >= maxEntries || bytes > maxBytes)) break;
      count += 1;
    }
    if (count === this.#waiting.length) {
      const all = this.#waiting;
      this.#waiting = [];
      return all;
    }
    return this.#waiting.splice(0, count);
  }
}
