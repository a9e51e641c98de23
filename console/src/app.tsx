/** The whole page: the bar on top, and the view that the address names. */
import { useEffect } from 'preact/hooks';
import { entry, refuse, shownToken, signOut } from './access.ts';
import { ChannelsView } from './channels-view.tsx';
import { doors } from './doors.ts';
import { LiveView } from './live/live-view.tsx';
import { numbers } from './numbers/history.ts';
import { ServerView } from './numbers/server-view.tsx';
import { addressOf, route, type View } from './route.ts';
import { SignIn } from './sign-in.tsx';
import { useStore } from './store.ts';
import { SubscribersView } from './subscribers-view.tsx';
import { switchTheme, theme } from './theme.ts';

interface Tab {
  readonly view: View;
  readonly label: string;
}

export function App() {
  const state = useStore(entry);
  useEffect(focusFilterBySlash, []);
  if (state.at === 'checking') return <main class="door" id="main" aria-busy="true" />;
  if (state.at === 'door') return <SignIn why={state.why} />;
  return <Inside seesServer={state.seesServer} />;
}

function Inside({ seesServer }: { readonly seesServer: boolean }) {
  const { view, channel } = useStore(route);
  const { follows } = useStore(doors);
  const tabs = tabsFor(seesServer, follows);
  const { view: shown, label } = tabs.find((tab) => tab.view === view) ?? tabs[0];
  useEffect(() => {
    document.title = `${label} · Rivercast`;
  }, [label]);
  return (
    <div class={`app ${shown}`}>
      <TopBar tabs={tabs} shown={shown} seesServer={seesServer} />
      <main id="main" tabIndex={shown === 'server' ? 0 : undefined}>
        <LiveView channel={channel} isShown={shown === 'messages'} />
        {shown === 'server' && <ServerView />}
        {shown === 'channels' && <ChannelsView />}
        {shown === 'subscribers' && <SubscribersView />}
      </main>
    </div>
  );
}

function tabsFor(seesServer: boolean, follows: boolean): readonly [Tab, ...Tab[]] {
  const ofServer: readonly Tab[] = [
    // Of a process that delivers nothing there are none.
    ...(follows ? [{ view: 'subscribers', label: 'Subscribers' } as const] : []),
    { view: 'server', label: 'Server' },
  ];
  return [
    { view: 'messages', label: follows ? 'Messages' : 'Publish' },
    { view: 'channels', label: 'Channels' },
    ...(seesServer ? ofServer : []),
  ];
}

interface TopBarOptions {
  readonly tabs: readonly Tab[];
  readonly shown: View;
  readonly seesServer: boolean;
}

function TopBar({ tabs, shown, seesServer }: TopBarOptions) {
  return (
    <header class="top">
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <span class="brand">
        <Waves /> Rivercast
      </span>
      <nav aria-label="Views">
        {tabs.map(({ view, label }) => (
          <a key={view} href={addressOf(view)} aria-current={view === shown ? 'page' : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <span class="grow" />
      <Health />
      {shownToken() === null ? (
        !seesServer && (
          <button type="button" class="quiet" onClick={() => refuse(null)}>
            Sign in
          </button>
        )
      ) : (
        <button type="button" class="quiet" onClick={signOut}>
          Sign out
        </button>
      )}
      <ThemeSwitch />
    </header>
  );
}

function Health() {
  const { readiness } = useStore(numbers);
  const isReady = readiness?.status === 'ready';
  const text = readiness === null ? 'Looking' : isReady ? 'Ready' : 'Not ready';
  const tone = readiness === null ? 'muted' : isReady ? 'good' : 'bad';
  return (
    <span class={`health ${tone}`} role="status" title={readiness?.reason}>
      <i class="dot" />
      {text}
    </span>
  );
}

function ThemeSwitch() {
  const isDark = useStore(theme) === 'dark';
  return (
    <button
      type="button"
      class="icon"
      aria-pressed={isDark}
      aria-label="Dark colours"
      title="Dark or light"
      onClick={switchTheme}
    >
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.5" />
        <path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor" />
      </svg>
    </button>
  );
}

function Waves() {
  return (
    <svg
      viewBox="0 0 22 18"
      width="22"
      height="18"
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
    >
      <path d="M2 4c3-2.6 6-2.6 9 0s6 2.6 9 0" />
      <path d="M2 9.5c3-2.6 6-2.6 9 0s6 2.6 9 0" opacity=".7" />
      <path d="M2 15c3-2.6 6-2.6 9 0s6 2.6 9 0" opacity=".4" />
    </svg>
  );
}

/** The address names the view, so that it can not name the place to skip to. */
function skip(event: Event): void {
  event.preventDefault();
  const places = [...document.querySelectorAll<HTMLElement>('#main[tabindex], #main input, #main select')];
  places.find((place) => place.checkVisibility())?.focus();
}

/** The key `/` goes to the filter of the view, unless something is being written. */
function focusFilterBySlash(): () => void {
  const pressed = (event: KeyboardEvent): void => {
    const isWriting = event.target instanceof Element && event.target.matches('input, textarea, select');
    if (event.key !== '/' || isWriting || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const filters = [...document.querySelectorAll<HTMLElement>('main [data-filter]')];
    filters.find((filter) => filter.checkVisibility())?.focus();
  };
  addEventListener('keydown', pressed);
  return () => removeEventListener('keydown', pressed);
}
