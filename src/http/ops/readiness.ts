/**
 * What `/readyz` says: whether clients should be sent here. What this process is for has to work: storing messages,
 * delivering them, or both. An idle server is ready, and so is one without subscribers.
 *
 * Nothing is looked at unless somebody asks; of many who ask at once all get one answer.
 */
import type { Broadcaster } from '../../broadcaster/broadcaster.ts';
import type { Log } from '../../log/log.ts';

/** `/readyz` must fail within 2 s of trouble, also when the log does not answer at all. */
const CHECK_TIMEOUT_MS = 1500;
/** Somebody who asks all the time must not keep the log busy. */
const FRESH_MS = 100;

export interface ReadinessOptions {
  readonly log: Log;
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

interface Found {
  readonly verdict: Verdict;
  readonly isLogUp: boolean;
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
  #looking: Promise<Found> | null = null;

  constructor({ log, appends, broadcaster }: ReadinessOptions) {
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
    const { verdict } = await this.#found();
    return this.#isLeaving ? LEAVING : verdict;
  }

  /** Whether the log does what it is here for, also when this server is stopping. */
  async isLogUp(): Promise<boolean> {
    return (await this.#found()).isLogUp;
  }

  #found(): Promise<Found> {
    this.#looking ??= this.#check();
    return this.#looking;
  }

  async #check(): Promise<Found> {
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
    const isLogUp = [append, read].every((found) => found === undefined || found === OK);
    const wrong = Object.entries(checks).filter(([, found]) => typeof found === 'string' && found !== OK);
    if (wrong.length > 0) {
      this.#looking = null;
      const reason = wrong.map(([name, why]) => `${name}: ${why}`).join('; ');
      return { verdict: { status: 'unavailable', reason, checks }, isLogUp };
    }
    setTimeout(() => {
      this.#looking = null;
    }, FRESH_MS).unref();
    return { verdict: { status: 'ready', checks }, isLogUp };
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
