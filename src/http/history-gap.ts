/** What is said of a gap in a history, and when it is a refusal. */
import type { Gap } from '../log/log.ts';
import { formatCursor } from '../protocol/cursor.ts';
import type { Problem } from './problem.ts';

/** Deleting an entry is somebody's intent: that is told, and nobody is refused for it. */
export function isRefused({ reason }: Gap, onGap: 'fail' | 'skip'): boolean {
  return onGap === 'fail' && reason !== 'deleted';
}

export function gapJson(gap: Gap | null): string {
  if (gap === null) return 'null';
  const { requested, floor, lost, reason, resumeAt } = gap;
  return JSON.stringify({
    requested: formatCursor(requested),
    floor,
    lost,
    reason,
    cursor: formatCursor(resumeAt),
  });
}

/** The same members as an upgrade that is refused has. */
export function gapProblem({ reason, lost, floor, resumeAt }: Gap): Problem {
  const extra = { reason, lost, floor, cursor: formatCursor(resumeAt) };
  return { code: 'gap', detail: 'entries after this position are gone; go on with after=<cursor>', extra };
}
