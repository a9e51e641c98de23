/**
 * One measurement, whoever is measured: all of a number of messages to all subscribers as fast as it goes
 * (`saturate`, and `saturateInRounds` for what a delivery costs), or at a fixed rate (`pace`). Server and load are
 * started fresh and ended again.
 *
 * Saturation is a fixed number of messages, timed until the slowest subscriber has the last one. Servers that
 * push back get them all at once. One that does not (`window`) gets only so many ahead of its slowest subscriber
 * as do it good: it would drop what it cannot send, or fill the memory with it.
 */
import { median } from './answer.ts';
import type { GroupReport, ReachAnswer } from './load/calls.ts';
import { connectGroup, type Load, reachedOrThrow, startLoad, withCpu, wrongDelivery } from './load/load.ts';
import { Histogram } from './support/histogram.ts';
import { type RunningTarget, startFloor, type Target } from './targets.ts';

export interface Cell {
  readonly subscribers: number;
  readonly bytes: number;
  readonly messages: number;
}

export interface Saturated {
  readonly perSecond: number;
  readonly wrong: string | null;
  /** Share of one core. */
  readonly serverBusy: number;
  readonly redisBusy: number;
  readonly loadBusy: number;
}

export interface Paced {
  readonly cpuUsPerDelivery: number;
  readonly redisUsPerDelivery: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** How late the latest message left. */
  readonly maxLateMs: number;
  readonly wrong: string | null;
}

/** A server that is saturated again and again. */
export interface Rounds extends Cell {
  /** Messages before it counts: of one that has just started a delivery costs half as much again. */
  readonly warmUp: number;
  readonly rounds: number;
}

export interface RoundCost {
  /** CPU of the server a delivery: the median of the rounds, since whatever else a machine does hits some of them. */
  readonly ns: number;
  readonly perSecond: number;
  readonly wrong: string | null;
}

const GROUP = 'readers';
const REACH_TIMEOUT_MS = 240_000;
const PACE_GRACE_MS = 20_000;
/** Sent before anything is measured, to everyone alike: code that was never compiled is not the usual. */
const WARM_UP_SECONDS = 2;

interface Subject {
  /** The server's, then Redis's if it has one. */
  readonly pids: readonly number[];
  readonly load: Load;
}

interface Delivered {
  readonly startedUs: number;
  readonly reached: ReachAnswer;
}

export async function saturate(target: Target, cell: Cell): Promise<Saturated> {
  const running = await target.start();
  const load = startLoad();
  try {
    await connectGroup(load.subscribers, {
      ...running.subscribe,
      count: cell.subscribers,
      messageBytes: cell.bytes,
    });
    await load.publisher.call('connect', running.publish);
    const pids = [running.pid, running.redisPid ?? running.pid];
    const deliver = () =>
      target.window === undefined ? burst(load, cell) : windowed(load, cell, target.window(cell));
    return await saturated({ pids, load }, cell, deliver);
  } finally {
    await load.stop();
    await running.stop();
  }
}

export async function saturateInRounds(target: Target, ask: Rounds): Promise<RoundCost> {
  const running = await target.start();
  const load = startLoad();
  try {
    const { subscribers: count, bytes, messages, warmUp, rounds } = ask;
    await connectGroup(load.subscribers, { ...running.subscribe, count, messageBytes: bytes });
    await load.publisher.call('connect', running.publish);
    await round(load, running.pid, { ...ask, messages: warmUp }, 0);
    const costs: Omit<RoundCost, 'wrong'>[] = [];
    for (let i = 0; i < rounds; i++) costs.push(await round(load, running.pid, ask, warmUp + i * messages));
    const report = await load.subscribers.call('report', { group: GROUP });
    return {
      ns: median(costs.map((cost) => cost.ns)),
      perSecond: median(costs.map((cost) => cost.perSecond)),
      wrong: wrongDelivery(report, warmUp + rounds * messages),
    };
  } finally {
    await load.stop();
    await running.stop();
  }
}

async function round(
  load: Load,
  pid: number,
  { subscribers, messages, bytes }: Cell,
  first: number,
): Promise<Omit<RoundCost, 'wrong'>> {
  const { answer, cpuSeconds } = await withCpu([pid], () => burst(load, { messages, bytes }, first));
  const { reached, startedUs } = answer;
  reachedOrThrow(reached, await load.subscribers.call('report', { group: GROUP }), first + messages);
  const deliveries = messages * subscribers;
  return {
    ns: ((cpuSeconds[0] ?? Number.NaN) * 1e9) / deliveries,
    perSecond: (deliveries * 1e6) / (reached.atUs - startedUs),
  };
}

export async function saturateFloor(cell: Cell, writeBytes: number): Promise<Saturated> {
  const floor = await startFloor();
  const load = startLoad();
  try {
    const { subscribers: count, messages, bytes } = cell;
    await connectGroup(load.subscribers, { ...floor.subscribe, count });
    return await saturated({ pids: [floor.pid, floor.pid], load }, cell, async () => {
      const [reached, { startedUs }] = await Promise.all([
        reach(load, messages),
        floor.remote.call('blast', { messages, bytes, writeBytes }),
      ]);
      return { startedUs, reached };
    });
  } finally {
    await load.stop();
    await floor.stop();
  }
}

function reach(load: Load, messages: number, timeoutMs: number = REACH_TIMEOUT_MS): Promise<ReachAnswer> {
  return load.subscribers.call('reach', { group: GROUP, messages, timeoutMs });
}

