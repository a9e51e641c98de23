/**
 * Pages and places from the embedded store. Every look is synchronous, so it is atomic, and bounded to about
 * 2 ms and 1 MiB, so that reading never holds up the event loop; a page that ends early is continued by the
 * next read. No cursor of the store lives on after it (an open one would pin every page freed since).
 */
import type { Clock } from '../../clock.ts';
import { RivercastError } from '../../errors.ts';
import type { Cursor } from '../../protocol/cursor.ts';
import { compareIds, type EntryId, ID_ZERO, idBefore, idMs, idSeq } from '../../protocol/id.ts';
import { judgePage, type Look } from '../judge.ts';
import type { Entry, FreshStart, Page, PageLimits } from '../log.ts';
import {
  type ChannelRecord,
  ENTRY_HEADER_BYTES,
  isWhole,
  KEY_BYTES,
  type Mark,
  readOrdinal,
  readPrev,
  readType,
  writeKey,
  writeKeyAfter,
} from '../record.ts';
import { type ChannelState, lookAt, MARK_ZERO } from './channel.ts';
import { blank, tellDamage } from './damage.ts';
import { PageBuffer } from './page-buffer.ts';
import type { Found, Store } from './store.ts';

const TURN_MS = 2;
const MAX_READ_BYTES = 1024 * 1024;
/** Reading the clock costs as much as reading an entry. */
const ENTRIES_PER_LOOK_AT_CLOCK = 64;

type CountedStart = Extract<FreshStart, { at: 'last' }>;
type Span = Pick<ChannelRecord, 'number' | 'tip' | 'trimmed'>;

interface Collected {
  readonly entries: Entry[];
  readonly damaged: Set<EntryId>;
}

