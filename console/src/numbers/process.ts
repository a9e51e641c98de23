/**
 * One process of the server, as it told of itself: its last readings, and the columns of its charts. Its counts begin with
 * it, so what lies between two of its own readings is a rate, and what lies between those of two processes is nothing.
 */
import { quantile, type Stats } from './stats.ts';

/** Samples kept: five minutes of them. */
export const MAX_SAMPLES = 300;
/** What takes time is told of so many samples together, so that few are not noise. */
const WINDOW = 10;

const COLUMNS = [
  'time',
  'stored',
  'delivered',
  'publishers',
  'subscribers',
  'lagEntries',
  'lagMs',
  'deliveryMedianMs',
  'deliveryHighMs',
  'appendHighMs',
  'loopMs',
] as const;

export type Column = (typeof COLUMNS)[number];

export type Sample = Readonly<Record<Column, number | null>>;

/** All of the same length. */
export type Columns = Readonly<Record<Column, readonly (number | null)[]>>;

export class ServerProcess {
  readonly id: string;
  readonly #samples: Sample[] = [];
  readonly #readings: { readonly turn: number; readonly atMs: number; readonly stats: Stats }[] = [];

  constructor(id: string) {
    this.id = id;
  }

  /** Which of all answers was its last. */
  get turn(): number {
    return this.#readings.at(-1)?.turn ?? 0;
  }

  get stats(): Stats | null {
    return this.#readings.at(-1)?.stats ?? null;
  }

  get now(): Sample | null {
    return this.#samples.at(-1) ?? null;
  }

  /** `turn`: which of all answers it is. */
  take(stats: Stats, turn: number): void {
    this.#readings.push({ turn, atMs: performance.now(), stats });
    if (this.#readings.length > WINDOW + 1) this.#readings.shift();
    this.#samples.push(this.#sampleOf(stats));
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }

  columns(): Columns {
    return columnsOf(this.#samples);
  }

  #sampleOf(stats: Stats): Sample {
    const { lag, process, connections } = stats;
    const countOf = (role: string): number =>
      connections.kinds.filter((kind) => kind.role === role).reduce((sum, kind) => sum + kind.count, 0);
    return {
      time: Date.now() / 1000,
      stored: this.#perSecond(({ manager }) => manager?.stored ?? null),
      delivered: this.#perSecond(deliveredOf),
      publishers: countOf('publisher'),
      subscribers: countOf('subscriber'),
      lagEntries: lag?.worstEntries ?? null,
      lagMs: lag === null ? null : lag.worstSeconds * 1000,
      deliveryMedianMs: this.#took('delivery', 0.5),
      deliveryHighMs: this.#took('delivery', 0.99),
      appendHighMs: this.#took('append', 0.99),
      loopMs: process.loopDelayMaxMs,
    };
  }

  /** Between the last two readings. */
  #perSecond(total: (stats: Stats) => number | null): number | null {
    const [before, after] = this.#readings.slice(-2);
    if (before === undefined || after === undefined) return null;
    const from = total(before.stats);
    const to = total(after.stats);
    return from === null || to === null ? null : ((to - from) / (after.atMs - before.atMs)) * 1000;
  }

  /** In ms. */
  #took(what: 'append' | 'delivery', share: number): number | null {
    const before = this.#readings[0]?.stats.seconds;
    const after = this.#readings.at(-1)?.stats.seconds;
    if (!before || !after) return null;
    const seconds = quantile(before[what], after[what], share);
    return seconds === null ? null : seconds * 1000;
  }
}

export function columnsOf(samples: readonly Sample[]): Columns {
  const columns = COLUMNS.map((name) => [name, samples.map((sample) => sample[name])] as const);
  return Object.fromEntries(columns) as unknown as Columns;
}

function deliveredOf({ broadcaster }: Stats): number | null {
  if (broadcaster === null) return null;
  return Object.values(broadcaster.sent).reduce((sum, { entries }) => sum + entries, 0);
}
