/** What a door over HTTP says of a gap, and when it is a refusal. */
import type { Gap } from '../log/log.ts';
import { formatCursor } from '../protocol/cursor.ts';
import { gapMembers } from '../protocol/gap-json.ts';
import type { Problem } from './problem.ts';

/** Deleting an entry is somebody's intent: that is told, and nobody is refused for it. */
export function isRefused({ reason }: Gap, onGap: 'fail' | 'skip'): boolean {
  return onGap === 'fail' && reason !== 'deleted';
}

export function gapJson(gap: Gap | null): string {
  return JSON.stringify(gap === null ? null : gapMembers(gap));
}

/** A request or an upgrade is refused for it. Without `on_gap=skip` the next one could be, for what went meanwhile. */
export function gapProblem({ reason, lost, floor, resumeAt }: Gap): Problem {
  const extra = { reason, lost, floor, cursor: formatCursor(resumeAt) };
  const detail = 'entries after this position are gone; go on with after=<cursor>&on_gap=skip';
  return { code: 'gap', detail, extra };
}
