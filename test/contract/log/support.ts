/** What the parts of the log contract share. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { DEFAULT_RETENTION, type Retention } from '../../../src/channels.ts';
import type { Entry, Gap, Log, NewEntry, Page, PageLimits } from '../../../src/log/log.ts';
import type { Cursor } from '../../../src/protocol/cursor.ts';
import { type EntryId, ID_ZERO } from '../../../src/protocol/id.ts';
import type { LogFixture, OpenLog } from './fixture.ts';

export const LIMITS: PageLimits = { maxEntries: 1000, maxBytes: 1024 * 1024 };
export const FROM_ZERO: Cursor = { id: ID_ZERO, epoch: null, ordinal: null };
/** A test that waits for something that never comes fails instead of hanging the run. */
export const WAITS: { readonly timeout: number } = { timeout: 20_000 };

export function openDefault(open: OpenLog, t: TestContext): Promise<LogFixture> {
  return open(t, { retention: () => DEFAULT_RETENTION });
}

export function openKeeping(open: OpenLog, t: TestContext, keep: Partial<Retention>): Promise<LogFixture> {
  return open(t, { retention: () => ({ ...DEFAULT_RETENTION, ...keep }) });
}

export function newChannel(): string {
  return `contract.${randomBytes(6).toString('hex')}`;
}

export function text(data: string): NewEntry {
  return { type: 'text', data: Buffer.from(data) };
}

/** `count` entries with the texts 1, 2, 3 … */
export function numbered(count: number, from = 1): NewEntry[] {
  return Array.from({ length: count }, (_, i) => text(String(from + i)));
}

export async function appendIds(log: Log, channel: string, entries: readonly NewEntry[]): Promise<EntryId[]> {
  return (await log.append(channel, entries)).map(({ id }) => id);
}

export function texts(entries: readonly { readonly data: Buffer }[]): string[] {
  return entries.map(({ data }) => data.toString());
}

export interface Reading {
  readonly entries: Entry[];
  readonly gaps: Gap[];
  readonly end: Cursor;
}

/** Reads page after page until there is nothing newer. */
export async function readAll(
  log: Log,
  channel: string,
  after: Cursor,
  limits: PageLimits = LIMITS,
): Promise<Reading> {
  const entries: Entry[] = [];
  const gaps: Gap[] = [];
  let end = after;
  for (;;) {
    const page = await log.read(channel, end, limits);
    if (page.entries.length === 0 && page.gaps.length === 0) return { entries, gaps, end };
    entries.push(...page.entries);
    gaps.push(...page.gaps.map(({ gap }) => gap));
    end = page.end;
  }
}

/** The cursor right after the entry `id`, as a page of one entry gives it. */
export async function cursorAfter(log: Log, channel: string, id: EntryId): Promise<Cursor> {
  const { entries } = await readAll(log, channel, FROM_ZERO);
  const entry = entries.find((candidate) => candidate.id === id);
  assert.ok(entry !== undefined, `${id} is kept`);
  const { epoch } = await log.bounds(channel);
  return { id, epoch, ordinal: entry.ordinal };
}

/** Lets at least `ms` pass on the clock that ids are made of. */
export async function passTime(fixture: LogFixture, ms: number): Promise<void> {
  if (fixture.clock !== undefined) {
    fixture.clock.advance(ms);
    return;
  }
  const until = Date.now() + ms;
  while (Date.now() <= until) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** The only gap in the page, which lies before its first entry. */
export function onlyGap(page: Page): Gap {
  const [first, ...others] = page.gaps;
  assert.ok(first !== undefined && others.length === 0, `one gap, not ${page.gaps.length}`);
  assert.equal(first.before, 0);
  return first.gap;
}
