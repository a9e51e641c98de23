/**
 * What `/readyz` says: whether clients should be sent here. What this process is for has to work: storing messages,
 * delivering them, or both. An idle server is ready, and so is one without subscribers.
 *
 * Nothing is looked at unless somebody asks; of many who ask at once all get one answer.
 */
import type { Broadcaster } from '../../broadcaster/broadcaster.ts';
import type { Clock } from '../../clock.ts';
import type { Log } from '../../log/log.ts';

/** `/readyz` must fail within 2 s of trouble, also when the log does not answer at all. */
const CHECK_TIMEOUT_MS = 1500;
/** Somebody who asks all the time must not keep the log busy. */
const FRESH_MS = 100;

export interface ReadinessOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Whether this process stores messages. */
  readonly appends: boolean;
  /** Null when it delivers none. */
  readonly broadcaster: Broadcaster | null;
}

/** By the names of the checks, those of this role: `ok`, or what is wrong. */
interface Checks {
  readonly append?: string;
  readonly delivery?: string;
  readonly draining: boolean;
}

/** Whether the log does what it is here for, as whoever looked last found it. */
export interface LogHealth {
  readonly isUp: boolean;
  /** When that was found first, in ms since 1970. */
  readonly sinceMs: number;
  /** What is wrong, or was the last time that something was; null: nothing since the start. */
  readonly trouble: string | null;
}

/** The body of the answer. */
export interface Verdict {
  readonly status: 'ready' | 'unavailable';
  readonly reason?: string;
  readonly checks: Checks;
}

const OK = 'ok';
const LEAVING: Verdict = {
  status: 'unavailable',
  reason: 'the server is stopping',
  checks: { draining: true },
};

export class Readiness {
  readonly #append: (() => Promise<string>) | null;
  readonly #read: (() => Promise<string>) | null = null;
  readonly #delivery: (() => Promise<string>) | null = null;
  #isLeaving = false;
  #looking: Promise<Verdict> | null = null;
  readonly #clock: Clock;
  #log: LogHealth;

  constructor({ log, clock, appends, broadcaster }: ReadinessOptions) {
    this.#clock = clock;
    this.#log = { isUp: true, sinceMs: clock.now(), trouble: null };
    this.#append = appends ? shared(() => log.probe('append')) : null;
    if (broadcaster === null) return;
    const read = shared(() => log.probe('read'));
    this.#read = read;
    this.#delivery = shared(async () => {
      const found = await read();
      return found === OK ? broadcaster.lateness() : found;
    });
  }

  /** From now on the answer is no. */
  leave(): void {
    this.#isLeaving = true;
  }

  async look(): Promise<Verdict> {
    if (this.#isLeaving) return LEAVING;
    const verdict = await this.#found();
    return this.#isLeaving ? LEAVING : verdict;
  }

  /** Also when this server is stopping. */
  async log(): Promise<LogHealth> {
    await this.#found();
    return this.#log;
  }

  #found(): Promise<Verdict> {
    this.#looking ??= this.#check();
    return this.#looking;
  }

  async #check(): Promise<Verdict> {
    const [append, read, delivery] = await Promise.all([
      this.#append?.(),
      this.#read?.(),
      this.#delivery?.(),
    ]);
    const checks: Checks = {
      ...(append === undefined ? {} : { append }),
      ...(delivery === undefined ? {} : { delivery }),
      draining: false,
    };
    this.#note([append, read].find((found) => found !== undefined && found !== OK) ?? null);
    const wrong = Object.entries(checks).filter(([, found]) => typeof found === 'string' && found !== OK);
    if (wrong.length > 0) {
      this.#looking = null;
      const reason = wrong.map(([name, why]) => `${name}: ${why}`).join('; ');
      return { status: 'unavailable', reason, checks };
    }
    setTimeout(() => {
      this.#looking = null;
    }, FRESH_MS).unref();
    return { status: 'ready', checks };
  }

  #note(trouble: string | null): void {
    const { isUp, sinceMs } = this.#log;
    const isUpNow = trouble === null;
    this.#log = {
      isUp: isUpNow,
      sinceMs: isUp === isUpNow ? sinceMs : this.#clock.now(),
      trouble: trouble ?? this.#log.trouble,
    };
  }
}

/**
 * `ok`, or what is wrong: what the check found, why it failed, or that it takes too long. One that takes too long is
 * not begun again before it is over.
 */
function shared(check: () => Promise<string | null | void>): () => Promise<string> {
  let running: Promise<string> | null = null;
  return () => {
    running ??= check()
      .then(
        (reason) => reason ?? OK,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      )
      .finally(() => {
        running = null;
      });
    return inTime(running);
  };
}

async function inTime(found: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    const reason = `the log did not answer within ${CHECK_TIMEOUT_MS} ms`;
    timer = setTimeout(() => resolve(reason), CHECK_TIMEOUT_MS);
  });
  return Promise.race([found, late]).finally(() => clearTimeout(timer));
}
