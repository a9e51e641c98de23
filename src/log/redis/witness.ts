/**
 * What this process itself saw of a channel: the highest id it was acknowledged or has read, within which
 * epoch, and fingerprints of the newest entries it delivered. Redis never tells a reader of DEL, FLUSHALL or
 * a failover that lost the tail; comparing with this does. Only what is remembered here, or meta, may change
 * a channel's epoch, never a cursor that a client brought.
 */
import { crc32 } from 'node:zlib';
import type { Cursor } from '../../protocol/cursor.ts';
import { compareIds, type EntryId, ID_ZERO } from '../../protocol/id.ts';
import { newEpoch } from '../epoch.ts';
import type { Entry } from '../log.ts';
import type { RedisLook } from './look.ts';

/** Enough to find where history forked in a failover that lost the last moments. */
const MAX_FINGERPRINTS = 256;
/** Channels remembered; beyond it the one not used for longest is forgotten. About 25 KB each at the most. */
const MAX_WITNESSES = 2048;

export interface Fingerprint {
  readonly id: EntryId;
  /** The entry before it as it was delivered; null when somebody else wrote it. */
  readonly prev: EntryId | null;
  readonly crc: number;
  readonly ordinal: number | null;
}

export class Witness {
  epoch: string | null = null;
  tip: EntryId = ID_ZERO;
  ordinal = 0;
  /** Sizes for choosing COUNT; null before the first look. */
  meanBytes: number | null = null;
  maxBytes = 0;
  /** The cursor up to which a waiter's page was proven, when, and over which connections. */
  checkedId: EntryId | null = null;
  checkedAtMs = 0;
  checkedGeneration = -1;
  /** The live tail's cursor when a history was lost that no epoch in Redis tells of; null when it was told. */
  #owedAfter: EntryId | null = null;
  #spareEpoch: string | null = null;
  #fingerprints: Fingerprint[] = [];

  get known(): Known {
    return { epoch: this.epoch, tip: this.tip, ordinal: this.ordinal };
  }

  get fingerprints(): readonly Fingerprint[] {
    return this.#fingerprints;
  }

  /**
   * An epoch for an append to begin if it has to. Whoever takes it puts it back only when Redis' answer to that
   * very call proves that it was not begun: an epoch that is begun twice hides what was lost between.
   */
  takeSpareEpoch(): string {
    const epoch = this.#spareEpoch ?? newEpoch();
    this.#spareEpoch = null;
    return epoch;
  }

  putBackSpareEpoch(epoch: string): void {
    this.#spareEpoch = epoch;
  }

  /** Takes in an id of `epoch` that Redis acknowledged or returned. */
  see(epoch: string | null, id: EntryId, ordinal: number | null): void {
    if (epoch !== this.epoch) this.#forget(epoch);
    if (compareIds(id, this.tip) <= 0) return;
    this.tip = id;
    if (ordinal !== null) this.ordinal = Math.max(this.ordinal, ordinal);
  }

  /**
   * Begins anew from what Redis has now: what was known is lost. Whoever's look met it is told; so is the
   * live tail, by its own next read. Nobody else who had that history is known here.
   */
  accept(look: RedisLook): void {
    if (this.checkedId !== ID_ZERO) this.#owedAfter = this.checkedId ?? this.#owedAfter;
    this.#forget(look.epoch);
    this.see(look.epoch, look.tip, look.tipOrdinal);
  }

