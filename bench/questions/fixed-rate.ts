/**
 * What does a delivery cost, and how late is it, at a rate far below any limit?
 *
 * Batching makes a saturated server fast and tempts it to wait for more; at 50 messages a second there is
 * nothing to batch, so each delivery is one write and the question is whether the design pays anything on top
 * of that. CPU is what the server process used from the first message due to the last one received, timers
 * and idle work included. Latency counts from the moment a message was due. The floor has neither publisher
 * nor log: its latency is that of the write loop alone.
 */
import { type Answer, type Bench, median, times } from '../answer.ts';
import type { GroupReport } from '../load/calls.ts';
import { connectGroup, type Load, reachedOrThrow, startLoad, withCpu, wrongDelivery } from '../load/load.ts';
import { Histogram } from '../support/histogram.ts';
import { baseline, rivercast, startFloor, type Target } from '../targets.ts';

const SUBSCRIBERS = 1000;
const MESSAGE_BYTES = 128;
const PER_SECOND = 50;
const FLOOR = 'floor';

interface Measured {
  readonly cpuUsPerDelivery: number;
  readonly redisUsPerDelivery: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly maxLateMs: number;
  readonly wrong: string | null;
}

interface Work {
  readonly port: number;
  readonly path: string;
  readonly pids: readonly number[];
  readonly seconds: number;
  /** Sends the messages; how late the latest one left. */
  readonly publish: (load: Load, messages: number) => Promise<{ readonly maxLateUs: number }>;
}

async function measure(work: Work): Promise<Measured> {
  const load = startLoad();
  try {
    const messages = work.seconds * PER_SECOND;
    const timeoutMs = work.seconds * 1000 + 20_000;
    const { port, path } = work;
    await connectGroup(load.subscribers, { port, path, count: SUBSCRIBERS, latencies: true });
    const { answer, cpuSeconds } = await withCpu(work.pids, () =>
      Promise.all([
        load.subscribers.call('reach', { group: 'readers', messages, timeoutMs }),
        work.publish(load, messages),
      ]),
    );
    const report = await load.subscribers.call('report', { group: 'readers' });
    reachedOrThrow(answer[0], report, messages);
    return measured(report, messages, cpuSeconds, answer[1].maxLateUs / 1000);
  } finally {
    await load.stop();
  }
}

function measured(
  report: GroupReport,
  messages: number,
  cpuSeconds: readonly number[],
  maxLateMs: number,
): Measured {
  const deliveries = messages * SUBSCRIBERS;
  const latencies = new Histogram();
  if (report.latencies !== null) latencies.merge(report.latencies);
  return {
    cpuUsPerDelivery: ((cpuSeconds[0] ?? Number.NaN) * 1e6) / deliveries,
    redisUsPerDelivery: ((cpuSeconds[1] ?? 0) * 1e6) / deliveries,
    p50Ms: latencies.percentileUs(0.5) / 1000,
    p99Ms: latencies.percentileUs(0.99) / 1000,
    maxMs: latencies.percentileUs(1) / 1000,
    maxLateMs,
    wrong: wrongDelivery(report, messages),
  };
}

async function measureTarget(target: Target, seconds: number): Promise<Measured> {
  const running = await target.start();
  try {
    const { port, publishPath, subscribePath } = running;
    const pids = running.redisPid === null ? [running.pid] : [running.pid, running.redisPid];
    const publish: Work['publish'] = async (load, messages) => {
      await load.publisher.call('connect', { port, path: publishPath });
      const ask = { messages, bytes: MESSAGE_BYTES, first: 0, perSecond: PER_SECOND };
      return load.publisher.call('pace', ask);
    };
    return await measure({ port, path: subscribePath, pids, seconds, publish });
  } finally {
    await running.stop();
  }
}

async function measureFloor(seconds: number): Promise<Measured> {
  const floor = await startFloor();
  try {
    const publish: Work['publish'] = async (_load, messages) => {
      await floor.remote.call('pace', { messages, bytes: MESSAGE_BYTES, perSecond: PER_SECOND });
      return { maxLateUs: 0 };
    };
    return await measure({ port: floor.port, path: '/', pids: [floor.pid], seconds, publish });
  } finally {
    await floor.stop();
  }
}

export async function fixedRate(bench: Bench): Promise<Answer> {
  const repeats = bench.quick ? 1 : 3;
  const seconds = bench.quick ? 5 : 20;
  const runs: Record<string, Measured[]> = {};
  const note = (name: string, run: Measured) => {
    (runs[name] ??= []).push(run);
    const latency = `p50 ${run.p50Ms.toFixed(2)} ms, p99 ${run.p99Ms.toFixed(2)} ms`;
    bench.say(`  ${name}: ${run.cpuUsPerDelivery.toFixed(2)} µs CPU a delivery, ${latency}`);
  };
  for (let repeat = 0; repeat < repeats; repeat++) {
    note(rivercast.name, await measureTarget(rivercast, seconds));
    note(baseline.name, await measureTarget(baseline, seconds));
    note(FLOOR, await measureFloor(seconds));
  }
  return answerOf(runs);
}

function answerOf(runs: Readonly<Record<string, readonly Measured[]>>): Answer {
  const of = (name: string, pick: (run: Measured) => number) => median((runs[name] ?? []).map(pick));
  const cpu = (name: string) => of(name, (run) => run.cpuUsPerDelivery);
  const ratio = cpu(rivercast.name) / cpu(baseline.name);
  const wrong = Object.entries(runs).flatMap(([name, list]) =>
    list.flatMap((run) => (run.wrong === null ? [] : [`${name}: ${run.wrong}`])),
  );
  const ms = (name: string, pick: (run: Measured) => number) => `${of(name, pick).toFixed(2)} ms`;
  return {
    question: 'fixed-rate',
    title: `${PER_SECOND} messages a second of ${MESSAGE_BYTES} B to ${SUBSCRIBERS} subscribers, on Redis`,
    head: [
      'server',
      'server CPU a delivery',
      'against the floor',
      'Redis CPU a delivery',
      'p50',
      'p99',
      'max',
    ],
    rows: Object.keys(runs).map((name) => [
      name,
      `${cpu(name).toFixed(2)} µs`,
      times(cpu(name) / cpu(FLOOR)),
      name === FLOOR ? '' : `${of(name, (run) => run.redisUsPerDelivery).toFixed(3)} µs`,
      ms(name, (run) => run.p50Ms),
      ms(name, (run) => run.p99Ms),
      ms(name, (run) => run.maxMs),
    ]),
    verdicts: [
      { must: 'CPU a delivery not above the baseline', measured: times(ratio), pass: ratio <= 1 },
      {
        must: 'every subscriber has every message, once, in order',
        measured: wrong.length === 0 ? 'yes, each sequence number checked' : wrong.join('; '),
        pass: wrong.length === 0,
      },
    ],
    notes: [
      `The publisher was at most ${of(rivercast.name, (run) => run.maxLateMs).toFixed(1)} ms late (median run).`,
    ],
    figures: Object.fromEntries(
      Object.entries(runs).flatMap(([name, list]) => [
        [`${name}: CPU µs a delivery`, list.map((run) => run.cpuUsPerDelivery)],
        [`${name}: p50 ms`, list.map((run) => run.p50Ms)],
        [`${name}: p99 ms`, list.map((run) => run.p99Ms)],
      ]),
    ),
  };
}
