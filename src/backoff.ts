/** Waiting before another try: longer after each failure, with jitter so that many do not march in step. */
import { setTimeout as delay } from 'node:timers/promises';

export interface BackoffOptions {
  /** After the first failure; it doubles with each further one. */
  readonly firstMs: number;
  readonly maxMs: number;
  readonly random?: () => number;
}

export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #failures = 0;

  constructor({ firstMs, maxMs, random = Math.random }: BackoffOptions) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** It failed once more: how long to wait, at least half of the full time. */
  nextMs(): number {
    const fullMs = Math.min(this.#maxMs, this.#firstMs * 2 ** this.#failures);
    this.#failures += 1;
    return fullMs * (0.5 + this.#random() / 2);
  }

  /** Resolves after the wait, or as soon as `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    await pause(this.nextMs(), signal);
  }
}

/** A sleep that an abort ends early instead of failing. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
