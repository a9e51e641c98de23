/** From the bytes of a body to an entry, or to what is wrong with them. */
import { isUtf8 } from 'node:buffer';
import type { NewEntry } from '../../log/log.ts';
import type { Asked, Refusal } from '../request.ts';
import type { EntryAsk } from './ask.ts';

/** In valid JSON each is one character, or a pair of surrogates. */
const ESCAPE = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/g;
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;
const ESCAPE_LENGTH = 6;

/** The entry of a body that is one whole. JSON is checked, and kept as it was written. */
export function entryOf({ kind, key }: EntryAsk, data: Buffer): Asked<NewEntry> {
  switch (kind) {
    case 'binary':
      return { ok: { type: 'binary', data, key } };
    case 'text':
      return isUtf8(data) ? { ok: { type: 'text', data, key } } : refuse('the body is not UTF-8');
    case 'json': {
      const wrong = wrongWithJson(data);
      return wrong === null ? { ok: { type: 'json', data, key } } : refuse(wrong);
    }
  }
}

function wrongWithJson(data: Buffer): string | null {
  if (!isUtf8(data)) return 'the body is not UTF-8';
  const text = data.toString();
  try {
    JSON.parse(text);
  } catch (error) {
    return `the body is not JSON: ${(error as Error).message.slice(0, 200)}`;
  }
  return hasLoneSurrogate(text) ? 'a string in the body has half of a surrogate pair' : null;
}

/** Whether a string in this valid JSON is no Unicode: readers differ in what they make of it, and some fail. */
function hasLoneSurrogate(json: string): boolean {
  if (!SURROGATE_ESCAPE.test(json)) return false;
  for (const [escape] of json.matchAll(ESCAPE)) {
    if (escape.length === ESCAPE_LENGTH && SURROGATE_ESCAPE.test(escape)) return true;
  }
  return false;
}

function refuse(detail: string): { readonly refused: Refusal } {
  return { refused: { code: 'bad_request', detail } };
}
