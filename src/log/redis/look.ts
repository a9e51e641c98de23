/**
 * One atomic look at a channel: what XINFO STREAM and the meta hash say, as the gap rules want it, and what
 * can be told of the ordinals of entries that somebody else wrote.
 */
import { type EntryId, compareIds, ID_ZERO, idBefore } from '../../protocol/id.ts';
import type { Look } from '../judge.ts';
import type { Entry } from '../log.ts';
import { decodeOptional } from './entries.ts';
import { RedisFault, type Reply } from './link.ts';

export interface RedisLook extends Look {
  /** The highest id ever deleted by name: after it, the entries are complete up to the tip. */
  readonly maxDeleted: EntryId;
  readonly metaTip: EntryId;
  readonly metaOrdinal: number;
  readonly meanBytes: number;
  readonly maxBytes: number;
  /** Whether Rivercast wrote the first or the last entry. */
  readonly hasOurs: boolean;
}

/** The commands of a look, for one transaction; `decodeLook` takes their replies. */
export function lookCommands(stream: string, meta: string): string[][] {
  return [
    ['xinfo', 'stream', stream],
    ['hmget', meta, 'epoch', 'from', 'tip', 'n', 'size', 'max'],
  ];
}

export function decodeLook(info: Reply | undefined, meta: Reply | undefined, cursorKept: boolean): RedisLook {
  const [epoch, from, tip, ordinal, size, max] = metaFields(meta);
  const stream = infoFields(info);
  const number = (name: string): number => Number(stream.get(name) ?? 0);
  const id = (name: string): EntryId => (stream.get(name) as Buffer | undefined)?.toString() ?? ID_ZERO;
  const first = decodeOptional(stream.get('first-entry'));
  const last = decodeOptional(stream.get('last-entry'));
  const seen = [first?.data.length ?? 0, last?.data.length ?? 0];
  return {
    epoch: epoch ?? null,
    from: from ?? ID_ZERO,
    tip: id('last-generated-id'),
    tipOrdinal: number('entries-added'),
    length: number('length'),
    floor: first?.id ?? null,
    cursorKept,
    maxDeleted: id('max-deleted-entry-id'),
    metaTip: tip ?? ID_ZERO,
    metaOrdinal: Number(ordinal ?? 0),
    meanBytes: size === null ? ((seen[0] ?? 0) + (seen[1] ?? 0)) / 2 : Number(size),
    maxBytes: Math.max(Number(max ?? 0), ...seen),
    hasOurs: (first?.prev ?? last?.prev ?? null) !== null,
  };
}

type Six = [string | null, string | null, string | null, string | null, string | null, string | null];

function metaFields(reply: Reply | undefined): Six {
  if (reply instanceof Error) throw reply;
  if (!Array.isArray(reply)) return [null, null, null, null, null, null];
  return reply.map((value: Reply) => (value === null ? null : String(value))) as Six;
}

function infoFields(reply: Reply | undefined): Map<string, Reply> {
  const fields = new Map<string, Reply>();
  if (reply instanceof Error) {
    if (reply.message.includes('no such key')) return fields;
    throw reply;
  }
  if (!Array.isArray(reply)) return fields;
  for (let i = 0; i + 1 < reply.length; i += 2) fields.set(String(reply[i]), reply[i + 1] as Reply);
  if (!fields.has('entries-added')) {
    throw new RedisFault('configuration', 'this Redis is too old: Rivercast needs 7.0 or newer');
  }
  return fields;
}

/**
 * Gives the entries that carry no ordinal theirs where it is certain. After the highest id ever deleted by
 * name nothing is missing up to the tip, so one known ordinal there tells all of them.
 */
export function withOrdinals(entries: readonly Entry[], look: RedisLook): Entry[] {
  if (entries.every((entry) => entry.ordinal !== null)) return entries as Entry[];
  const start = entries.findIndex((entry) => compareIds(entry.id, look.maxDeleted) > 0);
  if (start < 0) return entries as Entry[];
  const base = ordinalAt(entries, start, look);
  if (base === null) return entries as Entry[];
  return entries.map((entry, i) =>
    i < start || entry.ordinal !== null ? entry : { ...entry, ordinal: base + i - start },
  );
}

/** The ordinal of `entries[start]`, from any of the complete run that has one. */
function ordinalAt(entries: readonly Entry[], start: number, look: RedisLook): number | null {
  for (let i = start; i < entries.length; i++) {
    const { id, ordinal } = entries[i] as Entry;
    if (ordinal !== null) return ordinal - (i - start);
    if (id === look.tip) return look.tipOrdinal - (i - start);
    if (id === look.floor) return look.tipOrdinal - look.length + 1 - (i - start);
  }
  return null;
}

/** Between neighbouring ids nothing can be, so such a cursor is as good as one whose entry is still there. */
export function isNeighbour(after: EntryId, next: Entry | undefined): boolean {
  return next !== undefined && next.prev === null && idBefore(next.id) === after;
}
