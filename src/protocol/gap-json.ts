/** What is said of a gap, the same at every door that can say it. */
import { type Cursor, formatCursor } from './cursor.ts';
import type { EntryId } from './id.ts';

/** Entries after `requested` that are gone; delivery goes on after `resumeAt`. */
export interface ToldGap {
  readonly reason: string;
  readonly requested: Cursor;
  readonly floor: EntryId | null;
  readonly lost: number | null;
  readonly resumeAt: Cursor;
}

export interface GapMembers {
  readonly epoch: string | null;
  readonly requested: string;
  readonly floor: EntryId | null;
  readonly lost: number | null;
  readonly reason: string;
  readonly cursor: string;
}

/** The members of a gap message. `epoch` is that of the history in which delivery goes on. */
export function gapMembers({ reason, requested, floor, lost, resumeAt }: ToldGap): GapMembers {
  return {
    epoch: resumeAt.epoch,
    requested: formatCursor(requested),
    floor,
    lost,
    reason,
    cursor: formatCursor(resumeAt),
  };
}
