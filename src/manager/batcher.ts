/**
 * Group commit for one channel: one append is in flight, and what comes meanwhile makes the next batch. An
 * idle channel stores at once (all of what one read from a socket held goes together); a busy one fills its
 * batches by itself. Order is the order of `add`.
 *
 *   idle ──add──▶ appending ──settled──▶ appending the next, or idle
 *                     │  nothing accepted for long: `check`
 *                     ▼
 *                  stalled ──settled──▶ as above
 *
 * Stalled, whoever is answered is told so, and what is not in flight is not stored; the others wait.
 */
import type { Clock } from '../clock.ts';
import { type Measure, UNMEASURED } from '../distribution.ts';
import { RivercastError } from '../errors.ts';
import type { AppendResult, Log, NewEntry } from '../log/log.ts';
import type { Cause, Tracing } from '../tracing.ts';
import type { Intake, Origin } from './intake.ts';
import { costOf, type Pressure, type Share } from './pressure.ts';

/** Who brought an entry. Called in the order of submission, once per entry, and never throws. */
export interface Submitter {
  readonly origin: Origin;
  /**
   * Whether it tells its publisher how each entry fared. Its entries then fail rather than wait for ever: with
   * `overloaded` (not stored) or `log_unavailable` (in flight, so nobody knows) when the log stands still.
   */
  readonly isAnswered: boolean;
  /** The span that its entries come from. */
  readonly cause?: Cause | null;
  stored(entry: NewEntry, result: AppendResult): void;
  /**
   * The entry is not known to be stored; `error` is as `Log.append` rejects, or as above. May be called from
   * within `submit`. `not_replicated` and `not_synced` mean that it is stored.
   */
  failed(entry: NewEntry, error: unknown): void;
}

export interface BatchLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** For so long at most a busy channel lets its next batch gather; one that was idle stores at once. */
  readonly waitMs: number;
}

export interface BatcherOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly limits: BatchLimits;
  readonly pressure: Pressure;
  readonly intake: Intake;
  readonly measures: AppendMeasures;
  readonly tracing: Tracing;
  /** How an append ended; null: well. */
  readonly ended: (channel: string, error: unknown) => void;
}

/** What is measured of each batch. */
export interface AppendMeasures {
  /** From the call of the log to its answer. */
  readonly seconds: Measure;
  readonly entries: Measure;
}

export const NO_APPEND_MEASURES: AppendMeasures = { seconds: UNMEASURED, entries: UNMEASURED };

interface Batch {
  readonly entries: NewEntry[];
  readonly submitters: Submitter[];
  readonly cost: number;
}

/**
 * Made once: when the log begins to stand still a quarter of a million may wait, and a stack for each would hold the
 * event loop for seconds.
 */
const OVERLOADED = new RivercastError(
  'overloaded',
  'the log accepts nothing at the moment; this is not stored',
);
const UNKNOWN = new RivercastError(
  'log_unavailable',
  'the log did not answer in time, so it is not known whether this is stored; publish it again with the same key',
);
/** In place of one who was told already. */
const NOBODY: Submitter = {
  origin: 'raw',
  isAnswered: false,
  stored: () => undefined,
  failed: () => undefined,
};

export class Batcher {
  readonly share: Share = { bytes: 0, isStalled: false };
  readonly #channel: string;
  readonly #options: BatcherOptions;
  #entries: NewEntry[] = [];
  #submitters: Submitter[] = [];
  /** Of the two lists above, what lies before is in a batch already. */
  #head = 0;
  #waitingBytes = 0;
  #running: Promise<void> | null = null;
  #inFlight: Batch | null = null;
  #startedMs = 0;
  #endGathering: (() => void) | null = null;

  constructor(channel: string, options: BatcherOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#running === null;
  }

