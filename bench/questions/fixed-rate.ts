/**
 * What does a delivery cost, and how late is it, at rates far below any limit?
 *
 * Batching makes a saturated server fast and tempts it to wait for more; at 50 messages a second there is
 * nothing to batch, so each delivery is one write and the question is whether the design pays anything on top
 * of that. CPU is what the server process used from the first message due to the last one received, timers
 * and idle work included. Latency counts from the moment a message was due. The floor has neither publisher
 * nor log: its latency is that of the write loop alone.
 */
import { type Answer, type Bench, median, times, type Verdict } from '../answer.ts';
import type { Chart } from '../chart.ts';
import { type Pace, type Paced, pace, paceFloor } from '../measure.ts';
import { natsTarget, PEERS } from '../peers/index.ts';
import { baseline, RIVERCAST_ROWS, rivercast, type Target } from '../targets.ts';

const MESSAGE_BYTES = 128;
const FLOOR = 'floor';
const MUST_CPU = 1.35;
const AIM_CPU = 1.2;
const MUST_LATENCY = 1.5;

interface Cell {
  readonly perSecond: number;
  readonly subscribers: number;
  readonly seconds: number;
  /** Those with a verdict on them take part in every repeat; `others` in the first only. */
  readonly repeats: number;
  readonly always: readonly Target[];
  readonly others: readonly Target[];
  /** Whether the floor takes part in every repeat too. */
  readonly floor: 'always' | 'once';
}

const NATS: readonly Target[] = natsTarget === null ? [] : [natsTarget];
const REST: readonly Target[] = [baseline, ...PEERS];
const QUIET: Cell = {
  perSecond: 50,
  subscribers: 1000,
  seconds: 8,
  repeats: 3,
  always: [rivercast],
  others: [...RIVERCAST_ROWS, ...REST],
  floor: 'always',
};
const STEADY: Cell = {
  perSecond: 300,
  subscribers: 100,
  seconds: 5,
  repeats: 5,
  always: [rivercast, ...NATS],
  others: [],
  floor: 'once',
};
const SINGLE = { subscribers: 100, seconds: 5, repeats: 1, always: [rivercast], floor: 'once' } as const;
const CELLS: readonly Cell[] = [
  QUIET,
  STEADY,
  { ...SINGLE, perSecond: 1000, others: REST },
  { ...SINGLE, perSecond: 10_000, others: NATS },
];
const QUICK_SECONDS = 3;

type Runs = Record<string, Paced[]>;

export async function fixedRate(bench: Bench): Promise<Answer> {
  const runs: [Cell, Runs][] = [];
  for (const cell of CELLS) runs.push([cell, await takeCell(bench, cell)]);
  return answerOf(runs);
}

async function takeCell(bench: Bench, cell: Cell): Promise<Runs> {
  const { perSecond, subscribers, seconds } = cell;
  const ask: Pace = {
    perSecond,
    subscribers,
    bytes: MESSAGE_BYTES,
    seconds: bench.quick ? QUICK_SECONDS : seconds,
  };
  const runs: Runs = {};
  const note = (name: string, run: Paced) => {
    (runs[name] ??= []).push(run);
    const latency = `p50 ${run.p50Ms.toFixed(2)} ms, p99 ${run.p99Ms.toFixed(2)} ms`;
    bench.say(
      `  ${perSecond}/s × ${subscribers}: ${name}: ${run.cpuUsPerDelivery.toFixed(2)} µs CPU a delivery, ${latency}`,
    );
  };
  const repeats = bench.quick ? 1 : cell.repeats;
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const target of cell.always) note(target.name, await pace(target, ask));
    if (repeat === 0 || cell.floor === 'always') note(FLOOR, await paceFloor(ask));
    if (repeat > 0) continue;
    for (const target of cell.others) note(target.name, await pace(target, ask));
  }
  return runs;
}

function of(runs: Runs, name: string, pick: (run: Paced) => number): number {
  return median((runs[name] ?? []).map(pick));
}

function rowsOf([{ perSecond, subscribers }, runs]: readonly [Cell, Runs]): string[][] {
  const cpu = (name: string) => of(runs, name, (run) => run.cpuUsPerDelivery);
  const ms = (name: string, pick: (run: Paced) => number) => `${of(runs, name, pick).toFixed(2)} ms`;
  return Object.entries(runs).map(([name, list]) => [
    `${perSecond}/s × ${subscribers}`,
    name,
    `${cpu(name).toFixed(2)} µs`,
    times(cpu(name) / cpu(FLOOR)),
    `${of(runs, name, (run) => run.redisUsPerDelivery).toFixed(3)} µs`,
    ms(name, (run) => run.p50Ms),
    ms(name, (run) => run.p99Ms),
    ms(name, (run) => run.maxMs),
    `${list.length}`,
  ]);
}

function answerOf(runs: readonly (readonly [Cell, Runs])[]): Answer {
  const lateMs = runs.map(([{ perSecond }, cell]) => {
    const late = of(cell, rivercast.name, (run) => run.maxLateMs);
    return `${late.toFixed(1)} ms at ${perSecond}/s`;
  });
  return {
    question: 'fixed-rate',
    title: `Fixed rates of ${MESSAGE_BYTES} B, on Redis`,
    head: [
      'load',
      'server',
      'server CPU a delivery',
      'against the floor',
      'Redis CPU a delivery',
      'p50',
      'p99',
      'max',
      'runs',
    ],
    rows: runs.flatMap(rowsOf),
    verdicts: verdictsOf(runs),
    notes: [
      'Load: messages a second × subscribers. Latency counts from the moment a message was due; the floor has neither publisher nor log.',
      `The publisher's latest message left after its time by ${lateMs.join(', ')} (median run of Rivercast).`,
    ],
    charts: [cpuChart(runs), latencyChart(runs)],
    losses: runs.flatMap(lossesOf),
    figures: figuresOf(runs),
  };
}

