/**
 * Reads older entries from the log, as ranges about the size of one write. Reads are shared: whoever asks for
 * what follows the same cursor gets the same range, from the same read. A few run at a time; those that wait
 * hold no bytes. Ranges are kept as long as the memory budget allows.
 */
import type { Log } from '../log/log.ts';
import { type Cursor, formatCursor } from '../protocol/cursor.ts';
import { itemsOf } from './block.ts';
import type { Budget, Holding } from './budget.ts';
import { Range } from './range.ts';
import { Turnstile } from './turnstile.ts';

/** More would only make each slower: one read at a time keeps a store about busy. */
const MAX_READS = 4;
const MAX_RANGE_ENTRIES = 8192;

interface RangesOptions {
  readonly log: Log;
  readonly budget: Budget;
  /** Payload bytes of the next range. */
  readonly rangeBytes: () => number;
}

export class Ranges {
  readonly #options: RangesOptions;
  readonly #kept = new Map<string, Range>();
  readonly #reading = new Map<string, Promise<Range>>();
  readonly #turnstile = new Turnstile(MAX_READS);
  /** How many reads of the log there were. */
  reads = 0;

  constructor(options: RangesOptions) {
    this.#options = options;
  }

  /** What follows the cursor, gaps included; empty when nothing does. Rejects as `Log.read` does. */
  after(channel: string, cursor: Cursor): Promise<Range> {
    const key = keyOf(channel, cursor);
    const kept = this.#kept.get(key);
    if (kept !== undefined) return Promise.resolve(kept);
    let reading = this.#reading.get(key);
    if (reading === undefined) {
      reading = this.#turnstile
        .pass(() => this.#read(channel, cursor))
        .finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return reading;
  }

  async #read(channel: string, cursor: Cursor): Promise<Range> {
    const { log, budget, rangeBytes } = this.#options;
    this.reads += 1;
    const page = await log.read(channel, cursor, { maxEntries: MAX_RANGE_ENTRIES, maxBytes: rangeBytes() });
    // Kept under the epoch it is of: a plain id may be found in another one later.
    const range = new Range({ ...cursor, epoch: cursor.epoch ?? page.epoch }, itemsOf(page), page.end);
    const key = keyOf(channel, range.start);
    // An empty range says "nothing newer yet", which the next entry makes untrue.
    if (range.nextNo > 0 && !this.#kept.has(key)) {
      this.#kept.set(key, range);
      budget.hold(new KeptRange(this.#kept, key, range), range.memoryBytes);
    }
    return range;
  }
}

function keyOf(channel: string, cursor: Cursor): string {
  return `${channel} ${formatCursor(cursor)}`;
}

class KeptRange implements Holding {
  readonly isGone = false;
  readonly #kept: Map<string, Range>;
  readonly #key: string;
  readonly #range: Range;

  constructor(kept: Map<string, Range>, key: string, range: Range) {
    this.#kept = kept;
    this.#key = key;
    this.#range = range;
  }

  release(): number {
    this.#kept.delete(this.#key);
    return this.#range.memoryBytes;
  }
}
