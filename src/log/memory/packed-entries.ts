/**
 * The entries of one channel, packed: numbers in typed arrays, the data of many in one buffer. An object each, a
 * million of them are copied by young collections and walked by full ones, and everything else in the process
 * waits meanwhile; packed they are a few thousand objects.
 *
 * They lie in chunks, oldest first. Entries are added at the end and removed from the beginning; a chunk goes with
 * the last entry in it. An entry is named by its ordinal: they begin at 1 and have no holes here.
 */
import { compareIds, type EntryId, ID_ZERO, idParts } from '../../protocol/id.ts';
import type { Entry, NewEntry, PageLimits, TrimPolicy } from '../log.ts';
import { Chunk, sizeAfter } from './chunk.ts';
import { countWhile } from './count-while.ts';

export class PackedEntries {
  readonly #chunks: Chunk[] = [];
  #tip: EntryId = ID_ZERO;
  #tipOrdinal = 0;
  #firstOrdinal = 1;
  #bytes = 0;

  /** The last id ever added; removing leaves it. */
  get tip(): EntryId {
    return this.#tip;
  }

  /** How many were ever added. */
  get tipOrdinal(): number {
    return this.#tipOrdinal;
  }

  /** The ordinal of the oldest one kept; of the next to come when none is. */
  get firstOrdinal(): number {
    return this.#firstOrdinal;
  }

  get length(): number {
    return this.#tipOrdinal + 1 - this.#firstOrdinal;
  }

  /** The data is copied. `id` is above the tip. */
  add(id: EntryId, { type, data }: NewEntry): void {
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || !chunk.hasRoomFor(data.length)) {
      chunk = new Chunk({
        after: this.#tip,
        firstOrdinal: this.#tipOrdinal + 1,
        size: sizeAfter(chunk, { entries: this.length, bytes: this.#bytes }, data.length),
      });
      this.#chunks.push(chunk);
    }
    chunk.add(idParts(id), type, data);
    this.#tip = id;
    this.#tipOrdinal += 1;
    this.#bytes += data.length;
  }

  /** Whether the entry is kept. */
  has(id: EntryId): boolean {
    const next = this.ordinalAfter(id);
    return next > this.#firstOrdinal && this.idBefore(next) === id;
  }

  /** The id that the entry with the ordinal, kept or the next to come, follows. */
  idBefore(ordinal: number): EntryId {
    return this.#chunks[this.#placeOf(ordinal)]?.idBefore(ordinal) ?? this.#tip;
  }

  /** The ordinal of the first kept entry whose id is above `id`; of the next to come when none is. */
  ordinalAfter(id: EntryId): number {
    if (compareIds(id, this.#tip) >= 0) return this.#tipOrdinal + 1;
    const parts = idParts(id);
    const chunk = this.#chunks[countWhile(this.#chunks.length, (i) => this.#at(i).endsUpTo(parts))];
    return Math.max(chunk?.ordinalAfter(parts) ?? 0, this.#firstOrdinal);
  }

  /** The kept entries after `id`: as many as the limits allow, and one at least. */
  readAfter(id: EntryId, { maxEntries, maxBytes }: PageLimits): Entry[] {
    const entries: Entry[] = [];
    let ordinal = this.ordinalAfter(id);
    let bytes = 0;
    for (let i = this.#placeOf(ordinal); i < this.#chunks.length; i++) {
      for (const chunk = this.#at(i); ordinal < chunk.endOrdinal; ordinal++) {
        bytes += chunk.bytesOf(ordinal);
        if (entries.length > 0 && (entries.length >= maxEntries || bytes > maxBytes)) return entries;
        entries.push(chunk.read(ordinal, entries.at(-1)?.id));
      }
    }
    return entries;
  }

  /** Removes the oldest until the policy is kept; returns how many. */
  trim(policy: TrimPolicy, nowMs: number): number {
    const { maxEntries = Infinity, maxBytes = Infinity, maxAgeMs = Infinity, before = ID_ZERO } = policy;
    const oldest = { ms: nowMs - maxAgeMs, seq: 0 };
    const keptFrom = idParts(before);
    const from = this.#firstOrdinal;
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      const stays =
        this.length <= maxEntries &&
        this.#bytes <= maxBytes &&
        chunk.isFrom(this.#firstOrdinal, oldest) &&
        chunk.isFrom(this.#firstOrdinal, keptFrom);
      if (stays) break;
      this.#bytes -= chunk.remove(this.#firstOrdinal);
      this.#firstOrdinal += 1;
      if (this.#firstOrdinal === chunk.endOrdinal) this.#chunks.shift();
    }
    return this.#firstOrdinal - from;
  }

  /** Where the chunk that holds the entry lies; the place after the last one for the next to come. */
  #placeOf(ordinal: number): number {
    return countWhile(this.#chunks.length, (i) => this.#at(i).endOrdinal <= ordinal);
  }

  #at(place: number): Chunk {
    return this.#chunks[place] as Chunk;
  }
}
