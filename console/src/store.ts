/** A value that may change, and who wants to know. */
import { useEffect, useState } from 'preact/hooks';

export class Store<Value> {
  #value: Value;
  readonly #listeners = new Set<() => void>();

  constructor(value: Value) {
    this.#value = value;
  }

  get(): Value {
    return this.#value;
  }

  set(value: Value): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function useStore<Value>(store: Store<Value>): Value {
  const [, redraw] = useState<unknown>(null);
  useEffect(() => {
    const changed = (): void => redraw({});
    // It may have changed since it was drawn.
    changed();
    return store.listen(changed);
  }, [store]);
  return store.get();
}

/** Calls `work` now and every `everyMs`, the next time only after the last is done; not while nobody looks at the page. */
export function usePolling(work: () => Promise<void>, everyMs: number, keys: readonly unknown[]): void {
  useEffect(() => poll(work, everyMs), keys);
}

export function poll(work: () => Promise<void>, everyMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  const run = async (): Promise<void> => {
    if (document.visibilityState === 'visible') await work().catch(() => undefined);
    if (!isOver) timer = setTimeout(again, everyMs);
  };
  const again = (): void => {
    run().catch(() => undefined);
  };
  again();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
