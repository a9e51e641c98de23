/**
 * Wakes the readers of stores that live in this process: a reader waits for any of its channels, an append
 * announces its channel. An announcement between a reader's look and its wait is not lost, because looking
 * and waiting happen in the same turn of the event loop.
 */
export class Arrivals {
  readonly #waiting = new Map<string, Set<() => void>>();

  announce(channel: string): void {
    const wakes = this.#waiting.get(channel);
    if (wakes === undefined) return;
    for (const wake of [...wakes]) wake();
  }

  announceAll(): void {
    for (const channel of [...this.#waiting.keys()]) this.announce(channel);
  }

  /** Resolves at the next announcement of one of `channels`, or when `signal` aborts. */
  next(channels: Iterable<string>, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const names = [...channels];
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        for (const name of names) this.#remove(name, wake);
        resolve();
      };
      signal.addEventListener('abort', wake, { once: true });
      for (const name of names) this.#add(name, wake);
    });
  }

  #add(channel: string, wake: () => void): void {
    const wakes = this.#waiting.get(channel);
    if (wakes === undefined) this.#waiting.set(channel, new Set([wake]));
    else wakes.add(wake);
  }

  #remove(channel: string, wake: () => void): void {
    const wakes = this.#waiting.get(channel);
    if (wakes === undefined) return;
    wakes.delete(wake);
    if (wakes.size === 0) this.#waiting.delete(channel);
  }
}
