/**
 * How many deliveries a second, when the publisher sends as fast as the log takes messages?
 *
 * Redis takes messages several hundred times faster than anything sends each of them to 1,000 sockets, so the
 * log runs ahead within the first second and the rest is the fan-out at its limit. A fixed number of messages
 * is published at once and the time taken until the slowest subscriber has the last: nothing can be dropped
 * to look fast. The baseline gets fewer messages, or one run would take half an hour and, as it has no
 * back-pressure, all of the memory; its rate does not depend on their number.
 */
import { type Answer, type Bench, median, percent, short, times } from '../answer.ts';
import { connectGroup, reachedOrThrow, startLoad, withCpu, wrongDelivery } from '../load/load.ts';
import { baseline, rivercast, startFloor, type Target } from '../targets.ts';

const SUBSCRIBERS = 1000;
const MESSAGE_BYTES = 128;
const MUST_RATIO = 30;
const FLOOR_WRITE_BYTES = [16 * 1024, 256 * 1024];
const REACH_TIMEOUT_MS = 240_000;

interface Measured {
  readonly perSecond: number;
  readonly wrong: string | null;
  /** Share of one core. */
  readonly serverBusy: number;
  readonly redisBusy: number;
  readonly loadBusy: number;
}

async function saturate(target: Target, messages: number): Promise<Measured> {
  const running = await target.start();
  const load = startLoad();
  try {
    const { port, publishPath, subscribePath } = running;
    await connectGroup(load.subscribers, { port, path: subscribePath, count: SUBSCRIBERS });
    await load.publisher.call('connect', { port, path: publishPath });
    const pids = [running.pid, running.redisPid ?? running.pid, ...load.pids];
    const { answer, cpuSeconds } = await withCpu(pids, () =>
      Promise.all([
        load.subscribers.call('reach', { group: 'readers', messages, timeoutMs: REACH_TIMEOUT_MS }),
        load.publisher.call('burst', { messages, bytes: MESSAGE_BYTES, first: 0 }),
      ]),
    );
    const [reached, published] = answer;
    const report = await load.subscribers.call('report', { group: 'readers' });
    reachedOrThrow(reached, report, messages);
    return measured(
      reached.atUs - published.startedUs,
      messages,
      cpuSeconds,
      wrongDelivery(report, messages),
    );
  } finally {
    await load.stop();
    await running.stop();
  }
}

async function saturateFloor(messages: number, writeBytes: number): Promise<Measured> {
  const floor = await startFloor();
  const load = startLoad();
  try {
    await connectGroup(load.subscribers, { port: floor.port, path: '/', count: SUBSCRIBERS });
    const { answer, cpuSeconds } = await withCpu([floor.pid, floor.pid, ...load.pids], () =>
      Promise.all([
        load.subscribers.call('reach', { group: 'readers', messages, timeoutMs: REACH_TIMEOUT_MS }),
        floor.remote.call('blast', { messages, bytes: MESSAGE_BYTES, writeBytes }),
      ]),
    );
    const [reached, blasted] = answer;
    const report = await load.subscribers.call('report', { group: 'readers' });
    reachedOrThrow(reached, report, messages);
    return measured(reached.atUs - blasted.startedUs, messages, cpuSeconds, wrongDelivery(report, messages));
  } finally {
    await load.stop();
    await floor.stop();
  }
}

function measured(
  elapsedUs: number,
  messages: number,
  cpuSeconds: readonly number[],
  wrong: string | null,
): Measured {
  const seconds = elapsedUs / 1e6;
  const [server = Number.NaN, redis = Number.NaN, receiving = Number.NaN, publishing = Number.NaN] =
    cpuSeconds.map((cpu) => cpu / seconds);
  return {
    perSecond: (messages * SUBSCRIBERS) / seconds,
    wrong,
    serverBusy: server,
    redisBusy: redis,
    loadBusy: receiving + publishing,
  };
}

export async function throughput(bench: Bench): Promise<Answer> {
  const repeats = bench.quick ? 1 : 3;
  const messages = bench.quick ? 30_000 : 100_000;
  const baselineMessages = bench.quick ? 1000 : 3000;
  const runs: Record<string, Measured[]> = {};
  const note = (name: string, run: Measured) => {
    (runs[name] ??= []).push(run);
    bench.say(`  ${name}: ${short(run.perSecond)} deliveries/s${run.wrong === null ? '' : `, ${run.wrong}`}`);
  };
  for (let repeat = 0; repeat < repeats; repeat++) {
    note(rivercast.name, await saturate(rivercast, messages));
    note(baseline.name, await saturate(baseline, baselineMessages));
    for (const writeBytes of FLOOR_WRITE_BYTES) {
      note(`floor, ${writeBytes / 1024} KiB writes`, await saturateFloor(messages, writeBytes));
    }
  }
  return answerOf(runs, messages, baselineMessages);
}

function answerOf(
  runs: Readonly<Record<string, readonly Measured[]>>,
  messages: number,
  baselineMessages: number,
): Answer {
  const rate = (name: string) => median((runs[name] ?? []).map((run) => run.perSecond));
  const own = rate(rivercast.name);
  const ratio = own / rate(baseline.name);
  const wrong = Object.entries(runs).flatMap(([name, list]) =>
    list.flatMap((run) => (run.wrong === null ? [] : [`${name}: ${run.wrong}`])),
  );
  return {
    question: 'throughput',
    title: `Saturated: ${SUBSCRIBERS} subscribers, ${MESSAGE_BYTES} B messages, on Redis`,
    head: ['server', 'deliveries/s', 'against the baseline', 'server CPU', 'Redis CPU', 'load CPU'],
    rows: Object.entries(runs).map(([name, list]) => [
      name,
      short(rate(name)),
      times(rate(name) / rate(baseline.name)),
      percent(median(list.map((run) => run.serverBusy))),
      name.startsWith('floor') ? '' : percent(median(list.map((run) => run.redisBusy))),
      percent(median(list.map((run) => run.loadBusy))),
    ]),
    verdicts: [
      {
        must: `at least ${MUST_RATIO} times the baseline`,
        measured: times(ratio),
        pass: ratio >= MUST_RATIO,
      },
      {
        must: 'every subscriber has every message, once, in order',
        measured: wrong.length === 0 ? 'yes, each sequence number checked' : wrong.join('; '),
        pass: wrong.length === 0,
      },
    ],
    notes: [
      `${messages} messages for Rivercast and the floor, ${baselineMessages} for the baseline.`,
      'Time runs from the first byte published to the last message at the slowest subscriber.',
    ],
    figures: Object.fromEntries(
      Object.entries(runs).map(([name, list]) => [name, list.map((run) => run.perSecond)]),
    ),
  };
}
