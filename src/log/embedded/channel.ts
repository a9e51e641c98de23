/**
 * What the embedded log knows of a channel without asking the disk. Three places matter:
 *
 *   trimmed     the last entry removed; takes effect when the removal is planned, before it is on disk
 *   flushed     the last entry known to be on disk: the tip that readers see
 *   written     the last entry given an id: ahead of `flushed` while a transaction is under way
 */
import { compareIds, type EntryId, ID_ZERO, idMs } from '../../protocol/id.ts';
import type { Look } from '../judge.ts';
import type { TrimPolicy } from '../log.ts';
import type { ChannelRecord, Mark } from '../record.ts';
import type { KeyGenerations } from './generations.ts';

export interface ChannelState {
  readonly name: string;
  readonly number: number;
  readonly epoch: string;
  /** Null until the channel's first entry is on disk: so long nobody may know of it. */
  flushed: Mark | null;
  written: Mark;
  trimmed: Mark;
  /** The first flushed entry kept. */
  floor: EntryId | null;
  /** Of all entries written and not trimmed. */
  bytes: number;
  /** Null until an entry came with an idempotency key. */
  keys: KeyGenerations | null;
}

export const MARK_ZERO: Mark = { id: ID_ZERO, ordinal: 0 };

export function newChannel(name: string, number: number, epoch: string): ChannelState {
  const start = { flushed: null, written: MARK_ZERO, trimmed: MARK_ZERO, floor: null, bytes: 0, keys: null };
  return { name, number, epoch, ...start };
}

export function restoredChannel(name: string, record: ChannelRecord, floor: EntryId | null): ChannelState {
  const { number, epoch, tip, trimmed, bytes } = record;
  return { name, number, epoch, flushed: tip, written: tip, trimmed, floor, bytes, keys: null };
}

export function recordOf(state: ChannelState): ChannelRecord {
  const { number, epoch, bytes, written, trimmed } = state;
  return { number, epoch, bytes, tip: written, trimmed };
}

/** None is ever deleted by name. */
const UNDELETED = { cursorOrdinal: null, maxDeleted: ID_ZERO, prior: [] };

/** What a reader may see of the channel. Every entry is ours, so none is found by `cursorKept` alone. */
export function lookAt(state: ChannelState | undefined): Look {
  if (state === undefined || state.flushed === null) {
    const nothing = { epoch: null, from: ID_ZERO, tip: ID_ZERO, tipOrdinal: 0, length: 0, floor: null };
    return { ...nothing, ...UNDELETED, cursorKept: false };
  }
  const { epoch, flushed, trimmed, floor } = state;
  return {
    ...UNDELETED,
    epoch,
    from: ID_ZERO,
    tip: flushed.id,
    tipOrdinal: flushed.ordinal,
    length: flushed.ordinal - trimmed.ordinal,
    floor,
    cursorKept: false,
  };
}

/** Whether the policy asks for the oldest flushed entry to go. */
export function isOver(state: ChannelState, policy: TrimPolicy, nowMs: number): boolean {
  if (state.floor === null) return false;
  const { maxEntries = Infinity, maxBytes = Infinity, maxAgeMs = Infinity, before = ID_ZERO } = policy;
  return (
    state.written.ordinal - state.trimmed.ordinal > maxEntries ||
    state.bytes > maxBytes ||
    idMs(state.floor) < nowMs - maxAgeMs ||
    compareIds(state.floor, before) < 0
  );
}
