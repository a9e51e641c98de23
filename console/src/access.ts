/**
 * Who is looking, and what the server lets them see. The token lives in this tab only, and goes nowhere but to this
 * server, in a header.
 */
import { lookForDoors } from './doors.ts';
import { BASE } from './route.ts';
import { Store } from './store.ts';

const KEY = 'rivercast.token';
/** Not for this token, or kept from everybody by a proxy. */
const HIDDEN: readonly number[] = [401, 403, 404];

export type Entry =
  | { readonly at: 'checking' }
  /** Nothing is shown without a token; `why`: what was wrong with the last one. */
  | { readonly at: 'door'; readonly why: string | null }
  | { readonly at: 'inside'; readonly seesServer: boolean };

export type Answer<Body> =
  | { readonly ok: Body }
  /** `status` 0: no answer came. */
  | { readonly status: number; readonly detail: string };

export const entry = new Store<Entry>({ at: 'checking' });

let token = sessionStorage.getItem(KEY);

export function shownToken(): string | null {
  return token;
}

export async function ask<Body>(path: string, also: readonly number[] = []): Promise<Answer<Body>> {
  const headers: Record<string, string> = token === null ? {} : { Authorization: `Bearer ${token}` };
  try {
    const answer = await fetch(`${BASE}${path}`, { headers: { ...headers, Accept: 'application/json' } });
    const body = (await answer.json()) as Body & { readonly detail?: string };
    if (answer.ok || also.includes(answer.status)) return { ok: body };
    const detail = body.detail ?? answer.statusText;
    // It was good when we came in: it is over, or was taken back.
    if (answer.status === 401 && entry.get().at === 'inside') refuse(detail);
    return { status: answer.status, detail };
  } catch {
    return { status: 0, detail: 'the server does not answer' };
  }
}

/** Finds out what may be seen with the token that there is. */
export async function enter(): Promise<void> {
  await lookForDoors();
  const channels = await ask('/api/channels?limit=1');
  if ('ok' in channels) {
    const stats = await ask('/api/stats');
    entry.set({ at: 'inside', seesServer: 'ok' in stats || !HIDDEN.includes(stats.status) });
  } else if (channels.status === 401) {
    refuse(token === null ? null : channels.detail);
  } else {
    // It may be a token to publish with only, or the server is away: what can be seen is found out by looking.
    entry.set({ at: 'inside', seesServer: false });
    if (channels.status === 0 || channels.status >= 500) setTimeout(enterAgain, 2000);
  }
}

export async function signIn(text: string): Promise<void> {
  token = text.trim();
  sessionStorage.setItem(KEY, token);
  entry.set({ at: 'checking' });
  await enter();
}

export function signOut(): void {
  token = null;
  sessionStorage.removeItem(KEY);
  location.reload();
}

/** To the door, with a word. */
export function refuse(why: string | null): void {
  token = null;
  sessionStorage.removeItem(KEY);
  entry.set({ at: 'door', why });
}

function enterAgain(): void {
  enter().catch(() => undefined);
}
