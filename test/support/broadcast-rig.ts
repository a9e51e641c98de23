/** Pages made by hand, and one tail with all that it shares, for the unit tests of the broadcaster. */
import { type Block, type Item, itemsOf } from '../../src/broadcaster/block.ts';
import { Budget } from '../../src/broadcaster/budget.ts';
import { CatchUp } from '../../src/broadcaster/catch-up.ts';
import { NO_DELIVERY_MEASURES, noCounts } from '../../src/broadcaster/counts.ts';
import type { Format } from '../../src/broadcaster/format.ts';
import { RAW } from '../../src/broadcaster/formats/raw.ts';
import { Passes } from '../../src/broadcaster/passes.ts';
import { Ranges } from '../../src/broadcaster/ranges.ts';
import { Runs } from '../../src/broadcaster/runs.ts';
import { Stalls } from '../../src/broadcaster/stalls.ts';
import { Subscriber } from '../../src/broadcaster/subscriber.ts';
import { Subscription, type SubscriptionOptions } from '../../src/broadcaster/subscription.ts';
import { Tail, type TailContext } from '../../src/broadcaster/tail.ts';
import { Turns } from '../../src/broadcaster/turns.ts';
import type { Entry, EntryType, Gap, GapReason, Page } from '../../src/log/log.ts';
import { createLogger, type Logger } from '../../src/logger.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { NO_TRACING } from '../../src/tracing.ts';
import { ManualClock } from './clock.ts';
import { GatedLog } from './gated-log.ts';
import { RecordingTransport } from './recording-transport.ts';

const EPOCH = 'e1';
export const silent: Logger = createLogger({ level: 'silent' });

/** The cursor after entry number `n`. */
export function at(n: number, epoch: string | null = EPOCH): Cursor {
  return { id: `${n}-0`, epoch, ordinal: epoch === null ? null : n };
}

/** Entry number `n`: its id is `n-0`, its ordinal `n`. */
export function entry(n: number, data: Buffer | string = `m${n}`, type: EntryType = 'text'): Entry {
  return { id: `${n}-0`, type, data: Buffer.from(data), prev: `${n - 1}-0`, ordinal: n };
}

export function entries(from: number, to: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i));
}

/** A page without gaps. */
export function pageOf(list: readonly Entry[], epoch: string = EPOCH): Page {
  const last = list.at(-1);
  if (last === undefined) throw new Error('a page of nothing');
  return { epoch, entries: list, gaps: [], end: { id: last.id, epoch, ordinal: last.ordinal } };
}

/** A page with a gap before its entries, after which delivery goes on behind `resumeAt`. */
export function gapPage(reason: GapReason, resumeAt: Cursor, list: readonly Entry[] = []): Page {
  const gap: Gap = { reason, requested: at(0), floor: null, lost: null, resumeAt };
  const last = list.at(-1);
  const end = last === undefined ? resumeAt : { id: last.id, epoch: resumeAt.epoch, ordinal: last.ordinal };
  return { epoch: resumeAt.epoch, entries: list, gaps: [{ before: 0, gap }], end };
}

/** The items of a page of channel `c`. */
export function items(page: Page): Item[] {
  return itemsOf('c', page);
}

export function block(from: number, to: number): Block {
  return items(pageOf(entries(from, to)))[0] as Block;
}

export interface RigOptions {
  readonly ringBytes?: number;
  readonly writeBytes?: number;
  readonly stalledBytes?: number;
  readonly start?: Cursor;
}

/** A tail whose log and clock the test moves; nothing follows the log: the test pushes pages. */
export class Rig {
  readonly clock: ManualClock = new ManualClock();
  readonly log: GatedLog = new GatedLog({ clock: this.clock });
  readonly context: TailContext;
  readonly tail: Tail;
  readonly ranges: Ranges;
  readonly catchUp: CatchUp;

  constructor(options: RigOptions = {}) {
    const { ringBytes = 1024 * 1024, writeBytes = 64 * 1024, stalledBytes = 1024 * 1024 } = options;
    const budget = new Budget(ringBytes);
    const passes = new Passes(this.clock, silent);
    const turns = new Turns(this.clock, passes);
    const stalls = new Stalls<Subscriber>({ maxBytes: stalledBytes, writeBytes });
    this.ranges = new Ranges({ log: this.log, budget, rangeBytes: () => writeBytes });
    this.catchUp = new CatchUp({ ranges: this.ranges, turns, logger: silent, clock: this.clock });
    this.context = {
      clock: this.clock,
      budget,
      passes,
      turns,
      stalls,
      runs: new Runs(),
      catchUp: this.catchUp,
      counts: noCounts(),
      measures: NO_DELIVERY_MEASURES,
      tracing: NO_TRACING,
      gone: () => undefined,
    };
    this.tail = new Tail('c', options.start ?? at(0), this.context);
  }

  /** Appends texts to the log without telling the tail. */
  async append(...texts: string[]): Promise<void> {
    await this.log.append(
      'c',
      texts.map((text) => ({ type: 'text', data: Buffer.from(text) })),
    );
  }

  subscribe(options: Partial<SubscriptionOptions> & { readonly format?: Format } = {}): Member {
    const transport = new RecordingTransport();
    const subscriber = new Subscriber(this.context, transport, options.format ?? RAW);
    const subscription = new Subscription(this.tail, subscriber, {
      cursor: this.tail.ring.end,
      fresh: false,
      onGap: 'close',
      ...options,
    });
    subscriber.add(subscription);
    this.tail.add(subscription);
    subscription.pump();
    return { subscriber, subscription, transport };
  }
}

export interface Member {
  readonly subscriber: Subscriber;
  readonly subscription: Subscription;
  readonly transport: RecordingTransport;
}
