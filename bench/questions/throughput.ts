/**
 * How many deliveries a second, when the publisher sends as fast as the log takes messages?
 *
 * Redis takes messages several hundred times faster than anything sends each of them to 1,000 sockets, so the
 * log runs ahead at once and the rest is the fan-out at its limit. Every cell (so many subscribers, messages of
 * such a size) moves about the same number of bytes; slow servers get fewer messages, or one run would take half
 * an hour: their rate does not depend on the number. The cells with a verdict are repeated, those of the matrix
 * around them run once, and only for the fast.
 */
import { type Answer, type Bench, median, percent, short, times, type Verdict } from '../answer.ts';
import type { Chart } from '../chart.ts';
import { type Cell, type Saturated, saturate, saturateFloor } from '../measure.ts';
import { natsTarget, PEERS } from '../peers/index.ts';
import { baseline, RIVERCAST_ROWS, rivercast, type Target } from '../targets.ts';

const MESSAGE_BYTES = 128;
const SUBSCRIBERS = [100, 1000, 5000];
const SIZES = [16, 128, 1024, 16 * 1024];
const MUST_BASELINE = 50;
/** Against NATS, by subscribers. */
const MUST_NATS: Readonly<Record<number, number>> = { 100: 1.3, 1000: 2.5 };

const FLOOR_WRITE_BYTES: number = 256 * 1024;
const SMALL_WRITE_BYTES: number = 16 * 1024;
const FLOOR = 'floor, 256 KiB writes';
const SMALL_FLOOR = 'floor, 16 KiB writes';

/** What a cell moves in all; the envelope of a message counts too. */
const CELL_BYTES = 8e9;
const ENVELOPE_BYTES = 40;
/** Above this the log is the limit, not the fan-out. */
const MAX_MESSAGES = 400_000;
const SLOW_SECONDS = 4;
const QUICK_SHARE = 0.25;

/** Name to runs. */
type Runs = Record<string, Saturated[]>;

interface Shape {
  readonly subscribers: number;
  readonly bytes: number;
}

function cellOf(shape: Shape, expected: number, share: number): Cell {
  const moved = (CELL_BYTES * share) / (shape.subscribers * (shape.bytes + ENVELOPE_BYTES));
  const expectable = (expected * SLOW_SECONDS * share) / shape.subscribers;
  const messages = Math.max(20, Math.round(Math.min(moved, expectable, MAX_MESSAGES * share)));
  return { ...shape, messages };
}

class Matrix {
  readonly #bench: Bench;
  readonly #runs: Map<string, Runs> = new Map();

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  runs(shape: Shape): Runs {
    return this.#runs.get(keyOf(shape)) ?? {};
  }

  async take(shape: Shape, target: Target): Promise<void> {
    await this.#take(shape, target.name, () => saturate(target, cellOf(shape, target.expected, this.#share)));
  }

  async takeFloor(shape: Shape, name: string, writeBytes: number): Promise<void> {
    await this.#take(shape, name, () =>
      saturateFloor(cellOf(shape, rivercast.expected, this.#share), writeBytes),
    );
  }

  get #share(): number {
    return this.#bench.quick ? QUICK_SHARE : 1;
  }

  async #take(shape: Shape, name: string, measure: () => Promise<Saturated>): Promise<void> {
    const runs = this.runs(shape);
    this.#runs.set(keyOf(shape), runs);
    const run = await measure();
    (runs[name] ??= []).push(run);
    const wrong = run.wrong === null ? '' : `, ${run.wrong}`;
    this.#bench.say(`  ${keyOf(shape)}: ${name}: ${short(run.perSecond)} deliveries/s${wrong}`);
  }

  rate(shape: Shape, name: string): number {
    return median((this.runs(shape)[name] ?? []).map((run) => run.perSecond));
  }

  wrong(): string[] {
    return [...this.#runs].flatMap(([key, runs]) =>
      Object.entries(runs).flatMap(([name, list]) =>
        list.flatMap((run) => (run.wrong === null ? [] : [`${key}: ${name}: ${run.wrong}`])),
      ),
    );
  }

  figures(): Record<string, readonly number[]> {
    return Object.fromEntries(
      [...this.#runs].flatMap(([key, runs]) =>
        Object.entries(runs).map(([name, list]) => [`${key}: ${name}`, list.map((run) => run.perSecond)]),
      ),
    );
  }
}

function keyOf({ subscribers, bytes }: Shape): string {
  return `${subscribers} × ${bytes} B`;
}

function isMain({ subscribers, bytes }: Shape): boolean {
  return bytes === MESSAGE_BYTES && subscribers in MUST_NATS;
}

const SHAPES: readonly Shape[] = SUBSCRIBERS.flatMap((subscribers) =>
  SIZES.map((bytes) => ({ subscribers, bytes })),
);
const MAIN = { subscribers: 1000, bytes: MESSAGE_BYTES };
const FAST: readonly Target[] = natsTarget === null ? [rivercast] : [rivercast, natsTarget];

