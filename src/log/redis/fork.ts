/**
 * Where a channel's history parts from the one that this process knew, once it is known that it does: a failover lost
 * the newest entries, or somebody made the stream anew. The epoch that is then begun begins there. Too late a place,
 * and entries of the new history are skipped; too early, and those that were kept are sent again.
 */
import { compareIds, type EntryId, idBefore, LAST_ID, lowestId } from '../../protocol/id.ts';
import type { Entry } from '../log.ts';
import type { RedisLook } from './look.ts';
import { type Fingerprint, fingerprint, isReplaced, type Known, type Witness } from './witness.ts';

/** Epochs that a later one goes on from, by name: more failovers than a cursor is likely to outlive. */
const MAX_PRIOR = 16;

/** Asks the stream for entries; `args` follow its key. */
export type ReadEntries = (command: 'xrange' | 'xrevrange', args: readonly string[]) => Promise<Entry[]>;

/** What this process knew when it met a loss. */
export interface Seen extends Known, Pick<Witness, 'fingerprints'> {
  /** Whether an id is known to have been given to two entries. */
  readonly isReused: boolean;
}

export interface Fork {
  /** The id after which the new epoch begins. */
  readonly from: EntryId;
  /** The epochs before it that it goes on from. */
  readonly prior: readonly string[];
}

export async function findFork(read: ReadEntries, look: RedisLook, seen: Seen): Promise<Fork> {
  const bounds = [look.tip];
  let isReused = seen.isReused || look.floor === null;
  if (look.epoch !== null) {
    const isSame = look.epoch === seen.epoch;
    bounds.push(isSame && compareIds(seen.tip, look.metaTip) > 0 ? seen.tip : look.metaTip);
    if (isSame) {
      const parting = await findParting(read, look, seen.fingerprints);
      if (parting.after !== null) bounds.push(parting.after);
      isReused ||= parting.isReused;
    }
    if (isReplaced(look) && look.floor !== null) {
      bounds.push(idBefore(look.floor));
      isReused = true;
    }
  }
  const from = await placeAt(read, look, lowestId(bounds));
  // Unless ids were given twice, whoever has an entry that is there stands in this history.
  if (isReused || look.epoch === null) return { from, prior: [] };
  return { from, prior: [...look.prior, look.epoch].slice(-MAX_PRIOR) };
}

interface Parting {
  /**
   * Nothing of the stream that lies after this id was delivered here. Null where that can not be told: this process
   * never saw what lies there, and it is most likely what was kept.
   */
  readonly after: EntryId | null;
  /** Whether an id is known to have been given to two entries. */
  readonly isReused: boolean;
}

/** The histories part between the newest delivered entry that reads as it did and the one delivered next. */
async function findParting(
  read: ReadEntries,
  look: RedisLook,
  prints: readonly Fingerprint[],
): Promise<Parting> {
  const floor = look.floor ?? LAST_ID;
  const known = prints.filter(({ id }) => compareIds(id, floor) >= 0);
  const there = known.filter(({ id }) => compareIds(id, look.tip) <= 0);
  const { at, isReused } = await lastSame(read, there);
  const [oldest] = there;
  if (oldest === undefined) return { after: null, isReused };
  if (at < 0) return { after: idBefore(oldest.id), isReused };
  const { id } = there[at] as Fingerprint;
  if (isReused) return { after: id, isReused };
  const next = known[at + 1];
  return { after: next === undefined ? null : (next.prev ?? id), isReused };
}

/**
 * The index of the newest that reads as it did, found by halving; -1 when none does. One that is gone says nothing, it
 * may have been deleted by name: the next older one has to.
 */
async function lastSame(
  read: ReadEntries,
  there: readonly Fingerprint[],
): Promise<{ readonly at: number; readonly isReused: boolean }> {
  const newest = there.at(-1);
  let isReused = newest !== undefined && (await isSame(read, newest)) === false;
  let low = 0;
  let high = there.length;
  let last = -1;
  while (low < high) {
    let at = (low + high) >>> 1;
    let reads = await isSame(read, there[at] as Fingerprint);
    const middle = at;
    while (reads === null && at > low) reads = await isSame(read, there[--at] as Fingerprint);
    isReused ||= reads === false;
    if (reads === true) {
      last = at;
      low = middle + 1;
    } else high = at;
  }
  return { at: last, isReused };
}

/** Null when there is no such entry any more. */
async function isSame(read: ReadEntries, print: Fingerprint): Promise<boolean | null> {
  const [entry] = await read('xrange', [print.id, print.id]);
  return entry === undefined ? null : fingerprint(entry).crc === print.crc;
}

/**
 * The place in this history that `id` stands for, so that the next entry follows it: at an id that it never had, or
 * that was removed from it, whoever resumed there would be told another gap.
 */
async function placeAt(read: ReadEntries, look: RedisLook, id: EntryId): Promise<EntryId> {
  if (compareIds(id, look.tip) >= 0) return look.tip;
  const [next] = await read('xrange', [`(${id}`, '+', 'COUNT', '1']);
  if (next === undefined) return look.tip;
  if (next.prev !== null) return next.prev;
  const [kept] = await read('xrevrange', [id, '-', 'COUNT', '1']);
  return kept?.id ?? id;
}
