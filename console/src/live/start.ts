/** Where to start, as the picker has it, and as the server is asked for it. */

export type Kind = 'latest' | 'earliest' | 'last' | 'time' | 'cursor';

export interface Start {
  readonly kind: Kind;
  readonly value: string;
}

export type Written = { readonly after: string } | { readonly wrong: string };

const MAX_LAST = 1_000_000;
const CURSOR = /^\d{1,20}-\d{1,20}(?:@[A-Za-z0-9]{1,16}(?:\.\d{1,16})?)?$/;

/** What the field begins with. */
export function valueFor(kind: Kind): string {
  if (kind === 'last') return '100';
  return kind === 'time' ? localTime(Date.now() - 5 * 60_000) : '';
}

export function readAfter(after: string): Start {
  if (after === 'latest' || after === 'earliest') return { kind: after, value: '' };
  if (after.startsWith('last:')) return { kind: 'last', value: after.slice(5) };
  return CURSOR.test(after)
    ? { kind: 'cursor', value: after }
    : { kind: 'time', value: localTime(Date.parse(after)) };
}

export function writeAfter({ kind, value }: Start): Written {
  const text = value.trim();
  if (kind === 'latest' || kind === 'earliest') return { after: kind };
  if (kind === 'cursor') {
    if (CURSOR.test(text)) return { after: text };
    return {
      wrong: 'A cursor is an id such as 1700000000000-0, alone or with @ and what the server put behind it.',
    };
  }
  if (kind === 'last') {
    if (/^[1-9]\d*$/.test(text) && Number(text) <= MAX_LAST) return { after: `last:${text}` };
    return { wrong: 'A whole number is needed, from 1 to 1,000,000.' };
  }
  // An unfinished one is an empty text to the browser.
  const ms = /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN;
  if (ms >= 0) return { after: new Date(ms).toISOString() };
  return { wrong: 'A date and a time are needed, since 1970.' };
}

/** As the field for it has it: without a zone. */
function localTime(ms: number): string {
  const time = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return time.toISOString().slice(0, 19);
}