  /** Resolves when everything added so far was stored or has failed. */
  get settled(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  add(entry: NewEntry, submitter: Submitter): void {
    if (submitter.isAnswered && (this.share.isStalled || this.#options.pressure.isHopeless)) {
      this.#options.intake.failed(OVERLOADED, 1);
      submitter.failed(entry, OVERLOADED);
      return;
    }
    this.#options.pressure.add(this.share, costOf(entry));
    this.#entries.push(entry);
    this.#submitters.push(submitter);
    this.#waitingBytes += entry.data.length;
    if (this.#endGathering !== null && this.#isFull) this.#endGathering();
    this.#running ??= this.#run();
  }

  /** Regular work. `stalledMs`: an append that takes so long is a log that stands still. */
  check(stalledMs: number): void {
    const batch = this.#inFlight;
    if (batch === null || this.share.isStalled) return;
    if (this.#options.clock.monotonic() - this.#startedMs < stalledMs) return;
    this.#options.pressure.stallBegan(this.share);
    for (const [i, submitter] of batch.submitters.entries()) {
      if (!submitter.isAnswered) continue;
      batch.submitters[i] = NOBODY;
      this.#options.intake.failed(UNKNOWN, 1);
      submitter.failed(batch.entries[i] as NewEntry, UNKNOWN);
    }
    this.#refuseWaiting();
  }

  get #isFull(): boolean {
    const { maxEntries, maxBytes } = this.#options.limits;
    return this.#entries.length - this.#head >= maxEntries || this.#waitingBytes >= maxBytes;
  }

  /** Never rejects: every failure is told to its submitter. */
  async #run(): Promise<void> {
    // The rest of what one socket read holds is added before this goes on.
    await Promise.resolve();
    while (this.#head < this.#entries.length) {
      await this.#append(this.#take());
      if (this.#options.limits.waitMs > 0) await this.#gather();
    }
    this.#running = null;
  }

  async #append(batch: Batch): Promise<void> {
    const { log, clock, pressure, ended, intake, measures, tracing } = this.#options;
    const { entries, submitters } = batch;
    this.#inFlight = batch;
    this.#startedMs = clock.monotonic();
    const traced = tracing.append(this.#channel, entries.length, submitters);
    let results: AppendResult[] | null = null;
    let failure: unknown = null;
    try {
      results = await log.append(this.#channel, entries);
    } catch (error) {
      failure = error;
    }
    this.#inFlight = null;
    measures.entries.observe(entries.length);
    measures.seconds.observe((clock.monotonic() - this.#startedMs) / 1000);
    if (results === null) intake.failed(failure, entries.length);
    else intake.stored(results);
    traced?.end(results?.at(-1)?.id ?? null, failure);
    if (this.share.isStalled) pressure.stallEnded(this.share);
    ended(this.#channel, failure);
    pressure.release(this.share, batch.cost);
    for (let i = 0; i < entries.length; i++) {
      const submitter = submitters[i] as Submitter;
      const entry = entries[i] as NewEntry;
      if (results === null) submitter.failed(entry, failure);
      else submitter.stored(entry, results[i] as AppendResult);
    }
  }

  /** The next batch, out of what waits. */
  #take(): Batch {
    const { maxEntries, maxBytes } = this.#options.limits;
    const end = Math.min(this.#entries.length, this.#head + maxEntries);
    let bytes = 0;
    let cost = 0;
    let at = this.#head;
    for (; at < end; at++) {
      const entry = this.#entries[at] as NewEntry;
      if (at > this.#head && bytes + entry.data.length > maxBytes) break;
      bytes += entry.data.length;
      cost += costOf(entry);
    }
    this.#waitingBytes -= bytes;
    if (this.#head === 0 && at === this.#entries.length) {
      const all = { entries: this.#entries, submitters: this.#submitters, cost };
      this.#entries = [];
      this.#submitters = [];
      return all;
    }
    const batch = {
      entries: this.#entries.slice(this.#head, at),
      submitters: this.#submitters.slice(this.#head, at),
      cost,
    };
    this.#head = at;
    if (this.#head * 2 > this.#entries.length) this.#compact();
    return batch;
  }

  /** So seldom that each entry is moved about once, however many wait. */
  #compact(): void {
    this.#entries = this.#entries.slice(this.#head);
    this.#submitters = this.#submitters.slice(this.#head);
    this.#head = 0;
  }

  async #gather(): Promise<void> {
    if (this.#isFull) return;
    const gathered = new Promise<void>((resolve) => {
      this.#endGathering = resolve;
    });
    const timer = setTimeout(() => this.#endGathering?.(), this.#options.limits.waitMs);
    await gathered;
    clearTimeout(timer);
    this.#endGathering = null;
  }

  #refuseWaiting(): void {
    const [entries, submitters, head] = [this.#entries, this.#submitters, this.#head];
    this.#entries = [];
    this.#submitters = [];
    this.#head = 0;
    for (let i = head; i < entries.length; i++) {
      const entry = entries[i] as NewEntry;
      const submitter = submitters[i] as Submitter;
      if (submitter.isAnswered) {
        this.#waitingBytes -= entry.data.length;
        this.#options.pressure.release(this.share, costOf(entry));
        this.#options.intake.failed(OVERLOADED, 1);
        submitter.failed(entry, OVERLOADED);
      } else {
        this.#entries.push(entry);
        this.#submitters.push(submitter);
      }
    }
  }
}
