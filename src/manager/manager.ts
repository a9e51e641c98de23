/**
 * Publishers in: what comes from all connections and requests, batched per channel and appended to the log.
 *
 * Whoever publishes is a Submitter (batcher.ts), told of each entry how it fared, and a Pausable (pressure.ts),
 * which is not read above its bounds:
 *
 *   submit(channel, entry, submitter)   then, and before reading on:
 *   mustPause(pausable)                 true: do not read; `resume` is called as soon as it may be read
 *   settled(pausable)                   its own `unstoredBytes` have fallen (by `costOf` each)
 *   forget(pausable)                    it is gone; what was submitted is stored all the same
 */

import type { Clock } from '../clock.ts';
import type { ManagerConfig } from '../config.ts';
import { RivercastError } from '../errors.ts';
import type { Log, NewEntry } from '../log/log.ts';
import { NO_TRACING, type Tracing } from '../tracing.ts';
import {
  type AppendMeasures,
  Batcher,
  type BatcherOptions,
  NO_APPEND_MEASURES,
  type Submitter,
} from './batcher.ts';
import { Intake } from './intake.ts';
import { type Pausable, Pressure, type Share } from './pressure.ts';

/** The part of a logger that is needed here. */
export interface ManagerLogger {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
}

export interface ManagerOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly logger: ManagerLogger;
  readonly config: ManagerConfig;
  /** Absent: nothing is measured. */
  readonly measures?: AppendMeasures;
  /** Absent: there are no spans. */
  readonly tracing?: Tracing;
}

export class Manager {
  readonly intake: Intake = new Intake();
  readonly #options: ManagerOptions;
  readonly #batching: BatcherOptions;
  readonly #batchers = new Map<string, Batcher>();
  readonly #pressure: Pressure;
  #lost = 0;
  /** What the latest batches were late for, until it is told. */
  #late: RivercastError | null = null;
  #isLateTold = false;
  #isStalled = false;
  #hadOneInTime = false;
  /** A fault of ours that fails every append is said once, until one succeeds. */
  #isFaultTold = false;

  constructor(options: ManagerOptions) {
    const { log, clock, config, measures = NO_APPEND_MEASURES, tracing = NO_TRACING } = options;
    this.#options = options;
    this.#pressure = new Pressure(config);
    this.#batching = {
      log,
      clock,
      limits: {
        maxEntries: config.batchMaxEntries,
        maxBytes: config.batchMaxBytes,
        waitMs: config.batchWaitMs,
      },
      pressure: this.#pressure,
      intake: this.intake,
      measures,
      tracing,
      ended: (channel, error) => this.#ended(channel, error),
    };
  }

  /** The cost of what was received and is not stored yet. */
  get unstoredBytes(): number {
    return this.#pressure.unstoredBytes;
  }

  /** Publishers that are not read for now. */
  get paused(): number {
    return this.#pressure.paused;
  }

  /** Entries of a channel are stored in the order in which they are submitted. Returns what the channel holds now. */
  submit(channel: string, entry: NewEntry, submitter: Submitter): Share {
    let batcher = this.#batchers.get(channel);
    if (batcher === undefined) {
      batcher = new Batcher(channel, this.#batching);
      this.#batchers.set(channel, batcher);
    }
    this.intake.took(submitter.origin, entry.data.length);
    batcher.add(entry, submitter);
    return batcher.share;
  }

  /** What a channel holds; null: nothing. */
  shareOf(channel: string): Share | null {
    return this.#batchers.get(channel)?.share ?? null;
  }

  /** Whether this publisher must not be read for now; it is then resumed as soon as it may be. */
  mustPause(publisher: Pausable): boolean {
    return this.#pressure.mustPause(publisher);
  }

  /** The publisher's own bytes have fallen. */
  settled(publisher: Pausable): void {
    this.#pressure.settled(publisher);
  }

  /** The publisher is gone, and need not be resumed. */
  forget(publisher: Pausable): void {
    this.#pressure.forget(publisher);
  }

  /** An entry that was received will not be stored, and its publisher is not told: said once, for the first. */
  lost(channel: string, error: unknown): void {
    this.#lost += 1;
    if (this.#lost > 1) return;
    this.#options.logger.error({ err: error, channel }, 'messages that were received could not be stored');
  }

  /**
   * Resolves when nothing is in flight any more, or when `signal` aborts; true when everything is stored that was
   * not refused.
   */
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

  /** Regular work, about once a second: forgets channels nobody publishes to, finds those that stand still. */
  tick(): void {
    const { overloadedAfterMs } = this.#options.config;
    let stalled = 0;
    for (const [channel, batcher] of this.#batchers) {
      if (batcher.isIdle) this.#batchers.delete(channel);
      else batcher.check(overloadedAfterMs);
      if (batcher.share.isStalled) stalled += 1;
    }
    this.#tellStalled(stalled);
    this.#pressure.tick();
    this.#tellLate();
  }

  #ended(channel: string, error: unknown): void {
    if (error === null) {
      this.#hadOneInTime = true;
      this.#isFaultTold = false;
    } else if (isLate(error)) {
      this.#late = error;
    } else if (!(error instanceof RivercastError) && !this.#isFaultTold) {
      // Those who are answered are told `internal`, and here is why.
      this.#options.logger.error({ err: error, channel }, 'an append failed by a fault of the server');
      this.#isFaultTold = true;
    }
  }

  /** Once per change, whatever channels it is. */
  #tellStalled(channels: number): void {
    const { logger } = this.#options;
    const isStalled = channels > 0;
    if (isStalled === this.#isStalled) return;
    this.#isStalled = isStalled;
    if (isStalled)
      logger.warn({ channels }, 'the log takes nothing of some channels: publishers wait, or are refused');
    else logger.info({}, 'the log takes everything again');
  }

  /** Once per change, and not for each message. */
  #tellLate(): void {
    const { logger } = this.#options;
    if (this.#late !== null) {
      if (!this.#isLateTold)
        logger.warn({ err: this.#late }, 'messages are stored, but less safely than asked');
      this.#isLateTold = true;
    } else if (this.#isLateTold && this.#hadOneInTime) {
      logger.info({}, 'messages are stored as safely as asked again');
      this.#isLateTold = false;
    }
    this.#late = null;
    this.#hadOneInTime = false;
  }
}

/** Whether the entries are stored, but not as durable as they were to be. */
export function isLate(error: unknown): error is RivercastError {
  return error instanceof RivercastError && (error.code === 'not_replicated' || error.code === 'not_synced');
}
