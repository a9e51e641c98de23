/**
 * Judges a run: each acknowledged message was received once, in order, by every subscriber from where it
 * started, or lies in a gap it was told, which is as large as what is missing. Each story is walked along the
 * truth (walk.ts); what concerns the log alone is looked at here.
 */
import { compareIds } from '../src/protocol/id.ts';
import type { Book } from './book.ts';
import { nameOf } from './message.ts';
import type { Story } from './story.ts';
import { type LogEntry, Truth } from './truth.ts';
import type { Fault, Violation } from './violation.ts';
import { MOST_TOLD, Walk } from './walk.ts';

export interface Evidence {
  readonly book: Book;
  /** All that the channel holds at the end. */
  readonly log: readonly LogEntry[];
  readonly stories: readonly Story[];
  /** Whether a failover may lose what was acknowledged. */
  readonly mayLose: boolean;
  /** Whether the log may be told to have lost its newest entries, acknowledged or not. */
  readonly mayReset: boolean;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  /** Acknowledged, lost by the log, and told to everybody who was owed them. */
  readonly lostAndTold: number;
  /** Entries that some were sent, or publishers told of, and that the log lost. */
  readonly void: number;
}

export function judge(evidence: Evidence): Verdict {
  const { book, log, stories } = evidence;
  const truth = new Truth(log, book);
  const violations: Violation[] = [];
  const found = (fault: Fault, account: string): void => {
    if (violations.length < MOST_TOLD) violations.push({ fault, account: `${book.channel}: ${account}` });
  };
  judgeLog(log, found);
  judgeCopies(truth, found);
  const lost = truth.lostAcks(book);
  if (!evidence.mayLose) {
    for (const { rank } of lost)
      found('lost', `${truth.describe(rank)} was acknowledged and is not in the log`);
  }
  for (const story of stories) violations.push(...new Walk(story, truth, evidence.mayReset).judge(lost));
  const isVoid = truth.entries.filter(({ fate }) => fate === 'void').length;
  return { violations, lostAndTold: lost.length, void: isVoid };
}

function judgeLog(log: readonly LogEntry[], found: (fault: Fault, account: string) => void): void {
  for (let i = 1; i < log.length; i++) {
    const [before, entry] = [log[i - 1] as LogEntry, log[i] as LogEntry];
    if (compareIds(before.id, entry.id) < 0) continue;
    found('out of order', `the log has ${nameOf(entry.code)} as ${entry.id} after ${before.id}`);
  }
}

/** A message is stored once; a further copy is one that the log lost. */
function judgeCopies(truth: Truth, found: (fault: Fault, account: string) => void): void {
  for (const code of truth.codes()) {
    const owed = truth.copiesOf(code).filter((rank) => truth.isOwed(rank));
    if (owed.length < 2) continue;
    found('duplicated', `stored twice: ${owed.map((rank) => truth.describe(rank)).join(' and ')}`);
  }
}
