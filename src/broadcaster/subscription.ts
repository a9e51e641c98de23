/**
 * One subscriber's place in one channel: a cursor. Its whole life:
 *
 *   ready ──socket took all──▶ ready
 *   ready ──off the ring─────▶ fetching ──range───▶ ready
 *   any ──left, or its subscriber closed──▶ ended
 *
 * `advance` is the only code that delivers, whether the next entries are a week old or have just come: while
 * the socket takes bytes it writes from the cursor on, from a range read back from the log, then from the ring,
 * and parks at the tip. The cursor moves only after the bytes went to the socket.
 */
import type { Gap, GapReason } from '../log/log.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds } from '../protocol/id.ts';
import type { GapMark } from './block.ts';
import type { Format } from './format.ts';
import type { Pumpable } from './passes.ts';
import type { Place, Ring, Source } from './ring.ts';
import type { Run, Runs } from './runs.ts';
import type { Lag } from './slow-reader.ts';
import type { WriteOutcome } from './transport.ts';

/** One that catches up must not hold the pass for longer than a few writes. */
export const PUMP_BYTES: number = 1024 * 1024;
/** A range was read in the size of one write, so it goes out whole. */
const RANGE_WRITE_BYTES = Number.MAX_SAFE_INTEGER;

/** The channel it follows, as a subscription sees it (tail.ts). */
export interface Feed {
  readonly channel: string;
  readonly ring: Ring;
  readonly runs: Runs;
  /** How large the next write may be. */
  readonly writeBytes: number;
  /** Everything that ever came through. */
  readonly entries: number;
  readonly bytes: number;
  /** Pump me again soon: I stopped to let others have their turn. */
  yield(subscription: Subscription): void;
  /** Read what follows my cursor from the log, and call `resume` with it. */
  fetch(subscription: Subscription): void;
  /** I am no longer behind what the ring holds. */
  caughtUp(subscription: Subscription): void;
  /** I take no more entries. */
  remove(subscription: Subscription): void;
}

/** The connection it belongs to (subscriber.ts), as a subscription sees it. */
export interface Outlet {
  readonly format: Format;
  /** Whether the socket takes bytes. */
  readonly isReady: boolean;
  readonly lag: Lag;
  /** `weight`: what it counts of a turn; absent: its length. `entries`: how many it carries. */
  write(bytes: Buffer, weight?: number, entries?: number): WriteOutcome;
  /** I have lost entries, whether I can be told or not. */
  lost(reason: GapReason): void;
  /** I have come to a gap that is a loss to me. */
  met(subscription: Subscription, gap: Gap, onGap: OnGap): void;
  destroy(): void;
}

/** What a gap in what comes does: nothing more, end this subscription, or close the connection with 4410. */
export type OnGap = 'skip' | 'end' | 'close';

export interface SubscriptionOptions {
  readonly cursor: Cursor;
  /** It claimed nothing about what it has seen, so entries trimmed before it starts are no loss to it. */
  readonly fresh: boolean;
  readonly onGap: OnGap;
}

export class Subscription implements Pumpable {
  readonly feed: Feed;
  readonly subscriber: Outlet;
  /** Where the feed keeps it; -1 once removed. */
  slot = -1;
  readonly #onGap: OnGap;
  #cursor: Cursor;
  #fresh: boolean;
  #state: 'ready' | 'fetching' | 'ended' = 'ready';
  /** Null: the cursor must be located first. */
  #source: Source | null = null;
  #no = 0;
  #index = 0;
  /** What the cursor was when it was last looked at, and how often it was found unchanged. */
  #seen: Cursor | null = null;
  #quietVisits = 0;

  constructor(feed: Feed, subscriber: Outlet, options: SubscriptionOptions) {
    this.feed = feed;
    this.subscriber = subscriber;
    this.#cursor = options.cursor;
    this.#fresh = options.fresh;
    this.#onGap = options.onGap;
  }

  get cursor(): Cursor {
    return this.#cursor;
  }

  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  pump(): void {
    if (this.advance(PUMP_BYTES)) this.feed.yield(this);
  }

