/** A cursor kept in `localStorage`, so that a page goes on where it was on its last visit. */
import { host } from './host.ts';
import { SAVE_MS } from './limits.ts';
import type { CursorStore } from './message.ts';

/** For `after`: where the last visit ended; a first visit begins with what comes from then on. */
export function stored(key: string): CursorStore {
  let waiting: string | null = null;
  const write = (): void => {
    const cursor = waiting;
    waiting = null;
    if (cursor !== null) quietly(() => host.localStorage?.setItem(key, cursor));
  };
  // A page that goes has no time for timers.
  host.addEventListener?.('pagehide', write);
  return {
    load: () => quietly(() => host.localStorage?.getItem(key)) ?? null,
    save: (cursor) => {
      if (waiting === null) setTimeout(write, SAVE_MS);
      waiting = cursor;
    },
  };
}

/** A page may not be allowed to keep anything, or have kept too much. */
function quietly<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch {
    return undefined;
  }
}
