/**
 * Does one block to 10,000 subscribers hold up everything else in the process?
 *
 * A pass over 10,000 sockets takes some 100 ms, so it has to be cut into slices that let the event loop turn.
 * Single blocks come one at a time, each awaited; then a flood keeps every pass busy. The longest slice is the
 * server's own figure; the delay of the event loop is sampled only while blocks are under way, because idle
 * time between them would water any percentile down.
 */
import { type Answer, type Bench, short } from '../answer.ts';
import type { ReachAnswer, SubscriberCalls } from '../load/calls.ts';
import { connectGroup, startLoad, startSubscribers, wrongDelivery } from '../load/load.ts';
import type { Remote } from '../support/calls.ts';
import type { Started } from '../support/processes.ts';
import { type InstrumentedTarget, startInstrumented } from '../targets.ts';

const SUBSCRIBERS = 10_000;
const CLIENT_PROCESSES = 4;
const MESSAGE_BYTES = 128;
const BLOCK_MESSAGES = 100;
const MUST_SLICE_MS = 20;
const MUST_P99_MS = 50;
const TIMEOUT_MS = 120_000;

interface Measured {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly seconds: number;
  readonly messages: number;
}

interface Crowd {
  readonly remotes: readonly Remote<SubscriberCalls>[];
  readonly processes: readonly Started[];
}

async function gather(target: InstrumentedTarget): Promise<Crowd> {
  const started = Array.from({ length: CLIENT_PROCESSES }, () => startSubscribers());
  const remotes = started.map(({ remote }) => remote);
  const options = { ...target.subscribe, count: SUBSCRIBERS / CLIENT_PROCESSES };
  // Each process from an address of its own, so that ports do not run short whatever their range.
  await Promise.all(
    remotes.map((remote, index) =>
      connectGroup(remote, { ...options, localAddresses: [`127.0.0.${index + 2}`] }),
    ),
  );
  return { remotes, processes: started.map(({ process }) => process) };
}

async function reachAll(crowd: Crowd, messages: number): Promise<number> {
  const ask = { group: 'readers', messages, timeoutMs: TIMEOUT_MS };
  const answers: ReachAnswer[] = await Promise.all(crowd.remotes.map((remote) => remote.call('reach', ask)));
  if (!answers.every(({ reached }) => reached)) throw new Error(`${messages} messages not delivered in time`);
  return Math.max(...answers.map(({ atUs }) => atUs));
}

export async function bigFanout(bench: Bench): Promise<Answer> {
  const blocks = bench.quick ? 3 : 10;
  const flood = bench.quick ? 2000 : 10_000;
  const target = await startInstrumented();
  const load = startLoad();
  let crowd: Crowd | null = null;
  try {
    crowd = await gather(target);
    await load.publisher.call('connect', target.publish);
    let first = 0;
    const publish = async (messages: number): Promise<Measured> => {
      await target.remote.call('resetLoopDelay', null);
      const ask = { messages, bytes: MESSAGE_BYTES, first };
      first += messages;
      const [atUs, { startedUs }] = await Promise.all([
        reachAll(crowd as Crowd, first),
        load.publisher.call('burst', ask),
      ]);
      const delay = await target.remote.call('loopDelay', null);
      return { ...delay, messages, seconds: (atUs - startedUs) / 1e6 };
    };
    const singles: Measured[] = [];
    for (let block = 0; block < blocks; block++) singles.push(await publish(BLOCK_MESSAGES));
    const flooded = await publish(flood);
    const wrong = await wrongOf(crowd, first);
    const stats = await target.remote.call('stats', null);
    const { longestSliceMs = Number.NaN, subscribers = 0 } = stats;
    return answerOf({ singles, flooded, wrong, longestSliceMs, subscribers });
  } finally {
    await Promise.all((crowd?.processes ?? []).map((one) => one.stop()));
    await load.stop();
    await target.stop();
  }
}

async function wrongOf(crowd: Crowd, messages: number): Promise<string | null> {
  const reports = await Promise.all(
    crowd.remotes.map((remote) => remote.call('report', { group: 'readers' })),
  );
  return reports.map((report) => wrongDelivery(report, messages)).find((wrong) => wrong !== null) ?? null;
}

interface Outcome {
  readonly singles: readonly Measured[];
  readonly flooded: Measured;
  readonly wrong: string | null;
  readonly longestSliceMs: number;
  readonly subscribers: number;
}

function answerOf({ singles, flooded, wrong, longestSliceMs, subscribers }: Outcome): Answer {
  const worst = (runs: readonly Measured[], pick: (run: Measured) => number) => Math.max(...runs.map(pick));
  const p99 = worst([...singles, flooded], (run) => run.p99Ms);
  const row = (name: string, runs: readonly Measured[]) => [
    name,
    `${(worst(runs, (run) => run.seconds) * 1000).toFixed(0)} ms`,
    short(Math.min(...runs.map((run) => (run.messages * SUBSCRIBERS) / run.seconds))),
    `${worst(runs, (run) => run.p50Ms).toFixed(1)} ms`,
    `${worst(runs, (run) => run.p99Ms).toFixed(1)} ms`,
    `${worst(runs, (run) => run.maxMs).toFixed(1)} ms`,
  ];
  return {
    question: 'big-fanout',
    title: `A block to ${subscribers} subscribers, on Redis`,
    head: ['load', 'until the last has it', 'deliveries/s', 'loop delay p50', 'p99', 'max'],
    rows: [
      row(`${singles.length} single blocks of ${BLOCK_MESSAGES} (worst)`, singles),
      row(`${flooded.messages} messages at once`, [flooded]),
    ],
    verdicts: [
      {
        must: `${SUBSCRIBERS} subscribers connected`,
        measured: `${subscribers}`,
        pass: subscribers === SUBSCRIBERS,
      },
      {
        must: `longest slice at most ${MUST_SLICE_MS} ms`,
        measured: `${longestSliceMs.toFixed(1)} ms`,
        pass: longestSliceMs <= MUST_SLICE_MS,
      },
      {
        must: `loop delay p99 at most ${MUST_P99_MS} ms`,
        measured: `${p99.toFixed(1)} ms`,
        pass: p99 <= MUST_P99_MS,
      },
      { must: 'everything delivered, in order', measured: wrong ?? 'yes', pass: wrong === null },
    ],
    notes: [
      `${CLIENT_PROCESSES} client processes, each from a loopback address of its own.`,
      'Loop delays include the 1 ms of the sampling timer and cover only the time blocks were under way.',
    ],
    figures: {
      longestSliceMs,
      blockP99Ms: singles.map((run) => run.p99Ms),
      blockMaxMs: singles.map((run) => run.maxMs),
      floodP99Ms: flooded.p99Ms,
      floodMaxMs: flooded.maxMs,
    },
  };
}
