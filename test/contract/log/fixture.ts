/** How a store is handed to the log contract. */
import type { TestContext } from 'node:test';
import type { Retention } from '../../../src/channels.ts';
import type { Idempotency } from '../../../src/config/shape.ts';
import type { Log } from '../../../src/log/log.ts';
import type { EntryId } from '../../../src/protocol/id.ts';
import type { ManualClock } from '../../support/clock.ts';

export interface LogFixture {
  readonly log: Log;
  /** The clock that ids are made of; absent when the store's own clock decides. */
  readonly clock?: ManualClock;
  /** Retention on append may keep up to this many entries more than asked; 0 or absent means it is exact. */
  readonly retentionSlack?: number;
  /** Closes the log and opens it anew on the same data; absent when nothing outlives the log. */
  readonly reopen?: () => Promise<Log>;
  /** Someone else takes one entry out of the middle; absent when nobody can. */
  readonly removeEntry?: (channel: string, id: EntryId) => Promise<void>;
  /** Someone else writes an entry of type text; absent when nobody can. */
  readonly appendForeign?: (channel: string, text: string) => Promise<EntryId>;
}

export interface LogSettings {
  readonly retention: (channel: string) => Retention;
  /** How long a channel without new entries is kept. */
  readonly channelTtlMs?: number;
  /** Absent: the store's default, which no test outlasts. */
  readonly idempotency?: Idempotency;
}

/** Opens a log for one test and has `t.after` close it. */
export type OpenLog = (t: TestContext, settings: LogSettings) => Promise<LogFixture>;
