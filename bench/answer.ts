/** What a question answers: a table, figures by name, and a verdict on each thing that must hold. */

import type { Chart } from './chart.ts';

export interface Verdict {
  readonly must: string;
  readonly measured: string;
  readonly pass: boolean;
}

export interface Answer {
  readonly question: string;
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly verdicts: readonly Verdict[];
  readonly notes: readonly string[];
  readonly charts?: readonly Chart[];
  /** Where somebody else does better, whether or not it must not be so. */
  readonly losses?: readonly string[];
  readonly figures: Readonly<Record<string, number | readonly number[]>>;
}

export interface Bench {
  /** Fewer repeats and messages: to see that everything works, not to quote. */
  readonly quick: boolean;
  say(line: string): void;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** `1234567` as `1.23 M`. */
export function short(value: number): string {
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (Math.abs(value) >= 1e4) return `${(value / 1e3).toFixed(0)} k`;
  return value.toFixed(value < 10 ? 2 : 0);
}

export function times(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)}×`;
}

export function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(0)} %`;
}
