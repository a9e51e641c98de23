/**
 * Which idempotency keys of a channel are remembered. They lie in generations, each begun after half a window
 * or half of the keys allowed, and are forgotten a generation at a time: so a key costs no time-stamp that
 * must be looked for, and forgetting is removing one range. A key is known for a window at least and for one and
 * a half at most, unless more keys came than are allowed.
 */
import type { Idempotency } from '../../config/shape.ts';

export interface Generation {
  readonly number: number;
  readonly startMs: number;
  /** When its last key came. */
  lastMs: number;
  count: number;
}

export interface KeyGenerations {
  /** Oldest first; the last one takes new keys. */
  readonly live: Generation[];
  /** Numbers of those that are forgotten, and still on disk in part. */
  readonly dead: number[];
  nextNumber: number;
  /** While the dead are being removed. */
  isForgetting: boolean;
}

export function newGenerations(): KeyGenerations {
  return { live: [], dead: [], nextNumber: 1, isForgetting: false };
}

/** The generation that takes a key now; one begins when there is none that may. */
export function takingGeneration(
  keys: KeyGenerations,
  nowMs: number,
  { windowMs, maxKeys }: Idempotency,
): Generation {
  const last = keys.live.at(-1);
  if (last !== undefined && last.count < maxKeys / 2 && nowMs - last.startMs < windowMs / 2) return last;
  const next = { number: keys.nextNumber++, startMs: nowMs, lastMs: nowMs, count: 0 };
  keys.live.push(next);
  return next;
}

/** Moves what is past from the living to the dead; returns whether any of it went before its window was over. */
export function forgetPast(keys: KeyGenerations, nowMs: number, { windowMs, maxKeys }: Idempotency): boolean {
  let later = 0;
  for (const { count } of keys.live) later += count;
  let isEarly = false;
  for (;;) {
    const [oldest] = keys.live;
    if (oldest === undefined) return isEarly;
    later -= oldest.count;
    const isPast = nowMs - oldest.lastMs > windowMs;
    if (!isPast && later < maxKeys) return isEarly;
    if (!isPast) isEarly = true;
    keys.live.shift();
    keys.dead.push(oldest.number);
  }
}
