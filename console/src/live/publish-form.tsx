/** Publishes, and remembers what was published in this tab, to publish it again. */
import { useEffect, useState } from 'preact/hooks';
import { lookAtChannels } from '../channels-view.tsx';
import { clock, span } from '../format.ts';
import { useStore } from '../store.ts';
import type { LiveSession, Tone } from './live-session.ts';

const KEY = 'rivercast.published';
/** Messages remembered, each of at most so many characters. */
const MAX_REMEMBERED = 12;
const MAX_CHARACTERS = 10_000;

interface Published {
  readonly channel: string;
  readonly text: string;
  readonly atMs: number;
}

export function PublishForm({ session }: { readonly session: LiveSession }) {
  const { channel } = useStore(session.standing);
  const [chosen, setChosen] = useState<string | null>(null);
  const [text, setText] = useState('{"hello": "river"}');
  const { publish, outcome, published } = usePublishing(session);
  const target = chosen ?? channel;
  // Whoever goes to another channel publishes there.
  useEffect(() => setChosen(null), [channel]);
  const submit = (event: Event): void => {
    event.preventDefault();
    publish(target, text).catch(() => undefined);
  };
  const again = (old: Published): void => {
    setChosen(old.channel);
    setText(old.text);
  };
  return (
    <section class="card publish" aria-label="Publish">
      <form onSubmit={submit}>
        <header>
          <h2>Publish</h2>
          <span class="muted">{contentOf(text).kind}</span>
        </header>
        <label for="publish-channel">To channel</label>
        <input
          id="publish-channel"
          list="channels"
          spellcheck={false}
          value={target}
          onFocus={lookAtChannels}
          onInput={(event) => setChosen(event.currentTarget.value)}
        />
        <label for="publish-text">Content</label>
        <textarea
          id="publish-text"
          rows={4}
          spellcheck={false}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
          }}
        />
        <div class="buttons">
          <button type="submit" class="primary" aria-keyshortcuts="Control+Enter" title="Control + Enter">
            Publish
          </button>
          <p class={`outcome ${outcome?.tone ?? ''}`} role="status">
            {outcome?.text}
          </p>
        </div>
      </form>
      <PublishedBefore list={published} onPick={again} />
    </section>
  );
}

interface Outcome {
  readonly tone: Tone;
  readonly text: string;
}

function usePublishing(session: LiveSession) {
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [published, setPublished] = useState(remembered);
  const publish = async (channel: string, text: string): Promise<void> => {
    const began = performance.now();
    setOutcome({ tone: 'plain', text: 'On its way…' });
    try {
      const id = await session.wire.river.publish(channel, contentOf(text).data);
      setOutcome({ tone: 'good', text: `Stored as ${id} within ${span(performance.now() - began)}` });
      setPublished(remember({ channel, text, atMs: Date.now() }));
    } catch (error) {
      setOutcome({ tone: 'bad', text: (error as Error).message });
    }
  };
  return { publish, outcome, published };
}

function PublishedBefore({
  list,
  onPick,
}: {
  readonly list: readonly Published[];
  readonly onPick: (old: Published) => void;
}) {
  if (list.length === 0) return null;
  return (
    <>
      <h3>Published before</h3>
      <ul class="before">
        {list.map((old) => (
          <li key={old.atMs}>
            <button type="button" onClick={() => onPick(old)} title={`To ${old.channel}: fill in again`}>
              <span class="time">{clock(old.atMs).slice(0, 8)}</span>
              <span class="text">{old.text.slice(0, 200)}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** What can be read as JSON is published as that. */
function contentOf(text: string): { readonly kind: 'as JSON' | 'as text'; readonly data: unknown } {
  try {
    const data: unknown = JSON.parse(text);
    if (typeof data !== 'string') return { kind: 'as JSON', data };
  } catch {
    // Then it is text.
  }
  return { kind: 'as text', data: text };
}

function remembered(): readonly Published[] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as Published[];
  } catch {
    return [];
  }
}

function remember(latest: Published): readonly Published[] {
  const others = remembered().filter(
    ({ channel, text }) => channel !== latest.channel || text !== latest.text,
  );
  if (latest.text.length > MAX_CHARACTERS) return others;
  const list = [latest, ...others].slice(0, MAX_REMEMBERED);
  sessionStorage.setItem(KEY, JSON.stringify(list));
  return list;
}
