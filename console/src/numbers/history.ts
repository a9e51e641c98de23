/** The numbers of the last minutes, asked for once a second: the columns of the charts, all of the same length. */
import { ask, entry } from '../access.ts';
import { poll, Store } from '../store.ts';
import { quantile, type Readiness, type Stats } from './stats.ts';

/** Samples kept: five minutes of them. */
const MAX_SAMPLES = 300;
const EVERY_MS = 1000;
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

export interface Numbers {
  readonly stats: Stats | null;
  readonly readiness: Readiness | null;
  readonly now: Sample | null;
  readonly columns: Readonly<Record<Column, readonly (number | null)[]>>;
}

const samples: Sample[] = [];
const readings: { readonly atMs: number; readonly stats: Stats }[] = [];

export const numbers = new Store<Numbers>({ stats: null, readiness: null, now: null, columns: columnsOf() });

/** Begins asking. */
export function watchServer(): void {
  poll(look, EVERY_MS);
}

async function look(): Promise<void> {
  const { at } = entry.get();
  if (at !== 'inside') return;
  const readiness = await ask<Readiness>('/readyz', [503]);
  const known = 'ok' in readiness && 'checks' in readiness.ok ? readiness.ok : AWAY;
  const state = entry.get();
  const answer = state.at === 'inside' && state.seesServer ? await ask<Stats>('/api/stats') : null;
  if (answer === null || !('ok' in answer)) {
    numbers.set({ ...numbers.get(), readiness: known });
    return;
  }
  take(answer.ok, known);
}

const AWAY: Readiness = { status: 'unavailable', reason: 'the server does not answer', checks: {} };

function take(stats: Stats, readiness: Readiness): void {
  const atMs = performance.now();
  // It was started anew: its counts begin again.
  if ((readings.at(-1)?.stats.uptimeSeconds ?? 0) > stats.uptimeSeconds) readings.length = 0;
  readings.push({ atMs, stats });
  if (readings.length > WINDOW + 1) readings.shift();
  samples.push(sampleOf(stats));
  if (samples.length > MAX_SAMPLES) samples.shift();
  numbers.set({ stats, readiness, now: samples.at(-1) ?? null, columns: columnsOf() });
}

function sampleOf(stats: Stats): Sample {
  const { lag, process, connections } = stats;
  const countOf = (role: string): number =>
    connections.kinds.filter((kind) => kind.role === role).reduce((sum, kind) => sum + kind.count, 0);
  return {
    time: Date.now() / 1000,
    stored: perSecond(({ manager }) => manager?.stored ?? null),
    delivered: perSecond(deliveredOf),
    publishers: countOf('publisher'),
    subscribers: countOf('subscriber'),
    lagEntries: lag?.worstEntries ?? null,
    lagMs: lag === null ? null : lag.worstSeconds * 1000,
    deliveryMedianMs: took('delivery', 0.5),
    deliveryHighMs: took('delivery', 0.99),
    appendHighMs: took('append', 0.99),
    loopMs: process.loopDelayMaxMs,
  };
}

function deliveredOf({ broadcaster }: Stats): number | null {
  if (broadcaster === null) return null;
  return Object.values(broadcaster.sent).reduce((sum, { entries }) => sum + entries, 0);
}

/** Between the last two readings. */
function perSecond(total: (stats: Stats) => number | null): number | null {
  const [before, after] = readings.slice(-2);
  if (before === undefined || after === undefined) return null;
  const from = total(before.stats);
  const to = total(after.stats);
  return from === null || to === null ? null : ((to - from) / (after.atMs - before.atMs)) * 1000;
}

/** In ms. */
function took(what: 'append' | 'delivery', share: number): number | null {
  const before = readings[0]?.stats.seconds;
  const after = readings.at(-1)?.stats.seconds;
  if (!before || !after) return null;
  const seconds = quantile(before[what], after[what], share);
  return seconds === null ? null : seconds * 1000;
}

function columnsOf(): Numbers['columns'] {
  const columns = COLUMNS.map((name) => [name, samples.map((sample) => sample[name])] as const);
  return Object.fromEntries(columns) as unknown as Numbers['columns'];
}
