/**
 * How fast does a subscriber that comes late get the history, and do the others notice?
 *
 * First as many of the newest entries as the default memory for recent messages holds, from a running server. Then
 * a restarted server, which has to read every entry from the log, while a hundred others receive live messages:
 * what is usual for them is measured right before, and then only while the replay runs. The late one has a process
 * of its own, so that its reading is not taken for the server's delay. Time runs from before the connection to the
 * last message.
 */
import { type Answer, type Bench, median, short, type Verdict } from '../answer.ts';
import type { Chart } from '../chart.ts';
import type { SubscriberCalls } from '../load/calls.ts';
import { connectGroup, type Load, reachedOrThrow, startLoad, startSubscribers } from '../load/load.ts';
import { fill } from '../measure.ts';
import type { Remote } from '../support/calls.ts';
import { nowUs } from '../support/clock.ts';
import { Histogram } from '../support/histogram.ts';
import { scratchDirectory } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { type RunningTarget, type Store, startRivercast } from '../targets.ts';

const MESSAGE_BYTES = 128;
/** 32 MiB hold some more of 128 B, with all that is kept beside each. */
const RING_ENTRIES = 100_000;
const MUST_RING = 500_000;
const MUST_LOG: Readonly<Record<Store, number>> = { redis: 100_000, embedded: 200_000 };
const MUST_DELAY_MS = 10;
const LIVE = { subscribers: 100, perSecond: 100 };
const USUAL_SECONDS = 4;
/** Live messages go on for at most so long after the replay: they would water its percentile down. */
const PIECE_SECONDS = 0.1;
const TIMEOUT_MS = 120_000;
/** The default would trim the oldest of them as live messages come. */
const ENV = { RETENTION_MAX_ENTRIES: '3000000' };

interface Replayed {
  readonly perSecond: number;
  readonly wrong: string | null;
}

interface Beside extends Replayed {
  readonly usualP99Ms: number;
  readonly p99Ms: number;
}

interface Measured {
  readonly fromRing: readonly Replayed[];
  /** The same, asked for as `last:N`. */
  readonly counted: readonly Replayed[];
  readonly fromLog: readonly Beside[];
}

async function replayOnce(
  late: Remote<SubscriberCalls>,
  server: RunningTarget,
  ask: { readonly after: string; readonly messages: number; readonly first: number },
): Promise<Replayed> {
  const group = 'late';
  const path = `${server.subscribe.path}?after=${encodeURIComponent(ask.after)}`;
  const startedUs = nowUs();
  await connectGroup(late, { ...server.subscribe, path, count: 1, group });
  const reached = await late.call('reach', { group, messages: ask.messages, timeoutMs: TIMEOUT_MS });
  const report = await late.call('report', { group });
  reachedOrThrow(reached, report, ask.messages);
  await late.call('end', { group });
  const { breaks, lowestFirst } = report;
  const inOrder = breaks === 0 && lowestFirst === ask.first;
  return {
    perSecond: ask.messages / ((reached.atUs - startedUs) / 1e6),
    wrong: inOrder ? null : `${breaks} breaks of order, first ${lowestFirst}`,
  };
}

/** The cursor that a subscriber has who misses so many entries. */
async function cursorBefore({ subscribe }: RunningTarget, entries: number): Promise<string> {
  const ask = `after=last:${entries + 1}&limit=1`;
  const response = await fetch(`http://127.0.0.1:${subscribe.port}/api/channels/local-q/messages?${ask}`);
  const { cursor } = (await response.json()) as { readonly cursor: string };
  return cursor;
}

/** A hundred who receive live messages, one sequence on from what the log holds. */
class Live {
  readonly #load: Load;
  #next: number;
  #published = 0;

  constructor(load: Load, next: number) {
    this.#load = load;
    this.#next = next;
  }

  async connect(server: RunningTarget): Promise<void> {
    const { subscribers, publisher } = this.#load;
    await connectGroup(subscribers, { ...server.subscribe, count: LIVE.subscribers, latencies: true });
    await publisher.call('connect', server.publish);
  }