export class Reader {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #start: Buffer = Buffer.alloc(KEY_BYTES);
  readonly #end: Buffer = Buffer.alloc(KEY_BYTES);
  /** Where `pages` begins, so that channels take turns when not all fit into one. */
  #turn = 0;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  page(state: ChannelState | undefined, after: Cursor, limits: PageLimits): Page {
    const look = lookAt(state);
    if (state === undefined || look.length === 0 || compareIds(after.id, look.tip) >= 0) {
      return judgePage(after, look, []);
    }
    return orUnavailable(() => {
      const { entries, damaged } = this.#collect(state, after, limits);
      const page = judgePage(after, look, entries);
      return damaged.size === 0 ? page : tellDamage(page, after, damaged, look.floor);
    });
  }

  /** The pages of those channels that have something after their cursors; not all at once when it is much. */
  pages(
    channels: ReadonlyMap<string, ChannelState>,
    after: ReadonlyMap<string, Cursor>,
    limits: PageLimits,
  ): Map<string, Page> {
    const pages = new Map<string, Page>();
    const behind = [...after].filter(([name, cursor]) => isBehind(channels.get(name), cursor));
    const deadline = this.#clock.monotonic() + TURN_MS;
    for (let i = 0; i < behind.length; i++) {
      const [name, cursor] = behind[(this.#turn + i) % behind.length] as [string, Cursor];
      const page = this.page(channels.get(name), cursor, limits);
      if (page.entries.length > 0 || page.gaps.length > 0) pages.set(name, page);
      if (this.#clock.monotonic() > deadline) {
        this.#turn += i + 1;
        break;
      }
    }
    return pages;
  }

  locate(state: ChannelState | undefined, start: FreshStart): Cursor {
    if (state === undefined || state.flushed === null) return { id: ID_ZERO, epoch: null, ordinal: null };
    const { epoch, flushed } = state;
    return orUnavailable(() => {
      switch (start.at) {
        case 'earliest':
          return { ...state.trimmed, epoch };
        case 'latest':
          return { ...flushed, epoch };
        case 'last':
          return { ...this.#fromEnd(state, flushed, start), epoch };
        case 'time':
          return { ...this.#before(state, flushed, start.ms), epoch };
      }
    });
  }

  /** The first entry kept of what a record tells. */
  floorOf(record: ChannelRecord): EntryId | null {
    let floor: EntryId | null = null;
    this.#scan(record, record.trimmed.id, ({ ms, seq }) => {
      floor = `${ms}-${seq}`;
      return false;
    });
    return floor;
  }

  /** Runs over the entries on disk that are kept, oldest first, until `visit` returns false. */
  scanKept(state: ChannelState, visit: (found: Found) => boolean): void {
    this.#scan(spanOf(state), state.trimmed.id, visit);
  }

  #scan(span: Span, after: EntryId, visit: (found: Found) => boolean): void {
    const from = compareIds(after, span.trimmed.id) < 0 ? span.trimmed.id : after;
    writeKeyAfter(this.#start, span.number, from);
    writeKeyAfter(this.#end, span.number, span.tip.id);
    this.#store.scan(this.#start, this.#end, visit);
  }

  #collect(state: ChannelState, after: Cursor, limits: PageLimits): Collected {
    const entries: Entry[] = [];
    const damaged = new Set<EntryId>();
    const buffer = new PageBuffer();
    const maxBytes = Math.min(limits.maxBytes, MAX_READ_BYTES);
    const deadline = this.#clock.monotonic() + TURN_MS;
    const isFull = (bytes: number): boolean =>
      entries.length >= limits.maxEntries ||
      bytes > maxBytes ||
      (entries.length % ENTRIES_PER_LOOK_AT_CLOCK === 0 && this.#clock.monotonic() > deadline);
    let bytes = 0;
    let last: Entry | undefined;
    let lastId = { ms: -1, seq: -1 };
    this.#scan(spanOf(state), after.id, (found) => {
      const { ms, seq, value } = found;
      bytes += value.length - ENTRY_HEADER_BYTES;
      if (last !== undefined && isFull(bytes)) return false;
      const id = `${ms}-${seq}`;
      if (isWhole(value, found)) {
        const data = buffer.copy(value, ENTRY_HEADER_BYTES);
        const prev = readPrev(value, lastId, last?.id);
        last = { id, type: readType(value), data, prev, ordinal: readOrdinal(value) };
      } else {
        const ordinal = last?.ordinal ?? null;
        damaged.add(id);
        last = blank(id, last?.id ?? null, ordinal === null ? null : ordinal + 1);
      }
      lastId = { ms, seq };
      entries.push(last);
      return true;
    });
    if (damaged.has(entries[0]?.id ?? '')) this.#linkBlanks(state, after, { entries, damaged });
    return { entries, damaged };
  }

  /** Blanks at the head of a page know nothing of what lies before them; the entry before the page does. */
  #linkBlanks(state: ChannelState, after: Cursor, { entries, damaged }: Collected): void {
    let before = this.#lastBefore(state, (entries[0] as Entry).id);
    if (before.id === after.id) before = { id: after.id, ordinal: before.ordinal ?? after.ordinal };
    for (let i = 0; damaged.has(entries[i]?.id ?? ''); i++) {
      const { id } = entries[i] as Entry;
      const ordinal = before.ordinal === null ? null : before.ordinal + 1;
      entries[i] = blank(id, before.id, ordinal);
      before = { id, ordinal };
    }
  }

  /** The entry before `id`: kept, or the last one trimmed. The ordinal is null when the entry is damaged. */
  #lastBefore(state: ChannelState, id: EntryId): { id: EntryId; ordinal: number | null } {
    const { trimmed } = state;
    // The lower end of a range that is run over backwards is not in it.
    writeKey(this.#start, state.number, idMs(trimmed.id), idSeq(trimmed.id));
    writeKeyAfter(this.#end, state.number, idBefore(id));
    const found = this.#store.lastBefore(this.#end, this.#start);
    if (found === null) return trimmed;
    const ordinal = isWhole(found.value, found) ? readOrdinal(found.value) : null;
    return { id: `${found.ms}-${found.seq}`, ordinal };
  }

  /** The place before the first entry at or after a time. */
  #before(state: ChannelState, flushed: Mark, atMs: number): { id: EntryId; ordinal: number | null } {
    const ms = Math.ceil(atMs);
    if (ms > idMs(flushed.id)) return flushed;
    return this.#lastBefore(state, `${ms}-0`);
  }

  #fromEnd(state: ChannelState, flushed: Mark, { count, until }: CountedStart): Mark {
    if (until === undefined || compareIds(until, flushed.id) >= 0) {
      return this.#entryAt(state, flushed, flushed.ordinal - count);
    }
    return this.#entryAt(state, flushed, this.#ordinalAt(state, flushed, until) - count);
  }

  /** How many entries were ever added up to `id`; damaged entries between it and the next whole one count. */
  #ordinalAt(state: ChannelState, flushed: Mark, id: EntryId): number {
    let damaged = 0;
    let next = flushed.ordinal + 1;
    this.#scan(spanOf(state), id, (found) => {
      if (!isWhole(found.value, found)) {
        damaged += 1;
        return true;
      }
      next = readOrdinal(found.value);
      return false;
    });
    return next - 1 - damaged;
  }

  /**
   * The entry with the given ordinal, or where the kept ones begin. Ids and ordinals rise together, and the
   * ids of one millisecond have no holes: so halve the time until the millisecond is found, then count on.
   */
  #entryAt(state: ChannelState, flushed: Mark, ordinal: number): Mark {
    if (ordinal <= state.trimmed.ordinal || state.floor === null) return state.trimmed;
    let low = idMs(state.floor);
    let high = idMs(flushed.id);
    let best: { ms: number; seq: number; ordinal: number } | null = null;
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const first = this.#firstWhole(state, middle);
      if (first !== null && first.ordinal <= ordinal) {
        best = first;
        low = middle + 1;
      } else high = middle - 1;
    }
    if (best === null) return state.trimmed;
    return { id: `${best.ms}-${best.seq + ordinal - best.ordinal}`, ordinal };
  }

  #firstWhole(state: ChannelState, atMs: number): { ms: number; seq: number; ordinal: number } | null {
    let first: { ms: number; seq: number; ordinal: number } | null = null;
    this.#scan(spanOf(state), idBefore(`${atMs}-0`), (found) => {
      const { ms, seq, value } = found;
      if (!isWhole(value, found)) return true;
      first = { ms, seq, ordinal: readOrdinal(value) };
      return false;
    });
    return first;
  }
}

function spanOf({ number, flushed, trimmed }: ChannelState): Span {
  return { number, tip: flushed ?? MARK_ZERO, trimmed };
}

function isBehind(state: ChannelState | undefined, cursor: Cursor): boolean {
  const look: Look = lookAt(state);
  return cursor.id !== look.tip || (cursor.epoch !== null && cursor.epoch !== look.epoch);
}

/** A store that can not be read is the log's failure, not the reader's. */
function orUnavailable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new RivercastError('log_unavailable', `the log could not be read: ${String(error)}`, {
      cause: error,
    });
  }
}
