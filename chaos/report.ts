/** What a run did and found, in words; and whether it did enough to prove anything. */
import type { Outcome } from './chaos.ts';
import type { Tally } from './tally.ts';

/** Of what there are so many, a few tell as much. */
const MOST_ACCOUNTS = 25;

export interface Demand {
  readonly what: string;
  readonly least: number;
  readonly count: (tally: Tally) => number;
}

/** What a run of that length must have done at least. A short one has done each thing once. */
export function demands(store: 'embedded' | 'redis', ms: number): readonly Demand[] {
  const minutes = ms / 60_000;
  const of =
    (name: string) =>
    (tally: Tally): number =>
      tally.of(name);
  const often = (least: number): number => Math.max(1, Math.floor(least * minutes));
  const both = [
    { what: 'kills', least: often(6), count: (tally: Tally) => tally.sum('kills of') },
    { what: 'messages acknowledged', least: Math.floor(9000 * minutes), count: of('acknowledged') },
    { what: 'retries', least: often(30), count: of('retries') },
    { what: 'duplicates suppressed', least: often(10), count: of('duplicates suppressed') },
    { what: 'resumes', least: often(30), count: of('resumes') },
  ];
  if (store === 'embedded') return both;
  return [...both, { what: 'failovers', least: often(0.5), count: of('failovers') }];
}

export function tooQuiet(tally: Tally, wanted: readonly Demand[]): readonly string[] {
  return wanted
    .filter(({ count, least }) => count(tally) < least)
    .map(({ what, count, least }) => `too quiet: ${count(tally)} ${what}, and it takes ${least}`);
}

/** Each violation in words, those first that say more. */
export function accounts(violations: Outcome['violations']): readonly string[] {
  return violations
    .toSorted((a, b) => Number(b.account.includes('\n')) - Number(a.account.includes('\n')))
    .map(({ fault, account }) => `${fault}: ${account}`);
}

export function report({ tally, violations, folder }: Outcome, quiet: readonly string[]): string {
  const counts = tally.entries().map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`);
  const told = accounts(violations);
  const more = told.length - MOST_ACCOUNTS;
  const found = (fault: string): number => violations.filter((violation) => violation.fault === fault).length;
  const faults = ['lost', 'duplicated', 'out of order', 'unexplained gap', 'foreign', 'misbehaved'];
  return [
    'What was done, and seen:',
    ...counts,
    '',
    ...told.slice(0, MOST_ACCOUNTS),
    ...(more > 0 ? [`and ${more} more, all of them in violations.txt beside the logs`] : []),
    ...quiet,
    ...(folder === null ? [] : [`The logs of all processes: ${folder}`]),
    faults.map((fault) => `${fault} ${found(fault)}`).join(', '),
  ].join('\n');
}