  async publish(seconds: number): Promise<void> {
    const { perSecond } = LIVE;
    const messages = seconds * perSecond;
    const ask = { messages, bytes: MESSAGE_BYTES, first: this.#next, perSecond };
    this.#next += messages;
    this.#published += messages;
    await this.#load.publisher.call('pace', ask);
  }

  /** Of all that was published, however late it came. */
  async p99Ms(): Promise<number> {
    const ask = { group: 'readers', messages: this.#published, timeoutMs: TIMEOUT_MS };
    const reached = await this.#load.subscribers.call('reach', ask);
    const report = await this.#load.subscribers.call('report', { group: 'readers' });
    reachedOrThrow(reached, report, this.#published);
    const latencies = new Histogram();
    if (report.latencies !== null) latencies.merge(report.latencies);
    return latencies.percentileUs(0.99) / 1000;
  }

  async forget(): Promise<void> {
    await this.#load.subscribers.call('forget', { group: 'readers' });
  }
}

async function besideLive(live: Live, replay: () => Promise<Replayed>): Promise<Beside> {
  await live.forget();
  await live.publish(USUAL_SECONDS);
  const usualP99Ms = await live.p99Ms();
  await live.forget();
  const replaying = new AbortController();
  const publishing = (async () => {
    while (!replaying.signal.aborted) await live.publish(PIECE_SECONDS);
  })();
  const replayed = await replay();
  replaying.abort();
  await publishing;
  return { ...replayed, usualP99Ms, p99Ms: await live.p99Ms() };
}

async function measure(store: Store, messages: number, repeats: number): Promise<Measured> {
  const redis = store === 'redis' ? await startRedis() : null;
  const keep = redis === null ? { dataDirectory: scratchDirectory() } : { redisUrl: redis.url };
  const load = startLoad();
  const { remote: late, process: lateProcess } = startSubscribers();
  const start = () => startRivercast({ store, keep, env: ENV });
  let server = await start();
  try {
    await fill(load, server, { messages, bytes: MESSAGE_BYTES });
    const fromRing: Replayed[] = [];
    const counted: Replayed[] = [];
    const recent = { messages: RING_ENTRIES, first: messages - RING_ENTRIES };
    const cursor = await cursorBefore(server, RING_ENTRIES);
    for (let repeat = 0; repeat < repeats * 2 + 1; repeat++) {
      fromRing.push(await replayOnce(late, server, { ...recent, after: cursor }));
      counted.push(await replayOnce(late, server, { ...recent, after: `last:${RING_ENTRIES}` }));
    }
    await server.stop();
    server = await start();
    const live = new Live(load, messages);
    await live.connect(server);
    const fromLog: Beside[] = [];
    const all = { after: 'earliest', messages, first: 0 };
    for (let repeat = 0; repeat < repeats; repeat++) {
      fromLog.push(await besideLive(live, () => replayOnce(late, server, all)));
    }
    return { fromRing, counted, fromLog };
  } finally {
    await Promise.all([load.stop(), lateProcess.stop()]);
    await server.stop();
    await redis?.stop();
  }
}

export async function replay(bench: Bench): Promise<Answer> {
  const messages = bench.quick ? 200_000 : 1_000_000;
  const repeats = bench.quick ? 1 : 3;
  const stores: readonly Store[] = ['redis', 'embedded'];
  const runs: [Store, Measured][] = [];
  for (const store of stores) {
    const run = await measure(store, messages, repeats);
    const [ring, log] = [rate(run.fromRing), rate(run.fromLog)];
    bench.say(`  ${store}: ${short(ring)}/s from memory, ${short(log)}/s from the log`);
    runs.push([store, run]);
  }
  return answerOf(runs, messages);
}

function rate(runs: readonly Replayed[]): number {
  return median(runs.map((run) => run.perSecond));
}

function p99(runs: readonly Beside[], pick: (run: Beside) => number): number {
  return median(runs.map(pick));
}

function answerOf(runs: readonly (readonly [Store, Measured])[], messages: number): Answer {
  const wrong = runs
    .flatMap(([, run]) => [...run.fromRing, ...run.counted, ...run.fromLog])
    .find((run) => run.wrong !== null);
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  return {
    question: 'replay',
    title: `Replay of ${MESSAGE_BYTES} B entries to one subscriber`,
    head: [
      'log',
      `newest ${short(RING_ENTRIES)}, from memory`,
      'asked as last:N',
      `all ${short(messages)}, from the log`,
      'live p99, usual',
      'live p99 during it',
    ],
    rows: runs.map(([store, { fromRing, counted, fromLog }]) => [
      store,
      `${short(rate(fromRing))}/s`,
      `${short(rate(counted))}/s`,
      `${short(rate(fromLog))}/s`,
      ms(p99(fromLog, (run) => run.usualP99Ms)),
      ms(p99(fromLog, (run) => run.p99Ms)),
    ]),
    verdicts: [
      ...runs.flatMap(verdictsOf),
      {
        must: 'everything delivered, in order',
        measured: wrong?.wrong ?? 'yes',
        pass: wrong === undefined,
      },
    ],
    notes: [
      'From memory: by a cursor, as a subscriber has it that comes back. For last:N the log has to count first.',
      `Live: ${LIVE.perSecond} messages a second to ${LIVE.subscribers} subscribers, on a server restarted before, so that nothing is in its memory.`,
    ],
    charts: [chartOf(runs)],
    figures: Object.fromEntries(
      runs.flatMap(([store, { fromRing, counted, fromLog }]) => [
        [`${store}: from memory`, fromRing.map((run) => run.perSecond)],
        [`${store}: last:N`, counted.map((run) => run.perSecond)],
        [`${store}: from the log`, fromLog.map((run) => run.perSecond)],
        [`${store}: usual p99 ms`, fromLog.map((run) => run.usualP99Ms)],
        [`${store}: p99 ms during it`, fromLog.map((run) => run.p99Ms)],
      ]),
    ),
  };
}

function chartOf(runs: readonly (readonly [Store, Measured])[]): Chart {
  const bar = (label: string, value: number) => ({ label, value, text: `${short(value)}/s` });
  return {
    file: 'replay',
    title: `Replay of ${MESSAGE_BYTES} B entries to one subscriber`,
    axis: 'entries a second, logarithmic; longer is better',
    logarithmic: true,
    groups: runs.map(([store, { fromRing, fromLog }]) => ({
      label: store === 'redis' ? 'Redis' : 'embedded',
      bars: [bar('from memory', rate(fromRing)), bar('from the log', rate(fromLog))],
    })),
  };
}

function verdictsOf([store, { fromRing, fromLog }]: readonly [Store, Measured]): Verdict[] {
  const atLeast = (what: string, must: number, measured: number): Verdict => ({
    must: `${store}, ${what}: at least ${short(must)} entries/s`,
    measured: `${short(measured)}/s`,
    pass: measured >= must,
  });
  const delay = p99(fromLog, (run) => run.p99Ms - run.usualP99Ms);
  return [
    atLeast('from memory', MUST_RING, rate(fromRing)),
    atLeast('from the log', MUST_LOG[store], rate(fromLog)),
    {
      must: `${store}: the live p99 during it within ${MUST_DELAY_MS} ms of the usual`,
      measured: `${delay.toFixed(1)} ms more`,
      pass: delay <= MUST_DELAY_MS,
    },
  ];
}
