/** Which channel to follow, and from where. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { lookAtChannels } from '../channels-view.tsx';
import { type Kind, readAfter, type Start, valueFor, writeAfter } from './start.ts';

const KINDS: readonly (readonly [Kind, string])[] = [
  ['latest', 'from now on'],
  ['last', 'from the last …'],
  ['time', 'from a time'],
  ['cursor', 'from a cursor'],
  ['earliest', 'from the earliest'],
];
/** The element that says what is wrong with a field. */
const WRONG = 'start-wrong';

interface Wrong {
  readonly field: 'channel' | 'value';
  readonly text: string;
}

export interface StartPickerOptions {
  readonly channel: string;
  readonly after: string;
  readonly onFollow: (channel: string, after: string) => void;
}

export function StartPicker({ channel, after, onFollow }: StartPickerOptions) {
  const [name, setName] = useState(channel);
  const [start, setStart] = useState(readAfter(after));
  const [wrong, setWrong] = useState<Wrong | null>(null);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => setName(channel), [channel]);
  useEffect(() => setStart(readAfter(after)), [after]);
  const change = (part: Partial<Start>): void => {
    setStart({ ...start, ...part });
    setWrong(null);
  };
  const refuse = (field: Wrong['field'], text: string): void => {
    setWrong({ field, text });
    form.current?.querySelector<HTMLElement>(`.${field}`)?.focus();
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    setWrong(null);
    const written = writeAfter(start);
    if (name.trim() === '') refuse('channel', 'A channel has a name.');
    else if ('wrong' in written) refuse('value', written.wrong);
    else onFollow(name.trim(), written.after);
  };
  return (
    <form ref={form} class="start" onSubmit={submit} aria-label="What to follow" noValidate>
      <input
        class="channel"
        list="channels"
        aria-label="Channel"
        spellcheck={false}
        value={name}
        {...fault(wrong, 'channel')}
        onFocus={lookAtChannels}
        onInput={(event) => {
          setName(event.currentTarget.value);
          setWrong(null);
        }}
      />
      <KindChoice kind={start.kind} onChange={(kind) => change({ kind, value: valueFor(kind) })} />
      <StartValue start={start} wrong={wrong} onChange={(value) => change({ value })} />
      <button type="submit">Follow</button>
      {wrong !== null && (
        <p id={WRONG} class="wrong bad" role="alert">
          {wrong.text}
        </p>
      )}
    </form>
  );
}

interface KindChoiceOptions {
  readonly kind: Kind;
  readonly onChange: (kind: Kind) => void;
}

function KindChoice({ kind, onChange }: KindChoiceOptions) {
  return (
    <select
      aria-label="Where to start"
      value={kind}
      onChange={(event) => onChange(event.currentTarget.value as Kind)}
    >
      {KINDS.map(([value, label]) => (
        <option key={value} value={value}>
          {label}
        </option>
      ))}
    </select>
  );
}

interface StartValueOptions {
  readonly start: Start;
  readonly wrong: Wrong | null;
  readonly onChange: (value: string) => void;
}

function StartValue({ start: { kind, value }, wrong, onChange }: StartValueOptions) {
  if (kind === 'latest' || kind === 'earliest') return null;
  const common = {
    value,
    ...fault(wrong, 'value'),
    onInput: (event: { readonly currentTarget: HTMLInputElement }) => onChange(event.currentTarget.value),
  };
  if (kind === 'last') {
    return <input {...common} class="value short" type="number" min={1} aria-label="How many messages" />;
  }
  if (kind === 'time') {
    return <input {...common} class="value" type="datetime-local" step={1} aria-label="The time" />;
  }
  return (
    <input
      {...common}
      class="value cursor"
      aria-label="The cursor"
      placeholder="1700000000000-0"
      spellcheck={false}
    />
  );
}

function fault(wrong: Wrong | null, field: Wrong['field']) {
  const isWrong = wrong?.field === field;
  return { 'aria-invalid': isWrong, 'aria-describedby': isWrong ? WRONG : undefined };
}
