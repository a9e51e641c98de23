/** Waiting before another try: from 20 ms, doubling, at most 0.5 s, with jitter so that many do not march in step. */
import { setTimeout as delay } from 'node:timers/promises';

const FIRST_MS = 20;
/** With the time to connect it is what a recovery takes at the most, once Redis is back. */
const MAX_MS = 500;

export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** Resolves after the wait, or as soon as `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    const fullMs = Math.min(MAX_MS, FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    await pause(fullMs * (0.5 + this.#random() / 2), signal);
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
