/** Which channel to follow, and from where. */
import { useEffect, useState } from 'preact/hooks';
import { channels, lookForChannels } from '../channels-view.tsx';
import { useStore } from '../store.ts';

type Kind = 'latest' | 'earliest' | 'last' | 'time' | 'cursor';

const KINDS: readonly (readonly [Kind, string])[] = [
  ['latest', 'from now on'],
  ['last', 'from the last …'],
  ['time', 'from a time'],
  ['cursor', 'from a cursor'],
  ['earliest', 'from the earliest'],
];
const MAX_OFFERED = 200;

export interface StartPickerOptions {
  readonly channel: string;
  readonly after: string;
  readonly onFollow: (channel: string, after: string) => void;
}

export function StartPicker({ channel, after, onFollow }: StartPickerOptions) {
  const [name, setName] = useState(channel);
  const [start, setStart] = useState(readAfter(after));
  useEffect(() => setName(channel), [channel]);
  useEffect(() => setStart(readAfter(after)), [after]);
  const change = (part: Partial<typeof start>): void => setStart({ ...start, ...part });
  const submit = (event: Event): void => {
    event.preventDefault();
    const written = writeAfter(start);
    if (name.trim() !== '' && written !== null) onFollow(name.trim(), written);
  };
  const look = (): void => {
    lookForChannels().catch(() => undefined);
  };
  return (
    <form class="start" onSubmit={submit} aria-label="What to follow">
      <input
        class="channel"
        list="channels"
        aria-label="Channel"
        spellcheck={false}
        value={name}
        onFocus={look}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <Offered />
      <select
        aria-label="Where to start"
        value={start.kind}
        onChange={(event) =>
          change({ kind: event.currentTarget.value as Kind, value: valueFor(event.currentTarget.value) })
        }
      >
        {KINDS.map(([kind, label]) => (
          <option key={kind} value={kind}>
            {label}
          </option>
        ))}
      </select>
      <StartValue start={start} onChange={(value) => change({ value })} />
      <button type="submit">Follow</button>
    </form>
  );
}

interface Start {
  readonly kind: Kind;
  readonly value: string;
}

function StartValue({
  start,
  onChange,
}: {
  readonly start: Start;
  readonly onChange: (value: string) => void;
}) {
  const { kind, value } = start;
  if (kind === 'latest' || kind === 'earliest') return null;
  const changed = (event: { currentTarget: HTMLInputElement }): void => onChange(event.currentTarget.value);
  if (kind === 'last') {
    return (
      <input
        class="short"
        type="number"
        min={1}
        max={1_000_000}
        aria-label="How many messages"
        value={value}
        onInput={changed}
      />
    );
  }
  if (kind === 'time') {
    return <input type="datetime-local" step={1} aria-label="The time" value={value} onInput={changed} />;
  }
  return (
    <input
      class="cursor"
      aria-label="The cursor"
      placeholder="1700000000000-0"
      spellcheck={false}
      value={value}
      onInput={changed}
    />
  );
}

function Offered() {
  const all = useStore(channels) ?? [];
  return (
    <datalist id="channels">
      {all.slice(0, MAX_OFFERED).map(({ channel }) => (
        <option key={channel} value={channel} />
      ))}
    </datalist>
  );
}

function valueFor(kind: string): string {
  if (kind === 'last') return '100';
  return kind === 'time' ? localTime(Date.now() - 5 * 60_000) : '';
}

function readAfter(after: string): Start {
  if (after === 'latest' || after === 'earliest') return { kind: after, value: '' };
  if (after.startsWith('last:')) return { kind: 'last', value: after.slice(5) };
  if (/^\d+-\d+/.test(after) && !after.includes('T')) return { kind: 'cursor', value: after };
  return { kind: 'time', value: localTime(Date.parse(after)) };
}

/** Null: it says nothing yet. */
function writeAfter({ kind, value }: Start): string | null {
  if (kind === 'latest' || kind === 'earliest') return kind;
  if (value.trim() === '') return null;
  if (kind === 'last') return `last:${value}`;
  return kind === 'time' ? new Date(value).toISOString() : value.trim();
}

/** As the field for it has it: without a zone. */
function localTime(ms: number): string {
  const time = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return time.toISOString().slice(0, 19);
}
