/**
 * What the broadcaster has done since its start: plain numbers that whoever does something adds to, read when
 * somebody asks for them. Nothing here is counted per message and subscriber: a write adds what it carries.
 */
import { type Measure, UNMEASURED } from '../distribution.ts';
import type { GapReason } from '../log/log.ts';
import type { FormatName } from './format.ts';

/** In one format. */
export interface Sent {
  /** Subscribers that came. */
  joined: number;
  writes: number;
  bytes: number;
  /** Entries, once for each subscriber that was sent them. */
  entries: number;
}

export interface Counts {
  readonly sent: Readonly<Record<FormatName, Sent>>;
  /** Subscribers that came: the last one is called by this number. */
  joined: number;
  /** Gaps that subscribers met: told, or closed for. */
  readonly gaps: Record<GapReason, number>;
  /** Histories of followed channels that were replaced. */
  resets: number;
  /** Subscriptions that began at a cursor: found in memory, or looked up in the log. */
  resumedFromMemory: number;
  resumedFromLog: number;
  closedTooSlow: number;
}

export function noCounts(): Counts {
  const sent = (): Sent => ({ joined: 0, writes: 0, bytes: 0, entries: 0 });
  return {
    sent: { raw: sent(), v1: sent(), sse: sent() },
    joined: 0,
    gaps: { trimmed: 0, reset: 0, deleted: 0, damaged: 0 },
    resets: 0,
    resumedFromMemory: 0,
    resumedFromLog: 0,
    closedTooSlow: 0,
  };
}

/** What is measured once per block or pass. */
export interface DeliveryMeasures {
  /** Entries of a block that came. */
  readonly blockEntries: Measure;
  /** From the time in the id of the oldest entry that a pass delivers to the end of the pass. */
  readonly deliverySeconds: Measure;
  /** From its arrival in this process to the end of the pass. */
  readonly passSeconds: Measure;
}

export const NO_DELIVERY_MEASURES: DeliveryMeasures = {
  blockEntries: UNMEASURED,
  deliverySeconds: UNMEASURED,
  passSeconds: UNMEASURED,
};
