/**
 * The log: one ordered, durable sequence of entries per channel. Managers append, broadcasters read; they
 * meet nowhere else. Three stores implement it (memory.ts, embedded.ts, redis.ts) and one contract suite
 * holds them to the same behaviour.
 *
 * Each entry stores the id before it (`prev`) and its ordinal, and each channel has an epoch, so a read can
 * prove that it follows its cursor without a hole, or say what is missing (judge.ts has the rules).
 */
import type { Cursor } from '../protocol/cursor.ts';
import type { EntryId } from '../protocol/id.ts';
import type { Start } from '../protocol/start.ts';

/** In this order: the embedded log stores a type as its place here. */
export const ENTRY_TYPES = ['text', 'json', 'binary'] as const;
export type EntryType = (typeof ENTRY_TYPES)[number];

/** An entry to be appended. The log keeps `data` until the append settles: do not change it meanwhile. */
export interface NewEntry {
  readonly type: EntryType;
  readonly data: Buffer;
  /**
   * What makes a second try known as one: for the idempotency window, an entry with the key of one that the
   * channel has stored is not stored again. One that `isKey` (protocol/key.ts) takes.
   */
  readonly key?: string | undefined;
}

export interface Entry {
  readonly id: EntryId;
  readonly type: EntryType;
  readonly data: Buffer;
  /** The channel's last-generated id just before this entry; null for an entry written by someone else. */
  readonly prev: EntryId | null;
  /** How many entries were ever added, this one included; null when it cannot be told. */
  readonly ordinal: number | null;
}

export interface AppendResult {
  readonly id: EntryId;
  /** Whether the key was known: nothing was stored, and the id is that of the first entry with the key. */
  readonly duplicate: boolean;
}

export type GapReason = 'trimmed' | 'reset' | 'deleted' | 'damaged';

/** Entries after `requested` that can not be delivered any more. Delivery goes on after `resumeAt`. */
export interface Gap {
  readonly reason: GapReason;
  readonly requested: Cursor;
  /** The first id still kept after the gap; null when nothing is. */
  readonly floor: EntryId | null;
  /** How many entries are missing; null when that cannot be known. */
  readonly lost: number | null;
  readonly resumeAt: Cursor;
}

export interface PageGap {
  /** The gap lies before `entries[before]`; equal to `entries.length` when it lies after them. */
  readonly before: number;
  readonly gap: Gap;
}

export interface Page {
  /** Null for a channel that Rivercast never wrote to. */
  readonly epoch: string | null;
  readonly entries: readonly Entry[];
  /** In order of `before`. Empty means: the entries follow the cursor without a hole. */
  readonly gaps: readonly PageGap[];
  /** Where the next read goes on: after the last entry, or after the last gap's `resumeAt`. */
  readonly end: Cursor;
}

/** A page holds at most this; one entry larger than `maxBytes` is still returned, alone. */
export interface PageLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

export interface Bounds {
  readonly epoch: string | null;
  /** The first id still kept; null when the channel is empty. */
  readonly floor: EntryId | null;
  /** The last id ever given; `0-0` for a channel that never had an entry. Survives trimming. */
  readonly tip: EntryId;
  /** How many entries were ever added. */
  readonly tipOrdinal: number;
  readonly length: number;
}

export interface ChannelBounds extends Bounds {
  readonly channel: string;
}

export interface ChannelPage {
  readonly channels: readonly ChannelBounds[];
  /** The name after which the next page begins; null when there is no more. */
  readonly cursor: string | null;
}

/** What a sweep did. */
export interface Swept {
  /** The channels it looked at. */
  readonly channels: number;
  /** Entries removed. */
  readonly removed: number;
  /** Channels found gone, or removed because they had no new entry for so long. */
  readonly forgotten: number;
}

/** Every bound given is applied; `before` removes the entries whose ids are below it. */
export interface TrimPolicy {
  readonly maxEntries?: number;
  readonly maxBytes?: number;
  readonly maxAgeMs?: number;
  readonly before?: EntryId;
}

/** A start that claims nothing about what was seen, so finding it can not meet a gap. */
export type FreshStart =
  | Exclude<Start, { at: 'cursor' | 'last' }>
  /** Counted from the end, or back from the entry `until`, which is one of them. */
  | { readonly at: 'last'; readonly count: number; readonly until?: EntryId };

/** What a process may do with the log, and what can fail alone. */
export type Side = 'append' | 'read';

/** One `wait` watches at most this many channels: a blocking read re-examines all of them per wake-up. */
export const MAX_WATCHED = 100;

export interface Log {
  /**
   * Stores the entries in order, all or none, and resolves with their ids once they are as durable as the
   * log promises. A lost connection is retried here, so that a batch is stored once; the promise stays
   * pending while the store is down. One append per channel may be in flight: the caller batches.
   *
   * Rejects with RivercastError `log_unavailable` when the log is closed meanwhile, or when the store
   * itself failed and nothing more can be promised; with `not_replicated` or `not_synced` when the entries
   * are stored, but replicas or disk did not have them in time: a repetition with the same keys is safe.
   */
  append(channel: string, entries: readonly NewEntry[]): Promise<AppendResult[]>;

  /**
   * The entries after `after`, or what was lost of them, in one atomic look. Creates nothing.
   * A page without entries and gaps means: nothing newer yet.
   * Rejects with RivercastError `log_unavailable` when the store does not answer in time.
   */
  read(channel: string, after: Cursor, limits: PageLimits): Promise<Page>;

  /** The cursor to start from. Creates nothing. Rejects as `read` does. */
  locate(channel: string, start: FreshStart): Promise<Cursor>;

  /**
   * Resolves as soon as a watched channel has something after its cursor, with a non-empty page (entries or
   * a gap) for each that has; with an empty map once `signal` aborts. At most MAX_WATCHED channels. A store
   * that does not answer is waited for with back-off. Rejects with RivercastError `log_unavailable` when the
   * log is closed, or when the store answers and can not be read: whether to try again is up to the caller.
   */
  wait(
    after: ReadonlyMap<string, Cursor>,
    limits: PageLimits,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Page>>;

  /** What the channel holds. Creates nothing. Rejects as `read` does. */
  bounds(channel: string): Promise<Bounds>;

  /** Removes oldest entries; resolves with how many. The tip and the epoch stay. */
  trim(channel: string, policy: TrimPolicy): Promise<number>;

  /**
   * The channels that Rivercast wrote to and that are kept, in the order of their names, after `after` if it is
   * given; at most `limit` a page. Rejects as `read` does.
   */
  channels(page: { readonly after: string | null; readonly limit: number }): Promise<ChannelPage>;

  /**
   * Applies retention to all channels, idle ones above all, and forgets those that had no entry for
   * CHANNEL_TTL_MS. Slow and gentle: appends and reads go on meanwhile. Resolves with null when another server
   * is at it, and early, with what was done so far, once `signal` aborts. Rejects as `read` does.
   */
  sweep(signal: AbortSignal): Promise<Swept | null>;

  /**
   * Resolves when appends and reads work, or those of `side` alone; rejects with the reason when they do not. Stores
   * nothing, and needs no permission of the other side.
   */
  probe(side?: Side): Promise<void>;

  /** Settles or rejects what is in flight, wakes the waiters, frees the store. Idempotent. */
  close(): Promise<void>;
}
