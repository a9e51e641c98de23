/** Which view the address names: `#/messages/<channel>`, `#/server`, `#/channels`, `#/subscribers`. */
import { Store } from './store.ts';

export type View = 'messages' | 'server' | 'channels' | 'subscribers';

export interface Route {
  readonly view: View;
  /** Of `messages`; null: the default one. */
  readonly channel: string | null;
}

const VIEWS: ReadonlySet<string> = new Set<View>(['messages', 'server', 'channels', 'subscribers']);

/** Where the server is: beside the page, which may lie below a path of somebody else's. */
export const BASE = new URL('.', location.href).href.replace(/\/$/, '');

export const DEFAULT_CHANNEL = document.documentElement.dataset['channel'] ?? 'local-q';

export const route = new Store<Route>(read());

addEventListener('hashchange', () => route.set(read()));

export function addressOf(view: View, channel?: string): string {
  return channel === undefined ? `#/${view}` : `#/${view}/${encodeURIComponent(channel)}`;
}

function read(): Route {
  const [, view = '', channel = ''] = location.hash.split('/');
  if (!VIEWS.has(view)) return { view: 'messages', channel: null };
  try {
    return { view: view as View, channel: decodeURIComponent(channel) || null };
  } catch {
    return { view: view as View, channel: null };
  }
}
