/**
 * An entry as a publisher writes it in JSON, in a frame of `rivercast.v1` or in a line of NDJSON: an object with
 * `data` (a string is a text entry, any other value a json entry) or `data64` (a binary entry in base64), and
 * perhaps a `key`. Other members are the reader's business.
 */
import { isKey, KEY_RULE } from './key.ts';

/** What JSON.parse made of hostile text. It makes members of its own even of `__proto__`: nothing is inherited. */
export type JsonObject = Readonly<Record<string, unknown>>;

export interface WrittenEntry {
  readonly type: 'text' | 'json' | 'binary';
  readonly data: Buffer;
  readonly key: string | undefined;
}

/** `message` says what is wrong with it. */
export interface WrongEntry {
  readonly type: 'wrong';
  readonly code: 'bad_request' | 'too_large';
  readonly message: string;
}

/**
 * JSON.stringify writes a pair of surrogates as it is and a lone one as an escape; the backslash of that escape
 * is not itself escaped.
 */
const LONE_SURROGATE_ESCAPE = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/;
const LONE_SURROGATE = 'data has half of a surrogate pair, which UTF-8 cannot carry; send bytes as data64';

/** What an object may have beside its payload. */
const ENVELOPE_CHARS = 4096;

/**
 * Whether no entry needs so many characters to be written: base64 takes a third more than the payload, and an escape
 * counts as the one character that it is. Such text is not parsed: the million members of an object that will be
 * refused would hold the event loop for a second. `maxBytes` bounds the payload.
 */
export function isOverlong(text: string, maxBytes: number): boolean {
  const most = 4 * Math.ceil(maxBytes / 3) + ENVELOPE_CHARS;
  if (text.length <= most) return false;
  let length = text.length;
  for (let at = text.indexOf('\\'); at !== -1; at = text.indexOf('\\', at + 2)) {
    length -= text[at + 1] === 'u' ? 5 : 1;
  }
  return length > most;
}

/** The members that stand before the data of a text that is too long to be parsed; null when that can not be told. */
export function membersBeforeData(text: string): JsonObject | null {
  const at = text.slice(0, ENVELOPE_CHARS).indexOf('"data');
  return at === -1 ? null : parseJsonObject(`${text.slice(0, at)}"":0}`);
}

/** Null when the text is not one JSON object. Never throws. */
export function parseJsonObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : null;
  } catch {
    return null;
  }
}

/** `maxBytes` bounds the payload. Never throws. */
export function readEntry(members: JsonObject, maxBytes: number): WrittenEntry | WrongEntry {
  const { data, data64, key } = members as { data?: unknown; data64?: unknown; key?: unknown };
  if (key !== undefined && key !== null && !(typeof key === 'string' && isKey(key))) {
    return wrong('bad_request', `key must be a string of ${KEY_RULE}`);
  }
  const named = key === null ? undefined : key;
  if (data64 !== undefined) {
    if (data !== undefined) return wrong('bad_request', 'data and data64 exclude each other');
    return readBinary(data64, named, maxBytes);
  }
  if (data === undefined) return wrong('bad_request', 'data, or data64, must be there');
  return typeof data === 'string' ? readText(data, named, maxBytes) : readJson(data, named, maxBytes);
}

function readText(text: string, key: string | undefined, maxBytes: number): WrittenEntry | WrongEntry {
  if (text.length > maxBytes) return tooLarge(maxBytes);
  if (!text.isWellFormed()) return wrong('bad_request', LONE_SURROGATE);
  return bounded('text', Buffer.from(text), key, maxBytes);
}

function readJson(value: unknown, key: string | undefined, maxBytes: number): WrittenEntry | WrongEntry {
  let text: string;
  try {
    text = JSON.stringify(value);
  } catch {
    return wrong('bad_request', 'data is nested too deeply');
  }
  if (text.length > maxBytes) return tooLarge(maxBytes);
  if (text.includes('\\ud') && LONE_SURROGATE_ESCAPE.test(text)) return wrong('bad_request', LONE_SURROGATE);
  return bounded('json', Buffer.from(text), key, maxBytes);
}

function readBinary(value: unknown, key: string | undefined, maxBytes: number): WrittenEntry | WrongEntry {
  if (typeof value !== 'string') return wrong('bad_request', 'data64 must be a string');
  if (value.length > 4 * Math.ceil(maxBytes / 3)) return tooLarge(maxBytes);
  const data = Buffer.from(value, 'base64');
  // Node reads what is no base64 as well, and drops what it cannot read.
  if (data.toString('base64') !== value) {
    return wrong('bad_request', 'data64 must be base64, with its padding and without line ends');
  }
  return bounded('binary', data, key, maxBytes);
}

function bounded(
  type: WrittenEntry['type'],
  data: Buffer,
  key: string | undefined,
  maxBytes: number,
): WrittenEntry | WrongEntry {
  return data.length > maxBytes ? tooLarge(maxBytes) : { type, data, key };
}

export function tooLarge(maxBytes: number): WrongEntry {
  return wrong('too_large', `a message has at most ${maxBytes} bytes`);
}

function wrong(code: WrongEntry['code'], message: string): WrongEntry {
  return { type: 'wrong', code, message };
}
