/**
 * Has the log swept every now and then: retention for channels that nobody publishes to. A sweep that fails is
 * tried again when the next one is due; that it fails is said once, and once more when it is for another reason.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { background } from '../background.ts';
import type { Log, Swept } from '../log/log.ts';

export interface SweeperOptions {
  readonly log: Log;
  readonly logger: {
    error(fields: object, message: string): void;
    info(fields: object, message: string): void;
    debug(fields: object, message: string): void;
  };
  readonly everyMs: number;
}

/** Sweeps of this process, and what they took away; those that another server is at do not count. */
export interface SweepCounts {
  done: number;
  failed: number;
  /** Entries. */
  removed: number;
  /** Channels. */
  forgotten: number;
}

export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  /** Since the start. */
  readonly counts: SweepCounts = { done: 0, failed: 0, removed: 0, forgotten: 0 };
  #trouble: string | null = null;

  constructor(options: SweeperOptions) {
    this.#options = options;
    this.#ended = this.#run();
    background('sweeping', this.#ended, options.logger);
  }

  /** Resolves when the sweep that is under way has ended, which it does early. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      await delay(this.#options.everyMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      await this.#sweep(signal);
    }
  }

  #count({ removed, forgotten }: Swept): void {
    this.counts.done += 1;
    this.counts.removed += removed;
    this.counts.forgotten += forgotten;
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { log, logger } = this.#options;
    try {
      const swept = await log.sweep(signal);
      if (swept !== null) this.#count(swept);
      if (swept !== null && swept.removed + swept.forgotten > 0) logger.debug(swept, 'channels were swept');
      if (this.#trouble !== null) logger.info({}, 'idle channels are swept again');
      this.#trouble = null;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (signal.aborted) return;
      this.counts.failed += 1;
      if (kindOf(reason) === this.#trouble) return;
      this.#trouble = kindOf(reason);
      logger.error({ reason }, 'idle channels can not be swept; it is tried again');
    }
  }
}

/** Reasons hold changing parts, such as times; the first words tell the kind. */
function kindOf(reason: string): string {
  return reason.split(' ', 4).join(' ');
}
