/** The messages of a channel as they come, what happens to the connection, and a form to publish. */
import { useEffect, useState } from 'preact/hooks';
import { OfferedChannels } from '../channels-view.tsx';
import { doors } from '../doors.ts';
import { count, moment, rate } from '../format.ts';
import { addressOf, DEFAULT_CHANNEL } from '../route.ts';
import { useStore } from '../store.ts';
import { DeliveredElsewhere, PublishedElsewhere } from './elsewhere.tsx';
import { Inspector } from './inspector.tsx';
import { LiveSession } from './live-session.ts';
import { MessageList } from './message-list.tsx';
import { PublishForm } from './publish-form.tsx';
import type { Row, Scrollback } from './scrollback.ts';
import { StartPicker } from './start-picker.tsx';

/** So that a quiet channel is not an empty page. */
const FIRST_START = 'last:100';
const RATE_MS = 500;

export interface LiveViewOptions {
  /** Null: whichever it is. */
  readonly channel: string | null;
  /** It goes on while another view is looked at. */
  readonly isShown: boolean;
}

export function LiveView({ channel, isShown }: LiveViewOptions) {
  const { follows, publishes } = useStore(doors);
  const [session] = useState(() => new LiveSession(channel ?? DEFAULT_CHANNEL));
  useEffect(() => () => session.close(), []);
  return (
    <div class={follows ? 'live' : 'live alone'} hidden={!isShown}>
      <OfferedChannels />
      {follows ? (
        <Following session={session} channel={channel} isShown={isShown} publishes={publishes} />
      ) : (
        <PublishingOnly session={session} channel={channel} />
      )}
    </div>
  );
}

interface PublishingOnlyOptions {
  readonly session: LiveSession;
  readonly channel: string | null;
}

function PublishingOnly({ session, channel }: PublishingOnlyOptions) {
  useEffect(() => {
    if (channel !== null) session.name(channel);
  }, [channel]);
  return (
    <>
      <h1 class="hidden">Publish</h1>
      <DeliveredElsewhere />
      <PublishForm session={session} />
    </>
  );
}

interface FollowingOptions extends LiveViewOptions {
  readonly session: LiveSession;
  readonly publishes: boolean;
}

function Following({ session, channel, isShown, publishes }: FollowingOptions) {
  const [selected, setSelected] = useState<Row | null>(null);
  const standing = useStore(session.standing);
  const follow = (name: string, after: string): void => {
    setSelected(null);
    session.follow(name, after);
    location.hash = addressOf('messages', name);
  };
  useEffect(() => {
    const { channel: current, after } = session.standing.get();
    if (after !== '' && (channel === null || channel === current)) return;
    setSelected(null);
    session.follow(channel ?? DEFAULT_CHANNEL, FIRST_START);
  }, [channel]);
  return (
    <>
      <h1 class="hidden">Messages</h1>
      <div class="bar">
        <StartPicker channel={standing.channel} after={standing.after || FIRST_START} onFollow={follow} />
        <span class="grow" />
        <State session={session} />
      </div>
      <div class="stream card">
        <Tools session={session} isShown={isShown} onClear={() => setSelected(null)} />
        <MessageList
          scrollback={session.scrollback}
          isShown={isShown}
          selected={selected}
          onSelect={setSelected}
        />
      </div>
      <aside aria-label="Message, publish, connection">
        {selected !== null && (
          <Inspector
            row={selected}
            onClose={() => setSelected(null)}
            onFollow={(after) => follow(standing.channel, after)}
          />
        )}
        {publishes ? <PublishForm session={session} /> : <PublishedElsewhere />}
        <Journal session={session} />
      </aside>
    </>
  );
}

const STATES = {
  connecting: ['warn', 'Connecting'],
  live: ['good', 'Live'],
  paused: ['good', 'Catching up'],
  ended: ['bad', 'Ended'],
} as const;