async function burst(
  load: Load,
  { messages, bytes }: Omit<Cell, 'subscribers'>,
  first: number = 0,
): Promise<Delivered> {
  const [reached, { startedUs }] = await Promise.all([
    reach(load, first + messages),
    load.publisher.call('burst', { messages, bytes, first }),
  ]);
  return { startedUs, reached };
}

/** Two halves of the window: while one is delivered the next is on its way. */
async function windowed(load: Load, { messages, bytes }: Cell, window: number): Promise<Delivered> {
  const half = Math.ceil(window / 2);
  let startedUs = 0;
  let reached: ReachAnswer = { reached: true, atUs: 0 };
  for (let first = 0; first < messages && reached.reached; first += half) {
    const count = Math.min(half, messages - first);
    const sent = await load.publisher.call('burst', { messages: count, bytes, first });
    if (first === 0) ({ startedUs } = sent);
    const last = first + count === messages;
    reached = await reach(load, last ? messages : first);
  }
  return { startedUs, reached };
}

async function saturated(
  { pids, load }: Subject,
  { messages, subscribers }: Cell,
  deliver: () => Promise<Delivered>,
): Promise<Saturated> {
  const { answer, cpuSeconds } = await withCpu([...pids, ...load.pids], deliver);
  const report = await load.subscribers.call('report', { group: GROUP });
  reachedOrThrow(answer.reached, report, messages);
  const seconds = (answer.reached.atUs - answer.startedUs) / 1e6;
  const [server = Number.NaN, redis = Number.NaN, receiving = Number.NaN, publishing = Number.NaN] =
    cpuSeconds.map((cpu) => cpu / seconds);
  return {
    perSecond: (messages * subscribers) / seconds,
    wrong: wrongDelivery(report, messages),
    serverBusy: server,
    redisBusy: redis,
    loadBusy: receiving + publishing,
  };
}

/** Puts messages into a server's log; resolves once a subscriber has received them all. */
export async function fill(
  load: Load,
  server: RunningTarget,
  { messages, bytes }: Omit<Cell, 'subscribers'>,
): Promise<void> {
  const group = 'witness';
  await connectGroup(load.subscribers, { ...server.subscribe, count: 1, group });
  await load.publisher.call('connect', server.publish);
  const [reached] = await Promise.all([
    load.subscribers.call('reach', { group, messages, timeoutMs: REACH_TIMEOUT_MS }),
    load.publisher.call('burst', { messages, bytes, first: 0 }),
  ]);
  reachedOrThrow(reached, await load.subscribers.call('report', { group }), messages);
  await load.subscribers.call('end', { group });
}

export interface Pace {
  readonly subscribers: number;
  readonly bytes: number;
  readonly perSecond: number;
  readonly seconds: number;
}

export async function pace(target: Target, ask: Pace): Promise<Paced> {
  const running = await target.start();
  const load = startLoad();
  try {
    const { subscribers: count, bytes } = ask;
    await connectGroup(load.subscribers, {
      ...running.subscribe,
      count,
      messageBytes: bytes,
      latencies: true,
    });
    await load.publisher.call('connect', running.publish);
    const pids = running.redisPid === null ? [running.pid] : [running.pid, running.redisPid];
    return await paced({ pids, load }, ask, (first, messages) =>
      load.publisher.call('pace', { messages, bytes, first, perSecond: ask.perSecond }),
    );
  } finally {
    await load.stop();
    await running.stop();
  }
}

/** The floor has neither publisher nor log: its latency is that of the write loop alone. */
export async function paceFloor(ask: Pace): Promise<Paced> {
  const floor = await startFloor();
  const load = startLoad();
  try {
    const { subscribers: count, bytes, perSecond } = ask;
    await connectGroup(load.subscribers, { ...floor.subscribe, count, latencies: true });
    return await paced({ pids: [floor.pid], load }, ask, async (first, messages) => {
      await floor.remote.call('pace', { messages, bytes, first, perSecond });
      return { maxLateUs: 0 };
    });
  } finally {
    await load.stop();
    await floor.stop();
  }
}

async function paced(
  { pids, load }: Subject,
  { seconds, perSecond, subscribers }: Pace,
  publish: (first: number, messages: number) => Promise<{ readonly maxLateUs: number }>,
): Promise<Paced> {
  const messages = seconds * perSecond;
  const warm = WARM_UP_SECONDS * perSecond;
  const timeoutMs = (seconds + WARM_UP_SECONDS) * 1000 + PACE_GRACE_MS;
  await Promise.all([reach(load, warm, timeoutMs), publish(0, warm)]);
  await load.subscribers.call('forget', { group: GROUP });
  const { answer, cpuSeconds } = await withCpu(pids, () =>
    Promise.all([reach(load, warm + messages, timeoutMs), publish(warm, messages)]),
  );
  const report: GroupReport = await load.subscribers.call('report', { group: GROUP });
  reachedOrThrow(answer[0], report, warm + messages);
  const latencies = new Histogram();
  if (report.latencies !== null) latencies.merge(report.latencies);
  const usPerDelivery = (cpu: number) => (cpu * 1e6) / (messages * subscribers);
  return {
    cpuUsPerDelivery: usPerDelivery(cpuSeconds[0] ?? Number.NaN),
    redisUsPerDelivery: usPerDelivery(cpuSeconds[1] ?? 0),
    p50Ms: latencies.percentileUs(0.5) / 1000,
    p99Ms: latencies.percentileUs(0.99) / 1000,
    maxMs: latencies.percentileUs(1) / 1000,
    maxLateMs: answer[1].maxLateUs / 1000,
    wrong: wrongDelivery(report, warm + messages),
  };
}