type Rows = readonly (readonly [Cell, Runs])[];

function chartOf(
  runs: Rows,
  chart: Omit<Chart, 'groups'>,
  pick: (run: Paced) => number,
  unit: string,
): Chart {
  const groups = runs.map(([{ perSecond, subscribers }, cell]) => ({
    label: `${perSecond} a second to ${subscribers}`,
    bars: Object.keys(cell).map((label) => {
      const value = of(cell, label, pick);
      return { label, value, text: `${value.toFixed(2)} ${unit}` };
    }),
  }));
  return { ...chart, groups };
}

function cpuChart(runs: Rows): Chart {
  const chart = {
    file: 'cpu',
    title: 'CPU of the server a delivery',
    axis: 'microseconds; shorter is better',
  };
  return chartOf(runs, chart, (run) => run.cpuUsPerDelivery, 'µs');
}

function latencyChart(runs: Rows): Chart {
  const axis = 'milliseconds from when a message was due, logarithmic; shorter is better';
  const chart = { file: 'latency', title: 'Latency at fixed rates, p99', axis, logarithmic: true };
  return chartOf(runs, chart, (run) => run.p99Ms, 'ms');
}

function lossesOf([{ perSecond, subscribers }, runs]: readonly [Cell, Runs]): string[] {
  const compared: readonly [string, string, (run: Paced) => number][] = [
    ['CPU a delivery', 'µs', (run) => run.cpuUsPerDelivery],
    ['p50', 'ms', (run) => run.p50Ms],
    ['p99', 'ms', (run) => run.p99Ms],
  ];
  return compared.flatMap(([what, unit, pick]) => {
    const own = of(runs, rivercast.name, pick);
    const better = Object.keys(runs)
      .filter((name) => !name.startsWith('Rivercast') && name !== FLOOR && of(runs, name, pick) < own)
      .map((name) => `${name} ${of(runs, name, pick).toFixed(2)} ${unit}`);
    if (better.length === 0) return [];
    return [
      `${perSecond}/s to ${subscribers}, ${what}: ${own.toFixed(2)} ${unit} against ${better.join(', ')}.`,
    ];
  });
}

function verdictsOf(runs: readonly (readonly [Cell, Runs])[]): Verdict[] {
  const find = (cell: Cell) => runs.find(([one]) => one === cell)?.[1] ?? {};
  const quiet = find(QUIET);
  const cpu = (name: string) => of(quiet, name, (run) => run.cpuUsPerDelivery);
  const cost = cpu(rivercast.name) / cpu(FLOOR);
  const wrong = runs.flatMap(([, cell]) =>
    Object.entries(cell).flatMap(([name, list]) =>
      list.flatMap((run) => (run.wrong === null ? [] : [`${name}: ${run.wrong}`])),
    ),
  );
  return [
    {
      must: `${QUIET.perSecond}/s to ${QUIET.subscribers}: CPU a delivery at most ${MUST_CPU} times the floor's (aim ${AIM_CPU})`,
      measured: `${times(cost)} (${baseline.name}: ${times(cpu(baseline.name) / cpu(FLOOR))})`,
      pass: cost <= MUST_CPU,
    },
    ...NATS.flatMap(({ name }) => latencyVerdicts(find(STEADY), name)),
    {
      must: 'every subscriber has every message, once, in order',
      measured: wrong.length === 0 ? 'yes, each sequence number checked' : wrong.join('; '),
      pass: wrong.length === 0,
    },
  ];
}

function latencyVerdicts(steady: Runs, peer: string): Verdict[] {
  const verdict = (what: string, pick: (run: Paced) => number): Verdict => {
    const own = of(steady, rivercast.name, pick);
    const theirs = of(steady, peer, pick);
    return {
      must: `${STEADY.perSecond}/s to ${STEADY.subscribers}: ${what} at most ${MUST_LATENCY} times that of ${peer}`,
      measured: `${own.toFixed(2)} ms against ${theirs.toFixed(2)} ms, ${times(own / theirs)}`,
      pass: own <= theirs * MUST_LATENCY,
    };
  };
  return [verdict('p50', (run) => run.p50Ms), verdict('p99', (run) => run.p99Ms)];
}

function figuresOf(runs: readonly (readonly [Cell, Runs])[]): Record<string, readonly number[]> {
  return Object.fromEntries(
    runs.flatMap(([{ perSecond, subscribers }, cell]) =>
      Object.entries(cell).flatMap(([name, list]) => {
        const key = `${perSecond}/s × ${subscribers}: ${name}`;
        return [
          [`${key}: CPU µs a delivery`, list.map((run) => run.cpuUsPerDelivery)],
          [`${key}: p50 ms`, list.map((run) => run.p50Ms)],
          [`${key}: p99 ms`, list.map((run) => run.p99Ms)],
        ];
      }),
    ),
  );
}
