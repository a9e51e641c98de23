/**
 * The numbers of the last minutes, asked for once a second. Behind a proxy one process answers now and another then: those
 * of one are shown at a time, and of the others kept.
 */
import { ask, entry } from '../access.ts';
import { poll, Store } from '../store.ts';
import { type Columns, columnsOf, MAX_SAMPLES, type Sample, ServerProcess } from './process.ts';
import type { Readiness, Stats } from './stats.ts';

const EVERY_MS = 1000;
/** One that gave none of so many answers may be gone, and is left for one that did, unless somebody chose it. */
const AWAY_TURNS = 5;

export interface Seen {
  readonly id: string;
  readonly role: string;
  readonly isAway: boolean;
}

export interface Numbers {
  /** Of the process that is shown, as is all but the readiness. */
  readonly stats: Stats | null;
  readonly readiness: Readiness | null;
  readonly now: Sample | null;
  readonly columns: Columns;
  /** All that answered lately, in the order in which they were met. */
  readonly processes: readonly Seen[];
}

let turn = 0;
const processes = new Map<string, ServerProcess>();
let shown: ServerProcess | null = null;
let isChosen = false;

export const numbers = new Store<Numbers>({
  ...{ stats: null, readiness: null, now: null, processes: [] },
  columns: columnsOf([]),
});

/** Begins asking. */
export function watchServer(): void {
  poll(look, EVERY_MS);
}

/** Shows this process from now on, for as long as it is known. */
export function choose(id: string): void {
  shown = processes.get(id) ?? shown;
  isChosen = true;
  show(numbers.get().readiness);
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
  take(answer.ok);
  show(known);
}

const AWAY: Readiness = { status: 'unavailable', reason: 'the server does not answer', checks: {} };

function take(stats: Stats): void {
  const { id } = stats.process;
  const told = processes.get(id) ?? new ServerProcess(id);
  processes.set(id, told);
  turn += 1;
  told.take(stats, turn);
  for (const one of processes.values()) if (turn - one.turn > MAX_SAMPLES) processes.delete(one.id);
  if (shown === null || !processes.has(shown.id)) isChosen = false;
  if (shown === null || (!isChosen && isAway(shown))) shown = told;
}

function isAway(process: ServerProcess): boolean {
  return turn - process.turn >= AWAY_TURNS;
}

function show(readiness: Readiness | null): void {
  numbers.set({
    readiness,
    stats: shown?.stats ?? null,
    now: shown?.now ?? null,
    columns: shown?.columns() ?? columnsOf([]),
    processes: [...processes.values()].map((process) => ({
      id: process.id,
      role: process.stats?.role ?? '',
      isAway: isAway(process),
    })),
  });
}
