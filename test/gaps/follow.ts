/** Following a log to its end, as a client would: page after page, on from wherever a gap said. */
import assert from 'node:assert/strict';
import type { Entry, Gap, Log, Page } from '../../src/log/log.ts';
import { type Cursor, formatCursor, parseCursor } from '../../src/protocol/cursor.ts';
import type { EntryId } from '../../src/protocol/id.ts';
import { LIMITS } from '../support/redis-log.ts';

/** What a client may bring: the id of a message alone, with its epoch, or the whole cursor. */
export const FORMS = ['a plain id', 'id@epoch', 'a full cursor'] as const;
export type Form = (typeof FORMS)[number];

export function inForm(cursor: Cursor, form: Form): Cursor {
  const { id, epoch, ordinal } = cursor;
  return {
    id,
    epoch: form === 'a plain id' ? null : epoch,
    ordinal: form === 'a full cursor' && epoch !== null ? ordinal : null,
  };
}

export interface Followed {
  readonly texts: string[];
  readonly entries: Entry[];
  /** Reason and count of each gap, as `reset`, `trimmed 3` or `deleted ?`. */
  readonly told: string[];
  readonly gaps: Gap[];
  readonly end: Cursor;
}

/** More than any test needs: whoever is told gaps without an end never gets there. */
const MAX_PAGES = 100;

/**
 * Reads to the end. After each page the cursor is taken through its text, as between two connections; at a gap
 * the reader leaves and comes back where the gap said, which must be as good as to read on.
 */
export async function followToEnd(log: Log, channel: string, after: Cursor, max = 1000): Promise<Followed> {
  const followed: Followed = { texts: [], entries: [], told: [], gaps: [], end: after };
  let cursor = after;
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = await log.read(channel, cursor, { ...LIMITS, maxEntries: max });
    if (page.entries.length === 0 && page.gaps.length === 0) return { ...followed, end: cursor };
    cursor = throughText(take(followed, page));
  }
  assert.fail(`no end after ${MAX_PAGES} pages: ${followed.told.join(', ')}`);
}

/** Follows with wait() until there are `count` entries; with 0, until there is any news. */
export function followLive(log: Log, channel: string, after: Cursor, count: number): Promise<Followed> {
  return follow(
    log,
    channel,
    after,
    ({ entries, told }) => entries.length >= count && entries.length + told.length > 0,
  );
}

/** Follows with wait() until it is at `tip`, of the history that is there now. */
export async function followTo(log: Log, channel: string, after: Cursor, tip: EntryId): Promise<Followed> {
  const { epoch } = await log.bounds(channel);
  return follow(
    log,
    channel,
    after,
    ({ end }) => end.id === tip && (end.epoch === epoch || end.epoch === null),
  );
}

async function follow(
  log: Log,
  channel: string,
  after: Cursor,
  isDone: (followed: Followed) => boolean,
): Promise<Followed> {
  let followed: Followed = { texts: [], entries: [], told: [], gaps: [], end: after };
  for (let pages = 0; !isDone(followed); pages++) {
    assert.ok(pages < MAX_PAGES, `no end after ${MAX_PAGES} pages: ${followed.told.join(', ')}`);
    const found = await log.wait(new Map([[channel, followed.end]]), LIMITS, AbortSignal.timeout(20_000));
    const page = found.get(channel) ?? assert.fail('nothing came');
    add(
      followed,
      page.entries,
      page.gaps.map(({ gap }) => gap),
    );
    followed = { ...followed, end: page.end };
  }
  return followed;
}

/** Everything up to the first gap that has entries after it; returns where to go on. */
function take(followed: Followed, page: Page): Cursor {
  const [first] = page.gaps;
  const leaves = first !== undefined && first.before < page.entries.length;
  if (!leaves) {
    add(
      followed,
      page.entries,
      page.gaps.map(({ gap }) => gap),
    );
    return page.end;
  }
  add(followed, page.entries.slice(0, first.before), [first.gap]);
  return first.gap.resumeAt;
}

function add(followed: Followed, entries: readonly Entry[], gaps: readonly Gap[]): void {
  followed.entries.push(...entries);
  followed.texts.push(...entries.map(({ data }) => data.toString()));
  followed.gaps.push(...gaps);
  followed.told.push(
    ...gaps.map(({ reason, lost }) => (reason === 'reset' ? reason : `${reason} ${lost ?? '?'}`)),
  );
}

function throughText(cursor: Cursor): Cursor {
  return (
    parseCursor(formatCursor(cursor)) ?? assert.fail(`a cursor of ours is refused: ${formatCursor(cursor)}`)
  );
}
