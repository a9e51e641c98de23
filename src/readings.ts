/**
 * The numbers of the process at one moment, as whoever shows them reads them (metrics.ts, http/ops/stats.ts), and what is
 * observed while things happen. They are read from plain numbers that those who do something keep; only what a sum can
 * not tell, how values are spread, is observed: once per batch, block or pass, never per subscriber.
 */
import { Distribution } from './distribution.ts';
import type { Closed, Refused } from './refusals.ts';

/** One of several values of a number. */
export interface ByLabel {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Readings {
  readonly process: {
    /** Random, of this start: counts of one id go on, those of another have nothing to do with them. */
    readonly id: string;
    readonly version: string;
    readonly role: string;
    readonly store: string;
    readonly startedS: number;
    readonly cpuS: { readonly user: number; readonly system: number };
    readonly residentBytes: number;
    readonly heapUsedBytes: number;
    readonly heapTotalBytes: number;
    readonly externalBytes: number;
    readonly openFds: number | null;
    readonly maxFds: number | null;
    /** The most that the event loop was late in the last seconds; null where nobody looks. */
    readonly loopDelayMaxS: number | null;
  };
  /** What the settings allow, by what it bounds. */
  readonly bounds: readonly ByLabel[];
  readonly isReady: boolean;
  readonly log: {
    readonly isUp: boolean;
    /** When that was found first, in ms since 1970. */
    readonly sinceMs: number;
    /** What is wrong, or was the last time that something was; null: nothing since the start. */
    readonly trouble: string | null;
    /** What an acknowledgement means in Redis; null: the log is elsewhere. */
    readonly durability: string | null;
  };
  readonly sockets: number;
  readonly connections: readonly ByLabel[];
  readonly accepted: readonly ByLabel[];
  readonly refusals: readonly Refused[];
  readonly closes: readonly Closed[];
  /** How often each limit of what a client may cost was crossed. */
  readonly limits: Readonly<Record<string, number>>;
  readonly incompleteBytes: number;
  /** Null when it takes nothing in. */
  readonly manager: ManagerReadings | null;
  /** Null when it delivers nothing. */
  readonly broadcaster: BroadcasterReadings | null;
}

export interface ManagerReadings {
  readonly received: Readonly<Record<string, { readonly entries: number; readonly bytes: number }>>;
  readonly stored: number;
  readonly duplicates: number;
  readonly failures: ReadonlyMap<string, number>;
  readonly unstoredBytes: number;
  readonly paused: number;
  readonly posts: number;
  readonly trimmed: number;
  readonly sweeps: {
    readonly done: number;
    readonly failed: number;
    readonly removed: number;
    readonly forgotten: number;
  };
}

export interface BroadcasterReadings {
  readonly sent: Readonly<
    Record<string, { readonly writes: number; readonly bytes: number; readonly entries: number }>
  >;
  readonly subscriptions: number;
  readonly channels: number;
  readonly gaps: Readonly<Record<string, number>>;
  readonly resets: number;
  readonly resumedFromMemory: number;
  readonly resumedFromLog: number;
  readonly closedTooSlow: number;
  readonly cutForRoom: number;
  readonly catchUpReads: number;
  readonly catchingUp: number;
  readonly ringBytes: number;
  readonly stalled: number;
  readonly stalledBytes: number;
  readonly slices: number;
  readonly longestSliceMs: number;
  readonly lag: LagReadings;
}

/** Of all subscriptions at this moment. */
export interface LagReadings {
  readonly entries: Distribution;
  readonly seconds: Distribution;
  readonly worstEntries: number;
  readonly worstSeconds: number;
  readonly edge: {
    /** How much of what its channel keeps the furthest one has behind it, from 0 to 1. */
    readonly worstRatio: number;
    /** Subscriptions above 0.8 of it. */
    readonly near: number;
  };
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const COUNTS = [1, 4, 16, 64, 256, 1024, 4096, 10_000];
const LAG_ENTRIES = [0, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
const LAG_SECONDS = [0, 0.01, 0.1, 1, 5, 10, 30, 60, 300, 3600, 86_400];

/** Observed as things happen. */
export class Measured {
  readonly appendSeconds: Distribution = new Distribution(SECONDS);
  readonly batchEntries: Distribution = new Distribution(COUNTS);
  readonly blockEntries: Distribution = new Distribution(COUNTS);
  readonly deliverySeconds: Distribution = new Distribution(SECONDS);
  readonly passSeconds: Distribution = new Distribution(SECONDS);
  readonly loopDelaySeconds: Distribution = new Distribution(SECONDS);
}

export function lagDistributions(): { readonly entries: Distribution; readonly seconds: Distribution } {
  return { entries: new Distribution(LAG_ENTRIES), seconds: new Distribution(LAG_SECONDS) };
}
