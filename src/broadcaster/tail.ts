/**
 * The live end of one channel in this process: the ring of its recent items and the subscriptions that follow
 * it. Exists while the channel has subscribers, and a little longer.
 */
import type { Page } from '../log/log.ts';
import type { Cursor } from '../protocol/cursor.ts';
import { compareIds, idMs } from '../protocol/id.ts';
import { NO_TRACING, type Traced } from '../tracing.ts';
import { type Item, itemsOf, type Keeper } from './block.ts';
import type { Budget, Holding } from './budget.ts';
import type { DeliveryMeasures } from './counts.ts';
import type { Passing } from './passes.ts';
import { Ring } from './ring.ts';
import type { Runs } from './runs.ts';
import type { SubscriberContext } from './subscriber.ts';
import type { Feed, Subscription } from './subscription.ts';

/** Reads older entries back for a subscription (catch-up.ts). */
export interface Fetcher {
  request(tail: Tail, subscription: Subscription): void;
  /** Something new came. */
  live(): void;
  /** It needs no more of them. */
  done(subscription: Subscription): void;
  /** The history of the channel was replaced. */
  forget(channel: string): void;
}

/** What all tails of a process share. */
export interface TailContext extends SubscriberContext {
  readonly budget: Budget;
  readonly measures: DeliveryMeasures;
  readonly runs: Runs;
  readonly catchUp: Fetcher;
}

/** What waits for its pass: the oldest of it. */
interface Waiting {
  /** By its id: wall-clock ms. */
  readonly bornMs: number;
  /** Monotonic ms. */
  readonly arrivedMs: number;
}

/** A pump writes 1 MiB at most, so that a few of them take a fraction of a slice. */
const PUMPS_PER_LOOK = 4;

export class Tail implements Feed, Passing, Holding, Keeper {
  readonly channel: string;
  readonly ring: Ring;
  readonly runs: Runs;
  /** Monotonic ms since when nobody follows; null while somebody does. */
  idleSinceMs: number | null;
  /** Subscriptions whose start is being looked up: it must not be given up under them. */
  arriving = 0;
  isGone = false;
  readonly #context: TailContext;
  #subscriptions: (Subscription | null)[] = [];
  #count = 0;
  /** Where the pass under way has got to; null when there is none. */
  #passAt: number | null = null;
  #due = false;
  /** What the next pass delivers, and what the one under way does. */
  #coming: Waiting | null = null;
  #passing: Waiting | null = null;
  /** Until the pass under way has written to somebody. */
  #traced: Traced | null = null;
  #heldBytes = 0;
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

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes in what the log has after the ring's end, and delivers it. */
  push(page: Page): void {
    for (const item of itemsOf(this.channel, page)) {
      this.ring.push(item);
      item.keeper = this;
      this.#heldBytes += item.memoryBytes;
      if (item.kind === 'block') {
        this.#entries += item.ids.length;
        this.#bytes += item.frames.length;
        this.#context.measures.blockEntries.observe(item.ids.length);
        this.#coming ??= { bornMs: idMs(item.ids[0] as string), arrivedMs: this.#context.clock.monotonic() };
      } else if (item.gap.reason === 'reset') {
        this.#context.counts.resets += 1;
        this.#context.catchUp.forget(this.channel);
      }
      this.#context.budget.hold(this, item.memoryBytes);
    }
    this.#context.catchUp.live();
    this.#due = true;
    this.#context.passes.start(this);
  }

  /** A format more of one of the ring's blocks was made. */
  grew(bytes: number): void {
    this.#heldBytes += bytes;
    this.#context.budget.grow(bytes);
  }

  yield(subscription: Subscription): void {
    this.#context.turns.add(subscription);
  }

  pass(deadline: number): boolean {
    const { clock, passes } = this.#context;
    while (this.#due || this.#passAt !== null) {
      if (this.#passAt === null) this.#begin();
      for (let at = this.#passAt ?? 0; at < this.#subscriptions.length; at++) {
        this.#passAt = at;
        const subscription = this.#subscriptions[at];
        if (subscription) passes.pump(subscription);
        if (this.#traced !== null && subscription) this.#delivered();
        this.#passAt = at + 1;
        // Asking for the time costs about what a pump with nothing to write does.
        if (at % PUMPS_PER_LOOK === 0 && clock.monotonic() >= deadline) return false;
      }
      this.#passAt = null;
      this.#passed();
      this.#compact();
    }
    return true;
  }

  add(subscription: Subscription): void {
    subscription.slot = this.#subscriptions.length;
    this.#subscriptions.push(subscription);
    this.#count += 1;
    this.idleSinceMs = null;
  }

  /** Leaves its slot empty: moving another into it would hide that one from a pass under way. */
  remove(subscription: Subscription): void {
    if (subscription.slot === -1) return;
    this.#subscriptions[subscription.slot] = null;
    subscription.slot = -1;
    this.#context.catchUp.done(subscription);
    this.#count -= 1;
    if (this.#count === 0) this.idleSinceMs = this.#context.clock.monotonic();
    if (this.#passAt === null) this.#compact();
  }

  fetch(subscription: Subscription): void {
    this.#context.catchUp.request(this, subscription);
  }

  caughtUp(subscription: Subscription): void {
    this.#context.catchUp.done(subscription);
  }

  /** The subscriptions, for a walk that may remove them. */
  subscriptions(): Subscription[] {
    return this.#subscriptions.filter((subscription) => subscription !== null);
  }

  release(): number {
    const item: Item | undefined = this.ring.shift();
    if (item === undefined) return 0;
    item.keeper = null;
    this.#heldBytes -= item.memoryBytes;
    return item.memoryBytes;
  }

  close(): void {
    this.isGone = true;
    let items = 0;
    for (let item = this.ring.shift(); item !== undefined; item = this.ring.shift()) {
      item.keeper = null;
      items += 1;
    }
    this.#context.budget.forget(this.#heldBytes, items);
    this.#heldBytes = 0;
    this.runs.clear();
  }

  #begin(): void {
    this.#due = false;
    this.#passing = this.#coming;
    this.#coming = null;
    const isTraced = this.#context.tracing !== NO_TRACING;
    if (isTraced && this.#passing !== null && this.#count > 0) this.#trace(this.#passing);
  }

  #trace({ arrivedMs }: Waiting): void {
    const { clock, tracing } = this.#context;
    const { id: lastId } = this.ring.end;
    const waitedMs = clock.monotonic() - arrivedMs;
    const reaches = (id: string): boolean => compareIds(id, lastId) <= 0;
    this.#traced = tracing.deliver({ channel: this.channel, lastId, waitedMs, reaches });
  }

  #delivered(): void {
    this.#traced?.end(null);
    this.#traced = null;
  }

  /** All who read have been written what came. Clocks of several machines may differ: never less than no time. */
  #passed(): void {
    const passing = this.#passing;
    this.#passing = null;
    this.#delivered();
    if (passing === null || this.#count === 0) return;
    const { clock, measures } = this.#context;
    measures.deliverySeconds.observe(Math.max(0, clock.now() - passing.bornMs) / 1000);
    measures.passSeconds.observe((clock.monotonic() - passing.arrivedMs) / 1000);
  }

  /** Closes up the empty slots once they are many. */
  #compact(): void {
    const empty = this.#subscriptions.length - this.#count;
    if (empty < 32 || empty < this.#count) return;
    this.#subscriptions = this.subscriptions();
    for (const [slot, subscription] of this.#subscriptions.entries()) {
      if (subscription !== null) subscription.slot = slot;
    }
  }
}
