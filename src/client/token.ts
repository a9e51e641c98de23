/** Tokens: fetched when they are needed, and anew before they are over. */

/** Gives a token; asked for each connection, and before the last one is over. */
export type TokenSource = () => string | null | Promise<string | null>;

/** As it comes from a file or an answer, with a line end behind it; undefined: there is none. */
export async function fetched(source: TokenSource | undefined): Promise<string | undefined> {
  return (await source?.())?.trim();
}

/** So long before its end a token is exchanged, if it is good for long enough. */
const AHEAD_MS = 30_000;
/** Of its life, the part after which it is exchanged at the latest. */
const LIFE_SHARE = 0.8;
/** Timers take no longer than 2^31 ms. */
const MAX_WAIT_MS = 2_000_000_000;

/** In how many ms a token is to be exchanged; null: it says nothing of its end. */
export function renewalMs(token: string, nowMs: number): number | null {
  try {
    const part = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const { exp, iat } = JSON.parse(atob(part)) as { exp?: unknown; iat?: unknown };
    if (typeof exp !== 'number') return null;
    // It was made just now; by its own times, since the clock here may be wrong.
    const leftMs = exp * 1000 - (typeof iat === 'number' ? iat * 1000 : nowMs);
    return Math.max(1000, Math.min(MAX_WAIT_MS, Math.max(leftMs - AHEAD_MS, leftMs * LIFE_SHARE)));
  } catch {
    return null;
  }
}
