/**
 * Some entries that follow each other, as numbers and one buffer of data. What is read of it is a view: the buffer
 * is never written twice, and lives as long as somebody holds a view.
 */
import type { EntryId, IdParts } from '../../protocol/id.ts';
import { ENTRY_TYPES, type Entry, type EntryType } from '../log.ts';
import { countWhile } from './count-while.ts';

interface Size {
  readonly entries: number;
  readonly bytes: number;
}

/** An array of up to 64 bytes takes no memory beside its object: so the numbers of a channel of a few entries. */
const LEAST: Size = { entries: 4, bytes: 256 };
const MOST: Size = { entries: 1024, bytes: 128 * 1024 };
/** Data of this size and above has a buffer of its own: so no more than an eighth of the largest chunk stays empty. */
const APART_BYTES = MOST.bytes / 8;

/**
 * Twice what the chunk before it came to hold, so that a quiet channel takes little, and no more than is kept in all, so
 * that a busy one of which little is kept does too: a chunk goes only with its last entry. With room for data of `bytes`.
 * Where there can not be twice the entries, there is no room for twice their data either.
 */
export function sizeAfter(chunk: Chunk | undefined, kept: Size, bytes: number): Size {
  const before = chunk?.used ?? { entries: 1, bytes: 0 };
  const entries = Math.min(MOST.entries, Math.max(LEAST.entries, Math.min(2 * before.entries, kept.entries)));
  const likely = Math.min(kept.bytes, Math.ceil(before.bytes * Math.min(2, entries / before.entries)));
  return { entries, bytes: Math.min(MOST.bytes, Math.max(LEAST.bytes, likely, bytesInside(bytes))) };
}

/** What data of `bytes` takes of the buffer that many share. */
function bytesInside(bytes: number): number {
  return bytes < APART_BYTES ? bytes : 0;
}

export class Chunk {
  readonly #after: EntryId;
  readonly #firstOrdinal: number;
  /** Of each its milliseconds and its sequence. */
  readonly #ids: Float64Array;
  /** Of each where its data ends, times four, and its type. */
  readonly #marks: Uint32Array;
  readonly #data: Buffer;
  /** By place, data too large to lie between the others; null: there was none. */
  #apart: Map<number, Buffer> | null = null;
  #count = 0;

  constructor({ after, firstOrdinal, size }: { after: EntryId; firstOrdinal: number; size: Size }) {
    this.#after = after;
    this.#firstOrdinal = firstOrdinal;
    this.#ids = new Float64Array(2 * size.entries);
    this.#marks = new Uint32Array(size.entries);
    this.#data = Buffer.allocUnsafeSlow(size.bytes);
  }

  /** The ordinal after that of its last entry. */
  get endOrdinal(): number {
    return this.#firstOrdinal + this.#count;
  }

  get used(): Size {
    return { entries: this.#count, bytes: this.#endOf(this.#count - 1) };
  }

  /** Whether an entry with data of `bytes` can be added. */
  hasRoomFor(bytes: number): boolean {
    const end = this.#endOf(this.#count - 1) + bytesInside(bytes);
    return this.#count < this.#marks.length && end <= this.#data.length;
  }

  /** There is room for it: see `hasRoomFor`. */
  add({ ms, seq }: IdParts, type: EntryType, data: Buffer): void {
    const place = this.#count;
    const start = this.#endOf(place - 1);
    const inside = bytesInside(data.length);
    this.#ids[2 * place] = ms;
    this.#ids[2 * place + 1] = seq;
    this.#marks[place] = (start + inside) * 4 + ENTRY_TYPES.indexOf(type);
    if (inside === data.length) this.#data.set(data, start);
    else (this.#apart ??= new Map()).set(place, Buffer.from(data));
    this.#count += 1;
  }

  /** The entry; `before`, when given, is the id that it follows, and saves making it anew. */
  read(ordinal: number, before?: EntryId): Entry {
    const place = ordinal - this.#firstOrdinal;
    return {
      id: this.#idAt(place),
      type: ENTRY_TYPES[(this.#marks[place] as number) & 3] as EntryType,
      data: this.#apart?.get(place) ?? this.#data.subarray(this.#endOf(place - 1), this.#endOf(place)),
      prev: before ?? this.idBefore(ordinal),
      ordinal,
    };
  }

  /** How long the data of the entry is. */
  bytesOf(ordinal: number): number {
    const place = ordinal - this.#firstOrdinal;
    return this.#apart?.get(place)?.length ?? this.#endOf(place) - this.#endOf(place - 1);
  }

  /** Gives back what it can of the entry, which is read no more; returns how long its data was. */
  remove(ordinal: number): number {
    const bytes = this.bytesOf(ordinal);
    this.#apart?.delete(ordinal - this.#firstOrdinal);
    return bytes;
  }

  /** The id that the entry follows. */
  idBefore(ordinal: number): EntryId {
    const place = ordinal - this.#firstOrdinal;
    return place === 0 ? this.#after : this.#idAt(place - 1);
  }

  /** Whether no id in it is above that one. */
  endsUpTo(id: IdParts): boolean {
    return this.#compare(this.#count - 1, id) <= 0;
  }

  /** The ordinal of the first entry whose id is above that one. */
  ordinalAfter(id: IdParts): number {
    return this.#firstOrdinal + countWhile(this.#count, (place) => this.#compare(place, id) <= 0);
  }

  /** Whether the id of the entry is that one, or above it. */
  isFrom(ordinal: number, id: IdParts): boolean {
    return this.#compare(ordinal - this.#firstOrdinal, id) >= 0;
  }

  #compare(place: number, { ms, seq }: IdParts): number {
    return this.#msOf(place) - ms || this.#seqOf(place) - seq;
  }

  #idAt(place: number): EntryId {
    return `${this.#msOf(place)}-${this.#seqOf(place)}`;
  }

  #msOf(place: number): number {
    return this.#ids[2 * place] as number;
  }

  #seqOf(place: number): number {
    return this.#ids[2 * place + 1] as number;
  }

  #endOf(place: number): number {
    return place < 0 ? 0 : (this.#marks[place] as number) >>> 2;
  }
}
