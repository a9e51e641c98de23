/**
 * One look at a channel: what the stream and its meta hash say (scripts/look.lua), as the gap rules want it,
 * and what can be told of the ordinals of entries that somebody else wrote.
 */
import { compareIds, type EntryId, ID_ZERO, idBefore } from '../../protocol/id.ts';
import type { Look } from '../judge.ts';
import type { Entry } from '../log.ts';
import type { Reply } from './connection/reply.ts';

export interface RedisLook extends Look {
  readonly metaTip: EntryId;
  readonly metaOrdinal: number;
  readonly meanBytes: number;
  readonly maxBytes: number;
  /** Whether Rivercast wrote the first or the last entry. */
  readonly hasOurs: boolean;
}

/** What look.lua answers. */
export function decodeLook(reply: Reply | undefined): RedisLook {
  if (!Array.isArray(reply)) throw new TypeError('look.lua answered no list');
  const [
    epoch,
    from,
    metaTip,
    metaOrdinal,
    mean,
    max,
    tip,
    added,
    length,
    floor,
    maxDeleted,
    kept,
    n,
    ours,
    prior,
  ] = reply.map(String) as Fifteen;
  return {
    epoch: epoch === '' ? null : epoch,
    from: from === '' ? ID_ZERO : from,
    prior: prior.split(' ').filter((name) => name !== ''),
    metaTip: metaTip === '' ? ID_ZERO : metaTip,
    metaOrdinal: Number(metaOrdinal),
    meanBytes: Number(mean),
    maxBytes: Number(max),
    tip,
    tipOrdinal: Number(added),
    length: Number(length),
    floor: floor === '' ? null : floor,
    maxDeleted,
    cursorKept: kept === '1',
    cursorOrdinal: n === '' ? null : Number(n),
    hasOurs: ours === '1',
  };
}

type Seven = [string, string, string, string, string, string, string];
type Fifteen = [...Seven, ...Seven, string];

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
