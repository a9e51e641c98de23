/** Dark or light: as the system says, until somebody says otherwise. */
import { Store } from './store.ts';

export type Theme = 'light' | 'dark';

const KEY = 'rivercast.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

export const theme = new Store<Theme>(current());

show();
theme.listen(show);
system.addEventListener('change', () => theme.set(current()));

export function switchTheme(): void {
  const next = theme.get() === 'dark' ? 'light' : 'dark';
  localStorage.setItem(KEY, next);
  theme.set(next);
}

function current(): Theme {
  const chosen = localStorage.getItem(KEY);
  if (chosen === 'light' || chosen === 'dark') return chosen;
  return system.matches ? 'dark' : 'light';
}

function show(): void {
  document.documentElement.dataset['theme'] = theme.get();
}