  /** Whether the live tail at `cursor` is still to be told of a loss. It was told once it goes on elsewhere. */
  owes(cursor: Cursor): boolean {
    if (cursor.id !== this.#owedAfter || cursor.epoch !== null) this.#owedAfter = null;
    return this.#owedAfter !== null;
  }

  remember(entries: readonly Entry[]): void {
    for (const { data } of entries) this.maxBytes = Math.max(this.maxBytes, data.length);
    const newest = this.#fingerprints.at(-1)?.id ?? ID_ZERO;
    for (const entry of entries.slice(-MAX_FINGERPRINTS)) {
      if (compareIds(entry.id, newest) > 0) this.#fingerprints.push(fingerprint(entry));
    }
    if (this.#fingerprints.length > MAX_FINGERPRINTS) {
      this.#fingerprints = this.#fingerprints.slice(-MAX_FINGERPRINTS);
    }
  }

  remembers(id: EntryId): boolean {
    return this.#fingerprints.some((print) => print.id === id);
  }

  /**
   * Whether the history parts before `id`, an entry delivered in this epoch: it is another one now, or it is gone
   * and what comes next follows, or counts on from, an earlier one. That it is gone alone says nothing.
   */
  isForked(
    id: EntryId,
    found: { readonly entry: Entry | undefined; readonly next: Entry | undefined },
  ): boolean {
    const known = this.#fingerprints.findLast((print) => print.id === id);
    if (known === undefined) return false;
    const { entry, next } = found;
    if (entry !== undefined) return known.crc !== fingerprint(entry).crc;
    if (next === undefined) return false;
    if (next.prev !== null) return compareIds(next.prev, id) < 0;
    return next.ordinal !== null && known.ordinal !== null && next.ordinal <= known.ordinal;
  }

  isChecked(cursor: Cursor, generation: number, sinceMs: number): boolean {
    return (
      cursor.epoch === this.epoch &&
      cursor.id === this.checkedId &&
      generation === this.checkedGeneration &&
      this.checkedAtMs >= sinceMs
    );
  }

  #forget(epoch: string | null): void {
    this.epoch = epoch;
    this.tip = ID_ZERO;
    this.ordinal = 0;
    this.checkedId = null;
    this.#fingerprints = [];
  }
}

export class Witnesses {
  readonly #byChannel = new Map<string, Witness>();

  of(channel: string): Witness {
    const known = this.#byChannel.get(channel);
    const witness = known ?? new Witness();
    if (known !== undefined) this.#byChannel.delete(channel);
    this.#byChannel.set(channel, witness);
    if (this.#byChannel.size > MAX_WITNESSES) {
      for (const oldest of this.#byChannel.keys()) {
        this.#byChannel.delete(oldest);
        break;
      }
    }
    return witness;
  }
}

/** The ordinal counts only where it is stored: a derived one may become known between two looks. */
export function fingerprint(entry: Entry): Fingerprint {
  const chain = entry.prev === null ? '' : `${entry.prev} ${entry.ordinal}`;
  const { id, prev, ordinal } = entry;
  return { id, prev, crc: crc32(chain, crc32(entry.data)), ordinal };
}

/** What a Witness knew at one moment. */
export interface Known {
  readonly epoch: string | null;
  readonly tip: EntryId;
  readonly ordinal: number;
}

/**
 * Whether what Redis shows can not be the history that this process, or meta, knows. `known` is from before
 * the look was sent: what was learnt while it was on its way may be newer than the look, and no evidence.
 */
export function contradicts(look: RedisLook, known: Known): boolean {
  if (look.epoch === null && look.hasOurs) return true;
  if (beganAnew(look, known) || isBehindMeta(look)) return true;
  return look.epoch === known.epoch && isBehind(look, known.tip, known.ordinal);
}

/** Whether a history was lost that Redis has no epoch for, or not yet, so that none need be changed. */
export function isNewTo(look: RedisLook, known: Known): boolean {
  return (look.epoch === null && !look.hasOurs) || beganAnew(look, known);
}

/** Whether somebody else made the stream anew: a stream and its meta are lost together in any failover. */
export function isReplaced(look: RedisLook): boolean {
  return isBehindMeta(look) && !look.hasOurs;
}

/** The first epoch of a stream that others wrote begins where it was then, so not before what was seen of it. */
function beganAnew(look: RedisLook, known: Known): boolean {
  return known.epoch === null && look.epoch !== null && compareIds(look.from, known.tip) < 0;
}

function isBehindMeta(look: RedisLook): boolean {
  return look.epoch !== null && isBehind(look, look.metaTip, look.metaOrdinal);
}

function isBehind(look: RedisLook, id: EntryId, ordinal: number): boolean {
  return compareIds(look.tip, id) < 0 || look.tipOrdinal < ordinal;
}
