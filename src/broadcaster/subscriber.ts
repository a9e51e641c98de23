/**
 * One subscriber: a cursor over one transport. It owns no queue.
 *
 *   ready ──write not taken──▶ stalled ──drained──▶ ready      parked = ready, with nothing left to write
 *   ready ──off the ring─────▶ fetching ──range───▶ ready
 *   any ──close──▶ closing ──connection gone──▶ closed
 *
 * `pump` is the only code that delivers, whether the next entries are a week old or have just come: while the
 * socket takes bytes it writes from the cursor on, from a range read back from the log, then from the ring, and
 * parks at the tip. The cursor moves only after the bytes went to the socket.
 */
import type { Gap } from '../log/log.ts';
import { CLOSE, cursorReason } from '../protocol/close.ts';
import { type Cursor, formatCursor } from '../protocol/cursor.ts';
import type { GapMark } from './block.ts';
import type { Range } from './range.ts';
import type { Ring, Source } from './ring.ts';
import type { Run, Runs } from './runs.ts';
import type { Lag } from './slow-reader.ts';
import type { Transport } from './transport.ts';

/** One subscriber that catches up must not hold the pass for longer than a few writes. */
const PUMP_BYTES = 1024 * 1024;

/** The channel it follows, as a subscriber sees it (tail.ts). */
export interface Feed {
  readonly ring: Ring;
  readonly runs: Runs;
  /** How large the next write may be. */
  readonly writeBytes: number;
  /** Pump me again soon: I stopped to let others have their turn. */
  yield(subscriber: Subscriber): void;
  /** Read what follows my cursor from the log, and call `resume` with it. */
  fetch(subscriber: Subscriber): void;
  /** My socket did not take all; `drained` ends it. */
  stalled(subscriber: Subscriber, pending: Buffer): void;
  drained(subscriber: Subscriber): void;
  lagOf(subscriber: Subscriber): Lag;
  /** I take no more entries. */
  remove(subscriber: Subscriber): void;
}

export interface SubscriberOptions {
  readonly transport: Transport;
  readonly cursor: Cursor;
  /** It claimed nothing about what it has seen, so entries trimmed before it starts are no loss to it. */
  readonly fresh: boolean;
  readonly onGap: 'fail' | 'skip';
}

export class Subscriber {
  readonly feed: Feed;
  /** Where the feed keeps it; -1 once removed. */
  slot = -1;
  readonly #transport: Transport;
  readonly #onGap: 'fail' | 'skip';
  #cursor: Cursor;
  #fresh: boolean;
  #state: 'ready' | 'stalled' | 'fetching' | 'closing' | 'closed' = 'ready';
  /** Null: the cursor must be located first. */
  #source: Source | null = null;
  #no = 0;
  #index = 0;

  constructor(feed: Feed, options: SubscriberOptions) {
    this.feed = feed;
    this.#transport = options.transport;
    this.#cursor = options.cursor;
    this.#fresh = options.fresh;
    this.#onGap = options.onGap;
  }

  get cursor(): Cursor {
    return this.#cursor;
  }

  get isOpen(): boolean {
    return this.#state !== 'closing' && this.#state !== 'closed';
  }

  /** Whether everything its channel has so far was written to it. */
  get isParked(): boolean {
    return this.#state === 'ready' && this.#cursor.id === this.feed.ring.end.id;
  }

  /** Writes what the socket takes, from the cursor to the tip. */
  pump(): void {
    let left = PUMP_BYTES;
    while (this.#state === 'ready') {
      const step = this.#next();
      if (step === null) {
        this.#park();
        return;
      }
      if (step.kind === 'gap') {
        this.#meet(step);
        continue;
      }
      if (!this.#write(step)) return;
      left -= step.bytes.length;
      if (left <= 0) {
        this.feed.yield(this);
        return;
      }
    }
  }

  /**
   * The range it asked for is here. `missed`: the ring moved while it was read. True when it is to be pumped.
   */
  resume(range: Range, missed: boolean): boolean {
    if (this.#state !== 'fetching') return false;
    this.#state = 'ready';
    if (range.nextNo > 0) {
      this.#source = range;
      this.#no = 0;
      this.#index = 0;
      return true;
    }
    // Nothing newer in the log: parked, although the ring does not know the cursor yet.
    this.#cursor = range.end;
    this.#park();
    return missed;
  }

  /** The transport's pending bytes are gone. */
  drained(): void {
    this.feed.drained(this);
    if (this.#state !== 'stalled') return;
    this.#state = 'ready';
    this.pump();
  }

  /** Ends the subscription; the reason tells where to resume. What is pending still goes out. */
  close(code: number): void {
    if (!this.isOpen) return;
    this.#state = 'closing';
    this.#source = null;
    this.feed.remove(this);
    this.#transport.close(code, this.closeReason);
  }

  /** What every close of a subscriber says: where to resume. */
  get closeReason(): string {
    return cursorReason(formatCursor(this.#cursor));
  }

  /** Gives the connection up at once. */
  destroy(): void {
    this.detach();
    this.#transport.destroy();
  }

  /** The connection is gone. */
  detach(): void {
    this.#state = 'closed';
    this.#source = null;
    this.feed.remove(this);
    this.feed.drained(this);
  }

  /** At the tip, whatever comes is owed to it, also when it has been sent nothing yet. */
  #park(): void {
    if (this.#state === 'ready') this.#fresh = false;
  }

  #next(): Run | GapMark | null {
    if (this.#source === null && !this.#locate()) return null;
    const source = this.#source as Source;
    const { ring, runs, writeBytes } = this.feed;
    if (source !== ring) {
      // A range was read in the size of one write, so it goes out whole.
      const step = runs.next(source, this.#no, this.#index, Number.MAX_SAFE_INTEGER);
      if (step !== null) return step;
      this.#source = null;
      return this.#next();
    }
    // At the tip, which is where nearly every pump ends.
    if (this.#no === ring.nextNo) return null;
    const step = runs.next(source, this.#no, this.#index, writeBytes);
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
    return true;
  }

  #fetch(): void {
    this.#state = 'fetching';
    this.#source = null;
    this.feed.fetch(this);
  }

  #write(run: Run): boolean {
    const outcome = this.#transport.write(run.bytes);
    if (outcome === 'closed') {
      // Nobody must wait for it: its peer may take its time to end the connection.
      this.detach();
      return false;
    }
    this.#fresh = false;
    this.#moveTo(run);
    if (outcome === 'taken') return true;
    this.#state = 'stalled';
    // A stalled subscriber keeps nothing alive but its pending write.
    if (this.#source !== this.feed.ring) this.#source = null;
    this.feed.stalled(this, run.bytes);
    return false;
  }

  #moveTo(run: Run): void {
    this.#cursor = run.end;
    this.#no = run.next.no;
    this.#index = run.next.index;
  }

  #meet(mark: GapMark): void {
    this.#cursor = mark.end;
    this.#no += 1;
    this.#index = 0;
    if (this.#onGap === 'fail' && !this.#mayIgnore(mark.gap)) this.close(CLOSE.gap);
  }

  /** Deleting an entry is somebody's intent, and a raw subscriber cannot be told without being cut off. */
  #mayIgnore(gap: Gap): boolean {
    return gap.reason === 'deleted' || (gap.reason === 'trimmed' && this.#fresh);
  }
}