export async function throughput(bench: Bench): Promise<Answer> {
  const repeats = bench.quick ? 1 : 3;
  const matrix = new Matrix(bench);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const shape of SHAPES.filter(isMain)) {
      for (const target of FAST) await matrix.take(shape, target);
      for (const door of RIVERCAST_ROWS) await matrix.take(shape, door);
      await matrix.take(shape, baseline);
      await matrix.takeFloor(shape, FLOOR, FLOOR_WRITE_BYTES);
    }
    for (const peer of PEERS) if (!FAST.includes(peer)) await matrix.take(MAIN, peer);
    await matrix.takeFloor(MAIN, SMALL_FLOOR, SMALL_WRITE_BYTES);
  }
  for (const shape of SHAPES.filter((one) => !isMain(one))) {
    for (const target of FAST) await matrix.take(shape, target);
    await matrix.takeFloor(shape, FLOOR, FLOOR_WRITE_BYTES);
  }
  return answerOf(matrix, repeats);
}

function answerOf(matrix: Matrix, repeats: number): Answer {
  return {
    question: 'throughput',
    title: 'Saturated: as fast as it goes, on Redis',
    head: [
      'subscribers',
      'message',
      'server',
      'deliveries/s',
      'of Rivercast',
      'server CPU',
      'Redis CPU',
      'load CPU',
    ],
    rows: SHAPES.flatMap((shape) => rowsOf(matrix, shape)),
    verdicts: verdictsOf(matrix),
    notes: [
      `Cells of ${MESSAGE_BYTES} B with ${Object.keys(MUST_NATS).join(' and ')} subscribers: median of ${repeats} interleaved runs; all others one run.`,
      'Time runs from the first byte published to the last message at the slowest subscriber.',
      'NATS core stores nothing and drops for a slow subscriber: its publisher is held back by what its slowest one has, with a window that suits it.',
      'A load CPU near 100 % means that the generator limits that row: the server could do more.',
    ],
    charts: [crowdChart(matrix), natsChart(matrix)].filter((chart) => chart.groups.length > 0),
    losses: lossesOf(matrix),
    figures: matrix.figures(),
  };
}

function crowdChart(matrix: Matrix): Chart {
  const bars = Object.keys(matrix.runs(MAIN)).map((label) => {
    const value = matrix.rate(MAIN, label);
    return { label, value, text: short(value) };
  });
  return {
    file: 'throughput',
    title: `Saturated: ${MAIN.subscribers} subscribers, ${MAIN.bytes} B`,
    axis: 'deliveries a second; longer is better',
    groups: [{ label: '', bars: bars.toSorted((left, right) => right.value - left.value) }],
  };
}

function natsChart(matrix: Matrix): Chart {
  const { name: nats = '' } = natsTarget ?? {};
  const bars = (subscribers: number) =>
    SIZES.map((bytes) => {
      const value =
        matrix.rate({ subscribers, bytes }, rivercast.name) / matrix.rate({ subscribers, bytes }, nats);
      return { label: `${bytes} B`, value, text: times(value) };
    });
  return {
    file: 'throughput-nats',
    title: 'Rivercast against NATS core, which stores nothing',
    axis: 'times the deliveries a second of NATS',
    groups:
      nats === ''
        ? []
        : SUBSCRIBERS.map((subscribers) => ({
            label: `${subscribers} subscribers`,
            bars: bars(subscribers),
          })),
  };
}

function lossesOf(matrix: Matrix): string[] {
  return SHAPES.flatMap((shape) =>
    Object.keys(matrix.runs(shape))
      .filter((name) => !name.startsWith('Rivercast') && !name.startsWith('floor'))
      .filter((name) => matrix.rate(shape, name) > matrix.rate(shape, rivercast.name))
      .map((name) => {
        const ratio = times(matrix.rate(shape, name) / matrix.rate(shape, rivercast.name));
        return `${name} delivers ${ratio} as much to ${shape.subscribers} subscribers at ${shape.bytes} B.`;
      }),
  );
}

function rowsOf(matrix: Matrix, shape: Shape): string[][] {
  const own = matrix.rate(shape, rivercast.name);
  return Object.entries(matrix.runs(shape)).map(([name, list]) => {
    const busy = (pick: (run: Saturated) => number) => percent(median(list.map(pick)));
    const noRedis = name.startsWith('floor') || name === natsTarget?.name;
    return [
      `${shape.subscribers}`,
      `${shape.bytes} B`,
      name,
      short(matrix.rate(shape, name)),
      percent(matrix.rate(shape, name) / own),
      busy((run) => run.serverBusy),
      noRedis ? '' : busy((run) => run.redisBusy),
      busy((run) => run.loadBusy),
    ];
  });
}

function verdictsOf(matrix: Matrix): Verdict[] {
  const wrong = matrix.wrong();
  const ratio = (shape: Shape, to: string, must: number): Verdict => {
    const measured = matrix.rate(shape, rivercast.name) / matrix.rate(shape, to);
    return {
      must: `${shape.subscribers} subscribers, ${shape.bytes} B: at least ${must} times ${to}`,
      measured: times(measured),
      pass: measured >= must,
    };
  };
  const { name: nats } = natsTarget ?? {};
  return [
    ratio(MAIN, baseline.name, MUST_BASELINE),
    ...(nats === undefined
      ? []
      : SHAPES.filter(isMain).map((shape) => ratio(shape, nats, MUST_NATS[shape.subscribers] ?? 1))),
    {
      must: 'every subscriber has every message, once, in order',
      measured: wrong.length === 0 ? 'yes, each sequence number checked' : wrong.join('; '),
      pass: wrong.length === 0,
    },
  ];
}
