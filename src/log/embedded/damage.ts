/**
 * Entries whose bytes no longer match their checksum. A read puts a blank in the place of each, so that the
 * gap rules see an unbroken chain, and takes the blanks out again here, telling a gap for each run of them.
 */
import type { Cursor } from '../../protocol/cursor.ts';
import type { EntryId } from '../../protocol/id.ts';
import type { Entry, Gap, Page, PageGap } from '../log.ts';

export function blank(id: EntryId, prev: EntryId | null, ordinal: number | null): Entry {
  return { id, type: 'binary', data: Buffer.alloc(0), prev, ordinal };
}

/** The page without its blanks. Each is exactly one entry, so the count lost is exact. */
export function tellDamage(
  page: Page,
  after: Cursor,
  damaged: ReadonlySet<EntryId>,
  floor: EntryId | null,
): Page {
  const entries: Entry[] = [];
  const gaps: PageGap[] = [];
  const told = [...page.gaps];
  const tell = (gap: Gap): number => gaps.push({ before: entries.length, gap });
  let position = after;
  let runStart = after;
  let lost = 0;
  const endRun = (): void => {
    if (lost > 0) tell({ reason: 'damaged', requested: runStart, floor, lost, resumeAt: position });
    lost = 0;
  };
  for (const [i, entry] of page.entries.entries()) {
    if (told[0]?.before === i) {
      const { gap } = told.shift() as PageGap;
      endRun();
      tell(gap);
      position = gap.resumeAt;
    }
    if (damaged.has(entry.id)) {
      if (lost === 0) runStart = position;
      lost += 1;
    } else {
      endRun();
      entries.push(entry);
    }
    position = { id: entry.id, epoch: page.epoch, ordinal: entry.ordinal };
  }
  endRun();
  for (const { gap } of told) tell(gap);
  return { ...page, entries, gaps };
}
