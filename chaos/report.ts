/** What a run did and found, in words; and whether it did enough to prove anything. */
import type { Outcome } from './chaos.ts';
import type { Tally } from './tally.ts';

/** Of what there are so many, a few tell as much. */
const MOST_ACCOUNTS = 30;

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

export function report({ tally, violations, folder }: Outcome, quiet: readonly string[]): string {
  const counts = tally.entries().map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`);
  const accounts = violations.slice(0, MOST_ACCOUNTS).map(({ fault, account }) => `${fault}: ${account}`);
  const more = violations.length - accounts.length;
  const found = (fault: string): number => violations.filter((violation) => violation.fault === fault).length;
  const faults = ['lost', 'duplicated', 'out of order', 'unexplained gap', 'foreign', 'misbehaved'];
  return [
    'What was done, and seen:',
    ...counts,
    '',
    ...accounts,
    ...(more > 0 ? [`and ${more} more`] : []),
    ...quiet,
    ...(folder === null ? [] : [`The logs of all processes: ${folder}`]),
    faults.map((fault) => `${fault} ${found(fault)}`).join(', '),
  ].join('\n');
}
