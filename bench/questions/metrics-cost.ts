/**
 * What does it cost that the server counts what it does, and is asked for it every second?
 *
 * The same server with its metrics and without, by turns, in pairs: the order within a pair changes from one to the
 * next, and what counts is the median of the ratios of the pairs, since a machine is not equally fast all the time;
 * what a server of a pair costs is the median of rounds, for the same reason. Under load, where a write holds many messages, and at a rate where each delivery is a write of its own.
 */
import { type Answer, type Bench, median, short, times } from '../answer.ts';
import { pace, saturateInRounds } from '../measure.ts';
import { startRivercast, type Target } from '../targets.ts';

/** A round takes more than a second, so that each is asked for its metrics. */
const SATURATED = { subscribers: 1000, bytes: 128, messages: 30_000, warmUp: 50_000, rounds: 7 };
const STEADY = { subscribers: 1000, bytes: 128, perSecond: 100, seconds: 5 };
const PAIRS = 7;
const SCRAPE_MS = 1000;
const MUST = 1.05;

interface Cost {
  readonly saturatedNs: number;
  readonly steadyUs: number;
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly wrong: string | null;
}

interface Pair {
  readonly on: Cost;
  readonly off: Cost;
}

/** Scraped as Prometheus would, more often than it usually does. */
const ON: Target = {
  name: 'with metrics',
  expected: Number.NaN,
  start: async () => {
    const running = await startRivercast({ env: { METRICS: 'on' } });
    const scrape = async (): Promise<void> => {
      await (await fetch(`http://127.0.0.1:${running.subscribe.port}/metrics`)).text();
    };
    // The first one compiles what makes the text: it is paid once in the life of a process, not in each two seconds.
    await scrape();
    const scraping = setInterval(() => {
      scrape().catch(() => undefined);
    }, SCRAPE_MS);
    const stop = async (): Promise<void> => {
      clearInterval(scraping);
      await running.stop();
    };
    return { ...running, stop };
  },
};

const OFF: Target = {
  name: 'without',
  expected: Number.NaN,
  start: () => startRivercast({ env: { METRICS: 'off' } }),
};

async function costOf(target: Target, quick: boolean): Promise<Cost> {
  const saturated = await saturateInRounds(target, { ...SATURATED, rounds: quick ? 1 : SATURATED.rounds });
  const steady = await pace(target, { ...STEADY, seconds: quick ? 2 : STEADY.seconds });
  return {
    saturatedNs: saturated.ns,
    steadyUs: steady.cpuUsPerDelivery,
    perSecond: saturated.perSecond,
    p99Ms: steady.p99Ms,
    wrong: saturated.wrong ?? steady.wrong,
  };
}

async function pairOf(at: number, quick: boolean): Promise<Pair> {
  if (at % 2 === 0) return { on: await costOf(ON, quick), off: await costOf(OFF, quick) };
  const off = await costOf(OFF, quick);
  return { on: await costOf(ON, quick), off };
}

export async function metricsCost(bench: Bench): Promise<Answer> {
  const pairs: Pair[] = [];
  for (let at = 0; at < (bench.quick ? 1 : PAIRS); at++) {
    const { on, off } = await pairOf(at, bench.quick);
    pairs.push({ on, off });
    bench.say(
      `  on ${on.saturatedNs.toFixed(1)} ns, off ${off.saturatedNs.toFixed(1)} ns a delivery saturated; ` +
        `on ${on.steadyUs.toFixed(2)} µs, off ${off.steadyUs.toFixed(2)} µs at ${STEADY.perSecond}/s`,
    );
  }
  return answerOf(pairs);
}

function answerOf(pairs: readonly Pair[]): Answer {
  const ratio = (pick: (cost: Cost) => number): number =>
    median(pairs.map(({ on, off }) => pick(on) / pick(off)));
  const saturated = ratio((cost) => cost.saturatedNs);
  const wrong = pairs.flatMap(({ on, off }) => [on.wrong, off.wrong]).filter((found) => found !== null);
  return {
    question: 'metrics-cost',
    title: 'What it costs to count',
    head: [
      'metrics',
      'CPU a delivery, saturated',
      'deliveries/s',
      `CPU a delivery, ${STEADY.perSecond}/s`,
      'p99',
    ],
    rows: [
      rowOf(
        'on, scraped every second',
        pairs.map(({ on }) => on),
      ),
      rowOf(
        'off',
        pairs.map(({ off }) => off),
      ),
    ],
    verdicts: [
      {
        must: `saturated, on against off: at most ${MUST} times the CPU of a delivery`,
        measured: times(saturated),
        pass: saturated <= MUST,
      },
      {
        must: 'every subscriber has every message, once, in order',
        measured: wrong.length === 0 ? 'yes, each sequence number checked' : wrong.join('; '),
        pass: wrong.length === 0,
      },
    ],
    notes: [
      `${SATURATED.subscribers} subscribers, ${SATURATED.bytes} B. Ratios are the median of ${pairs.length} interleaved pairs; at ${STEADY.perSecond}/s, where each delivery is a write of its own, it is ${times(ratio((cost) => cost.steadyUs))}.`,
      `Pair by pair, saturated: ${pairs.map(({ on, off }) => times(on.saturatedNs / off.saturatedNs)).join(', ')}.`,
    ],
    charts: [],
    losses: [],
    figures: {
      saturated: pairs.map(({ on, off }) => on.saturatedNs / off.saturatedNs),
      steady: pairs.map(({ on, off }) => on.steadyUs / off.steadyUs),
    },
  };
}

function rowOf(name: string, costs: readonly Cost[]): string[] {
  const of = (pick: (cost: Cost) => number): number => median(costs.map(pick));
  return [
    name,
    `${of((cost) => cost.saturatedNs).toFixed(1)} ns`,
    short(of((cost) => cost.perSecond)),
    `${of((cost) => cost.steadyUs).toFixed(2)} µs`,
    `${of((cost) => cost.p99Ms).toFixed(1)} ms`,
  ];
}
