/**
 * The live end of one channel in this process: the ring of its recent items and the subscribers that follow
 * it. Exists while the channel has subscribers, and a little longer.
 */
import type { Clock } from '../clock.ts';
import type { Page } from '../log/log.ts';
import type { Cursor } from '../protocol/cursor.ts';
import type { Item } from './block.ts';
import { itemsOf } from './block.ts';
import type { Budget, Holding } from './budget.ts';
import type { Passes, Passing } from './passes.ts';
import { Ring } from './ring.ts';
import type { Runs } from './runs.ts';
import type { Lag } from './slow-reader.ts';
import type { Stalls } from './stalls.ts';
import type { Feed, Subscriber } from './subscriber.ts';
import type { Turns } from './turns.ts';

/** Reads older entries back for a subscriber (catch-up.ts). */
export interface Fetcher {
  request(tail: Tail, subscriber: Subscriber): void;
}

/** What all tails of a process share. */
export interface TailContext {
  readonly clock: Clock;
  readonly budget: Budget;
  readonly passes: Passes;
  readonly runs: Runs;
  readonly stalls: Stalls<Subscriber>;
  readonly catchUp: Fetcher;
  readonly turns: Turns;
}

/** A pump writes 1 MiB at most, so that a few of them take a fraction of a slice. */
const PUMPS_PER_LOOK = 4;

export class Tail implements Feed, Passing, Holding {
  readonly channel: string;
  readonly ring: Ring;
  readonly runs: Runs;
  /** Monotonic ms since when nobody follows; null while somebody does. */
  idleSinceMs: number | null;
  /** Subscribers whose start is being looked up: it must not be given up under them. */
  arriving = 0;
  isGone = false;
  readonly #context: TailContext;
  #subscribers: (Subscriber | null)[] = [];
  #count = 0;
  /** Where the pass under way has got to; null when there is none. */
  #passAt: number | null = null;
  #due = false;
  #heldBytes = 0;
  /** Everything that ever came through, to tell how far behind a stalled subscriber fell. */
  #entries = 0;
  #bytes = 0;

  constructor(channel: string, start: Cursor, context: TailContext) {
    this.channel = channel;
    this.ring = new Ring(start);
    this.runs = context.runs;
    this.idleSinceMs = context.clock.monotonic();
    this.#context = context;
  }

  get writeBytes(): number {
    return this.#context.stalls.writeBytes;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes in what the log has after the ring's end, and delivers it. */
  push(page: Page): void {
    for (const item of itemsOf(page)) {
      this.ring.push(item);
      this.#heldBytes += item.memoryBytes;
      if (item.kind === 'block') {
        this.#entries += item.ids.length;
        this.#bytes += item.frames.length;
      }
      this.#context.budget.hold(this, item.memoryBytes);
    }
    this.#due = true;
    this.#context.passes.start(this);
  }

  yield(subscriber: Subscriber): void {
    this.#context.turns.add(subscriber);
  }

  pass(deadline: number): boolean {
    const { clock, passes } = this.#context;
    while (this.#due || this.#passAt !== null) {
      if (this.#passAt === null) this.#due = false;
      for (let at = this.#passAt ?? 0; at < this.#subscribers.length; at++) {
        this.#passAt = at;
        const subscriber = this.#subscribers[at];
        if (subscriber) passes.pump(subscriber);
        this.#passAt = at + 1;
        // Asking for the time costs about what a pump with nothing to write does.
        if (at % PUMPS_PER_LOOK === 0 && clock.monotonic() >= deadline) return false;
      }
      this.#passAt = null;
      this.#compact();
    }
    return true;
  }

  add(subscriber: Subscriber): void {
    subscriber.slot = this.#subscribers.length;
    this.#subscribers.push(subscriber);
    this.#count += 1;
    this.idleSinceMs = null;
  }

  /** Leaves its slot empty: moving another into it would hide that one from a pass under way. */
  remove(subscriber: Subscriber): void {
    if (subscriber.slot === -1) return;
    this.#subscribers[subscriber.slot] = null;
    subscriber.slot = -1;
    this.#count -= 1;
    if (this.#count === 0) this.idleSinceMs = this.#context.clock.monotonic();
    if (this.#passAt === null) this.#compact();
  }

  fetch(subscriber: Subscriber): void {
    this.#context.catchUp.request(this, subscriber);
  }

  stalled(subscriber: Subscriber, pending: Buffer): void {
    const sinceMs = this.#context.clock.monotonic();
    this.#context.stalls.add(subscriber, {
      memory: pending.buffer,
      sinceMs,
      entries: this.#entries,
      bytes: this.#bytes,
    });
  }

  drained(subscriber: Subscriber): void {
    this.#context.stalls.remove(subscriber);
  }

  /** How far a subscriber has fallen behind since it stalled, or was behind already. */
  lagOf(subscriber: Subscriber): Lag {
    const stall = this.#context.stalls.get(subscriber);
    if (stall === undefined) return { stalledMs: 0, entries: 0, bytes: 0 };
    const behind = (this.ring.end.ordinal ?? 0) - (subscriber.cursor.ordinal ?? Number.POSITIVE_INFINITY);
    return {
      stalledMs: this.#context.clock.monotonic() - stall.sinceMs,
      entries: Math.max(behind, this.#entries - stall.entries),
      bytes: this.#bytes - stall.bytes,
    };
  }

  /** The subscribers, for a walk that may remove them. */
  subscribers(): Subscriber[] {
    return this.#subscribers.filter((subscriber) => subscriber !== null);
  }

  release(): number {
    const item: Item | undefined = this.ring.shift();
    if (item === undefined) return 0;
    this.#heldBytes -= item.memoryBytes;
    return item.memoryBytes;
  }

  close(): void {
    this.isGone = true;
    let items = 0;
    while (this.ring.shift() !== undefined) items += 1;
    this.#context.budget.forget(this.#heldBytes, items);
    this.#heldBytes = 0;
    this.runs.clear();
  }

  /** Closes up the empty slots once they are many. */
  #compact(): void {
    const empty = this.#subscribers.length - this.#count;
    if (empty < 32 || empty < this.#count) return;
    this.#subscribers = this.subscribers();
    for (const [slot, subscriber] of this.#subscribers.entries()) {
      if (subscriber !== null) subscriber.slot = slot;
    }
  }
}