function State({ session }: { readonly session: LiveSession }) {
  const { state, isCut } = useStore(session.standing);
  const [tone, label] = isCut && state !== 'live' ? (['bad', 'Cut'] as const) : STATES[state];
  return (
    <>
      <span class={`state ${tone}`} role="status">
        <i class="dot" />
        {label}
      </span>
      <button
        type="button"
        class={isCut ? 'primary' : ''}
        aria-label={isCut ? 'Mend the connection' : 'Cut the connection'}
        title="See what a resume does: nothing gets through until it is mended"
        onClick={() => (isCut ? session.mend() : session.cut())}
      >
        {isCut ? 'Mend' : 'Cut'}
        <span class="wide">&nbsp;the connection</span>
      </button>
    </>
  );
}

interface ToolsOptions {
  readonly session: LiveSession;
  readonly isShown: boolean;
  readonly onClear: () => void;
}

function Tools({ session: { scrollback }, isShown, onClear }: ToolsOptions) {
  const [needle, setNeedle] = useState('');
  const { perSecond, shown, size, isPaused, waiting } = useCounts(scrollback, isShown);
  const find = (text: string): void => {
    setNeedle(text);
    scrollback.filter(text);
  };
  return (
    <div class="tools">
      <input
        type="search"
        data-filter
        aria-label="Filter messages"
        aria-keyshortcuts="/"
        placeholder="Filter  ( / )"
        value={needle}
        onInput={(event) => find(event.currentTarget.value)}
      />
      <button type="button" class={`pause ${isPaused ? 'primary' : ''}`} onClick={() => scrollback.toggle()}>
        {isPaused ? (waiting > 0 ? `Resume, ${count(waiting)} new` : 'Resume') : 'Pause'}
      </button>
      <button
        type="button"
        onClick={() => {
          scrollback.clear();
          onClear();
        }}
      >
        Clear
      </button>
      <span class="grow" />
      <span class="muted numbers">
        {needle === '' ? '' : `${count(shown)} of `}
        {count(size)} <span class="wide">held</span>
      </span>
      <span class="numbers">
        <b>{rate(perSecond)}</b>/s
      </span>
    </div>
  );
}

interface Counts {
  readonly perSecond: number;
  readonly shown: number;
  readonly size: number;
  readonly isPaused: boolean;
  readonly waiting: number;
}

/** Numbers that change with every frame can not be read: twice a second they can. What somebody does is seen at once. */
function useCounts(scrollback: Scrollback, isShown: boolean): Counts {
  const [perSecond, setPerSecond] = useState(0);
  const [, redraw] = useState<unknown>(null);
  useEffect(() => {
    if (!isShown) return undefined;
    let last = { atMs: performance.now(), received: scrollback.received };
    let wasPaused = scrollback.isPaused;
    const timer = setInterval(() => {
      const now = { atMs: performance.now(), received: scrollback.received };
      setPerSecond(Math.max(0, ((now.received - last.received) / (now.atMs - last.atMs)) * 1000));
      last = now;
      redraw({});
    }, RATE_MS);
    const stop = scrollback.listen(() => {
      if (scrollback.isPaused === wasPaused) return;
      wasPaused = scrollback.isPaused;
      redraw({});
    });
    return () => {
      clearInterval(timer);
      stop();
    };
  }, [scrollback, isShown]);
  return {
    perSecond,
    shown: scrollback.shown.length,
    size: scrollback.size,
    isPaused: scrollback.isPaused,
    waiting: scrollback.waiting,
  };
}

function Journal({ session }: { readonly session: LiveSession }) {
  const notes = useStore(session.notes);
  return (
    <section class="card journal" aria-label="Connection">
      <header>
        <h2>Connection</h2>
      </header>
      <ol aria-live="polite">
        {notes.toReversed().map(({ no, atMs, tone, text }) => (
          <li key={no} class={tone}>
            <span class="time">{moment(atMs)}</span>
            <span>{text}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
