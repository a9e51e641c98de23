/**
 * Message `n` of publisher `p`, named by one number, its code. What it holds follows from its name, so that a
 * receiver can tell that it came whole: text (with line ends and two-byte characters), JSON, or binary.
 */

const NUMBERS = 2 ** 32;

export type Code = number;

export type Kind = 'text' | 'json' | 'binary';

export interface Body {
  readonly kind: Kind;
  /** Of a binary one: a character for each byte. */
  readonly text: string;
}

export function codeOf(publisher: number, number: number): Code {
  return publisher * NUMBERS + number;
}

/** Also the message's idempotency key. */
export function nameOf(code: Code): string {
  return `${Math.floor(code / NUMBERS)}-${code % NUMBERS}`;
}

export function bodyOf(code: Code): Body {
  const number = code % NUMBERS;
  const name = nameOf(code);
  const padding = 'x'.repeat((number * 37) % 160);
  if (number % 5 === 1) return { kind: 'binary', text: `${name}:\u{ff}\u{0}${padding}` };
  if (number % 5 === 2) return { kind: 'json', text: JSON.stringify({ m: `${name}:`, padding }) };
  return { kind: 'text', text: number % 5 === 3 ? `${name}:é\n${padding}` : `${name}:${padding}` };
}

/** The message that holds exactly this; null when none does. */
export function codeIn(isBinary: boolean, text: string): Code | null {
  const match = /^(?:\{"m":")?(\d{1,6})-(\d{1,9}):/.exec(text);
  if (match === null) return null;
  const code = codeOf(Number(match[1]), Number(match[2]));
  const body = bodyOf(code);
  return body.text === text && (body.kind === 'binary') === isBinary ? code : null;
}
