/**
 * Stream entries, from the bytes of a reply to Entries.
 *
 * Ours have `data`, `type` (json or binary; absent = text), `p` (the last-generated id before it) and `n`
 * (its ordinal). Anybody else's entry is delivered too: `data` if it has one, else its first value. Nothing
 * that is not UTF-8 is called text, and nobody else's JSON is believed: one bad text frame would cut every
 * subscriber, for ever.
 */
import { isUtf8 } from 'node:buffer';
import { compareIds, type EntryId, parseId } from '../../protocol/id.ts';
import type { Entry, EntryType } from '../log.ts';
import { ReplyReader } from './connection/reply.ts';

const EMPTY: Buffer = Buffer.alloc(0);
const LETTER_N = 'n'.charCodeAt(0);
const LETTER_P = 'p'.charCodeAt(0);
const DATA = Buffer.from('data').readUInt32LE();
const TYPE = Buffer.from('type').readUInt32LE();

/** XRANGE's reply. */
export function decodeEntries(reply: Buffer | undefined): Entry[] {
  return reply === undefined ? [] : readEntries(new ReplyReader(reply));
}

/** XREAD's reply: the entries of each stream that has any, by its key. */
export function decodeStreams(reply: Buffer): Map<string, Entry[]> {
  const reader = new ReplyReader(reply);
  const isMap = reply[0] === '%'.charCodeAt(0);
  const streams = new Map<string, Entry[]>();
  const count = reader.list();
  for (let i = 0; i < count; i++) {
    if (!isMap) reader.list();
    reader.string();
    const key = reader.text();
    streams.set(key, readEntries(reader));
  }
  return streams;
}

function readEntries(reader: ReplyReader): Entry[] {
  const entries: Entry[] = [];
  const count = reader.list();
  let before: EntryId | null = null;
  for (let i = 0; i < count; i++) {
    const entry = readEntry(reader, before);
    before = entry.id;
    entries.push(entry);
  }
  return entries;
}

interface Fields {
  data: Buffer | null;
  /** The first value, whatever its name. */
  readonly first: Buffer | null;
  type: string;
  p: string;
  n: string;
}

function readEntry(reader: ReplyReader, before: EntryId | null): Entry {
  reader.list();
  reader.string();
  const id = reader.text();
  const { data, first, type, p, n } = readFields(reader);
  const ordinal = Number(n);
  const ours =
    data !== null && n !== '' && Number.isSafeInteger(ordinal) && ordinal > 0 && isBefore(p, id, before);
  const payload = data ?? first ?? EMPTY;
  return {
    id,
    type: typeOf(payload, type, ours),
    data: payload,
    prev: ours ? p : null,
    ordinal: ours ? ordinal : null,
  };
}

function readFields(reader: ReplyReader): Fields {
  const count = reader.list();
  const name = count > 0 ? readName(reader) : 0;
  const first = count > 0 && reader.string() ? reader.slice() : null;
  const fields: Fields = { data: null, first, type: 'text', p: '', n: '' };
  if (first !== null) take(fields, name, reader);
  for (let i = 2; i < count; i += 2) {
    const other = readName(reader);
    reader.string();
    take(fields, other, reader);
  }
  return fields;
}

/** Names are told apart in place: a string or a Buffer for each would cost more than all the rest. */
function readName(reader: ReplyReader): number {
  reader.string();
  const { bytes, start, end } = reader;
  if (end - start === 4) return bytes.readUInt32LE(start);
  return end - start === 1 ? (bytes[start] as number) : 0;
}

function take(fields: Fields, name: number, value: ReplyReader): void {
  if (name === DATA) fields.data ??= value.slice();
  else if (name === LETTER_P) fields.p ||= value.text();
  else if (name === LETTER_N) fields.n ||= value.text();
  else if (name === TYPE) fields.type = value.text();
}

/** Whether `p` is an id below `id`: surely so when it is the entry before it, as nearly always. */
function isBefore(p: string, id: EntryId, before: EntryId | null): boolean {
  return p === before || (parseId(p) !== null && compareIds(p, id) < 0);
}

function typeOf(data: Buffer, declared: string, ours: boolean): EntryType {
  if (declared === 'binary' || !isUtf8(data)) return 'binary';
  if (declared !== 'json') return 'text';
  return ours || isJson(data) ? 'json' : 'text';
}

function isJson(data: Buffer): boolean {
  try {
    JSON.parse(data.toString());
    return true;
  } catch {
    return false;
  }
}
