/**
 * Reads older entries from the log, as ranges that one write can carry. Reads are shared: whoever is at the
 * same cursor waits for the same read, and a range that is still kept serves everybody who is somewhere in it,
 * so that thousands who come back at once, each with a cursor of its own, cost a few reads together. A few run
 * at a time; those that wait hold no bytes. Ranges are kept as long as the memory budget allows.
 */
import type { Log } from '../log/log.ts';
import { type Cursor, formatCursor } from '../protocol/cursor.ts';
import { Turnstile } from '../turnstile.ts';
import { itemsOf, type Keeper } from './block.ts';
import type { Budget, Holding } from './budget.ts';
import { Range } from './range.ts';
import type { Place, Ring } from './ring.ts';

/** More would only make each slower: one read at a time keeps a store about busy. */
const MAX_READS = 4;
const MAX_RANGE_ENTRIES = 8192;
/**
 * Reading one takes this process, and Redis, about a millisecond, for which what is live waits. Larger ones
 * would replay faster: 256 KiB by about a third.
 */
const MAX_RANGE_BYTES = 64 * 1024;

interface RangesOptions {
  readonly log: Log;
  readonly budget: Budget;
  /** Payload bytes of the next range; never more than MAX_RANGE_BYTES. */
  readonly rangeBytes: () => number;
}

/** The channel that is read, and the end of it that is in memory. */
export interface Channel {
  readonly channel: string;
  readonly ring: Ring;
}

/** A range, and where in it the asked cursor goes on. */
export interface Found {
  readonly range: Range;
  readonly place: Place;
}

export class Ranges {
  readonly #options: RangesOptions;
  /** By channel, then by start. */
  readonly #kept = new Map<string, Map<string, KeptRange>>();
  readonly #reading = new Map<string, Promise<Found>>();
  readonly #turnstile = new Turnstile(MAX_READS);
  /** How often something was forgotten. */
  #forgotten = 0;
  /** How many reads of the log there were. */
  reads = 0;

  constructor(options: RangesOptions) {
    this.#options = options;
  }

  /**
   * What follows the cursor, gaps included; empty when nothing does. `keep`: whether others may ask for it.
   * Rejects as `Log.read` does.
   */
  after(channel: Channel, cursor: Cursor, keep = true): Promise<Found> {
    const kept = this.#find(channel, cursor);
    if (kept !== null) return Promise.resolve(kept);
    const key = `${channel.channel} ${formatCursor(cursor)}`;
    let reading = this.#reading.get(key);
    if (reading === undefined) {
      reading = this.#turnstile
        // While it waited for its turn, another read may have brought it.
        .pass(() => this.#find(channel, cursor) ?? this.#read(channel, cursor, keep))
        .finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return reading;
  }

  /** Drops what is kept of a channel: its history was replaced. */
  forget(channel: string): void {
    this.#forgotten += 1;
    for (const kept of this.#kept.get(channel)?.values() ?? []) {
      const bytes = kept.drop();
      this.#options.budget.forget(bytes, 1);
    }
  }

  #find({ channel, ring }: Channel, cursor: Cursor): Found | null {
    const ofChannel = this.#kept.get(channel);
    if (ofChannel === undefined) return null;
    const { epoch } = ring.end;
    const exact = ofChannel.get(formatCursor(cursor));
    if (exact !== undefined) return { range: exact.range, place: { no: 0, index: 0 } };
    for (const { range } of ofChannel.values()) {
      const place = range.locate(cursor, epoch);
      if (place !== null) return { range, place };
    }
    return null;
  }

  async #read({ channel }: Channel, cursor: Cursor, keep: boolean): Promise<Found> {
    const { log, rangeBytes } = this.#options;
    this.reads += 1;
    const maxBytes = Math.min(MAX_RANGE_BYTES, rangeBytes());
    const forgotten = this.#forgotten;
    const page = await log.read(channel, cursor, { maxEntries: MAX_RANGE_ENTRIES, maxBytes });
    // Kept under the epoch it is of: a plain id may be found in another one later.
    const start = { ...cursor, epoch: cursor.epoch ?? page.epoch };
    const range = new Range(start, itemsOf(channel, page), page.end);
    // What was asked for before a history was replaced may be of the old one.
    if (keep && isForOthers(range) && forgotten === this.#forgotten) this.#keep(channel, range);
    return { range, place: { no: 0, index: 0 } };
  }

  #keep(channel: string, range: Range): void {
    const { budget } = this.#options;
    let ofChannel = this.#kept.get(channel);
    if (ofChannel === undefined) {
      ofChannel = new Map();
      this.#kept.set(channel, ofChannel);
    }
    const key = formatCursor(range.start);
    if (ofChannel.has(key)) return;
    const gone = () => {
      ofChannel.delete(key);
      if (ofChannel.size === 0 && this.#kept.get(channel) === ofChannel) this.#kept.delete(channel);
    };
    const kept = new KeptRange(range, budget, gone);
    ofChannel.set(key, kept);
    budget.hold(kept, range.memoryBytes);
  }
}

/**
 * Whether others may be served from it. Not an empty one: it says "nothing newer yet", which the next entry makes
 * untrue. Nor one that begins with a gap: what is said there was reckoned from all that this cursor claimed, of
 * which another's with the same id may claim less, more, or the truth.
 */
function isForOthers(range: Range): boolean {
  return range.item(0)?.kind === 'block';
}

class KeptRange implements Holding, Keeper {
  readonly range: Range;
  isGone = false;
  readonly #budget: Budget;
  readonly #gone: () => void;

  constructor(range: Range, budget: Budget, gone: () => void) {
    this.range = range;
    this.#budget = budget;
    this.#gone = gone;
    range.keeper = this;
  }

  grew(bytes: number): void {
    this.#budget.grow(bytes);
  }

  release(): number {
    return this.isGone ? 0 : this.drop();
  }

  /** Returns the bytes it took. */
  drop(): number {
    this.isGone = true;
    this.range.keeper = null;
    this.#gone();
    return this.range.memoryBytes;
  }
}