  /** Writes what the socket takes, but about `quantum` bytes at most. True when there was more to write. */
  advance(quantum: number): boolean {
    let left = quantum;
    while (this.#state === 'ready' && this.subscriber.isReady) {
      if (left <= 0) return true;
      const step = this.#next();
      if (step === null) {
        this.#park();
        return false;
      }
      if (step.kind === 'gap') {
        this.#meet(step);
        continue;
      }
      if (!this.#write(step)) return false;
      left -= step.weight;
    }
    return false;
  }

  /**
   * The range it asked for is here, and it goes on at `place` in it. `missed`: the ring moved while it was read.
   * True when it is to be pumped.
   */
  resume(range: Source & { readonly end: Cursor }, place: Place, missed: boolean): boolean {
    if (this.#state !== 'fetching') return false;
    this.#state = 'ready';
    if (range.nextNo > place.no) {
      this.#source = range;
      this.#no = place.no;
      this.#index = place.index;
      return true;
    }
    // Nothing newer in the log: parked, although the ring does not know the cursor yet.
    this.#cursor = range.end;
    this.#park();
    // A read that was shared may have looked before this one asked, and before the ring moved.
    return missed || compareIds(this.feed.ring.end.id, range.end.id) > 0;
  }

  /** The socket pushed back: a stalled subscriber keeps nothing alive but its pending write. */
  forgetRange(): void {
    if (this.#source !== this.feed.ring) this.#source = null;
  }

  end(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#source = null;
    this.feed.remove(this);
  }

  /** A fault of ours costs the connection. */
  destroy(): void {
    this.subscriber.destroy();
  }

  /** The frame that says where it stands, once it was sent nothing for so many visits in a row; else null. */
  visit(quietVisits: number): Buffer | null {
    if (this.#seen !== this.#cursor) {
      this.#seen = this.#cursor;
      this.#quietVisits = 0;
      return null;
    }
    this.#quietVisits += 1;
    if (this.#quietVisits < quietVisits) return null;
    this.#quietVisits = 0;
    return this.subscriber.format.position(this.feed.channel, this.#cursor);
  }

  /** At the tip, whatever comes is owed to it, also when it has been sent nothing yet. */
  #park(): void {
    if (this.#state === 'ready') this.#fresh = false;
  }

  #next(): Run | GapMark | null {
    if (this.#source === null && !this.#locate()) return null;
    const source = this.#source as Source;
    const { ring, runs, writeBytes } = this.feed;
    const { format } = this.subscriber;
    if (source !== ring) {
      const step = runs.next(source, this.#no, this.#index, { format, maxBytes: RANGE_WRITE_BYTES });
      if (step !== null) return step;
      this.#source = null;
      return this.#next();
    }
    // At the tip, which is where nearly every pump ends.
    if (this.#no === ring.nextNo) return null;
    const step = runs.next(source, this.#no, this.#index, { format, maxBytes: writeBytes });
    if (step === null) this.#fetch();
    return step;
  }

  #locate(): boolean {
    const { ring } = this.feed;
    const located = ring.locate(this.#cursor);
    if (located === 'ahead') return false;
    if (located === 'unknown') {
      this.#fetch();
      return false;
    }
    this.#source = ring;
    this.#no = located.no;
    this.#index = located.index;
    this.feed.caughtUp(this);
    return true;
  }

  #fetch(): void {
    this.#state = 'fetching';
    this.#source = null;
    this.feed.fetch(this);
  }

  #write(run: Run): boolean {
    const outcome = this.subscriber.write(run.bytes, run.weight, run.entries);
    if (outcome === 'closed') return false;
    this.#fresh = false;
    this.#cursor = run.end;
    this.#no = run.next.no;
    this.#index = run.next.index;
    if (outcome === 'taken') return true;
    if (outcome === 'pending') this.forgetRange();
    return false;
  }

  #meet(mark: GapMark): void {
    const { subscriber } = this;
    const isLoss = !(mark.gap.reason === 'trimmed' && this.#fresh);
    const notice = isLoss ? mark.notice(subscriber.format) : null;
    const outcome = notice === null ? 'taken' : subscriber.write(notice);
    if (outcome === 'closed') return;
    if (isLoss) subscriber.lost(mark.gap.reason);
    this.#cursor = mark.end;
    this.#no += 1;
    this.#index = 0;
    if (outcome === 'pending') this.forgetRange();
    // Deleting an entry is somebody's intent, and a raw subscriber cannot be told without being cut off.
    if (isLoss && mark.gap.reason !== 'deleted') subscriber.met(this, mark.gap, this.#onGap);
  }
}
