/**
 * A thousand small channels instead of one big: 10 subscribers each, a message a second each, every channel with a
 * publisher of its own. Is everything delivered, what does it cost the server and Redis, and how soon is the first
 * message of a channel that nobody has used before at a subscriber, while all the others go on?
 */
import { type Answer, type Bench, median, percent, short } from '../answer.ts';
import { connectGroup, type Load, reachedOrThrow, startLoad, withCpu, wrongDelivery } from '../load/load.ts';
import { Histogram } from '../support/histogram.ts';
import { type RunningTarget, type Store, startRivercast } from '../targets.ts';

const CHANNELS = 1000;
const SUBSCRIBERS_EACH = 10;
const MESSAGE_BYTES = 128;
const NEW_CHANNELS = 20;
const MUST_FIRST_MS = 50;
const TIMEOUT_MS = 60_000;

interface Measured {
  readonly store: Store;
  readonly serverBusy: number;
  readonly redisBusy: number;
  readonly latencies: Histogram;
  readonly firstMs: readonly number[];
  readonly wrong: string | null;
}

function paths(path: string, names: readonly string[]): string[] {
  return names.map((name) => `${path}?channel=${name}`);
}

async function crowd(server: RunningTarget, load: Load): Promise<void> {
  const names = Array.from({ length: CHANNELS }, (_, index) => `bench:${index}`);
  const { subscribe, publish } = server;
  const group = { count: CHANNELS * SUBSCRIBERS_EACH, paths: paths(subscribe.path, names), latencies: true };
  await connectGroup(load.subscribers, { ...subscribe, ...group });
  await load.publisher.call('connect', { ...publish, paths: paths(publish.path, names) });
}

/** From when the first message of a new channel was due until a subscriber that waits for it has it. */
async function firstMessage(server: RunningTarget, load: Load, name: string): Promise<number> {
  const [subscribePath] = paths(server.subscribe.path, [name]);
  const [publishPath] = paths(server.publish.path, [name]);
  const group = { group: name, count: 1, latencies: true };
  await connectGroup(load.subscribers, { ...server.subscribe, ...group, path: subscribePath as string });
  await load.publisher.call('connect', { ...server.publish, path: publishPath as string });
  await load.publisher.call('pace', { messages: 1, bytes: MESSAGE_BYTES, first: 0, perSecond: 1 });
  const reached = await load.subscribers.call('reach', { group: name, messages: 1, timeoutMs: TIMEOUT_MS });
  const report = await load.subscribers.call('report', { group: name });
  reachedOrThrow(reached, report, 1);
  return (report.latencies?.maxUs ?? Number.NaN) / 1000;
}

async function newChannels(server: RunningTarget, load: Load): Promise<number[]> {
  const firstMs: number[] = [];
  for (let index = 0; index < NEW_CHANNELS; index++) {
    firstMs.push(await firstMessage(server, load, `new:${index}`));
  }
  return firstMs;
}

async function measure(store: Store, seconds: number): Promise<Measured> {
  const server = await startRivercast({ store });
  const load = startLoad();
  const second = startLoad();
  try {
    await crowd(server, load);
    const messages = CHANNELS * seconds;
    const ask = { messages, bytes: MESSAGE_BYTES, first: 0, perSecond: CHANNELS };
    const timeoutMs = seconds * 1000 + TIMEOUT_MS;
    const { answer, cpuSeconds } = await withCpu([server.pid, server.redisPid ?? server.pid], () =>
      Promise.all([
        load.subscribers.call('reach', { group: 'readers', messages: seconds, timeoutMs }),
        load.publisher.call('pace', ask),
        newChannels(server, second),
      ]),
    );
    const [reached, published, firstMs] = answer;
    const report = await load.subscribers.call('report', { group: 'readers' });
    reachedOrThrow(reached, report, seconds);
    const latencies = new Histogram();
    if (report.latencies !== null) latencies.merge(report.latencies);
    const took = (reached.atUs - published.startedUs) / 1e6;
    const [serverBusy = Number.NaN, redisBusy = Number.NaN] = cpuSeconds.map((cpu) => cpu / took);
    return { store, serverBusy, redisBusy, latencies, firstMs, wrong: wrongDelivery(report, seconds) };
  } finally {
    await Promise.all([load.stop(), second.stop()]);
    await server.stop();
  }
}

export async function channels(bench: Bench): Promise<Answer> {
  const seconds = bench.quick ? 5 : 15;
  const stores: readonly Store[] = ['redis', 'embedded'];
  const runs: Measured[] = [];
  for (const store of stores) {
    const run = await measure(store, seconds);
    runs.push(run);
    bench.say(
      `  ${store}: server ${percent(run.serverBusy)}, first message within ${Math.max(...run.firstMs).toFixed(1)} ms`,
    );
  }
  return answerOf(runs, seconds);
}

function answerOf(runs: readonly Measured[], seconds: number): Answer {
  const ms = (us: number) => `${(us / 1000).toFixed(1)} ms`;
  const worstFirst = Math.max(...runs.flatMap((run) => run.firstMs));
  const wrong = runs.find((run) => run.wrong !== null)?.wrong ?? null;
  return {
    question: 'channels',
    title: `${short(CHANNELS)} channels, ${SUBSCRIBERS_EACH} subscribers and a message a second each`,
    head: [
      'log',
      'server CPU',
      'Redis CPU',
      'p50',
      'p99',
      'max',
      'first message of a new channel: median',
      'worst',
    ],
    rows: runs.map((run) => [
      run.store,
      percent(run.serverBusy),
      run.store === 'redis' ? percent(run.redisBusy) : '',
      ms(run.latencies.percentileUs(0.5)),
      ms(run.latencies.percentileUs(0.99)),
      ms(run.latencies.percentileUs(1)),
      `${median(run.firstMs).toFixed(1)} ms`,
      `${Math.max(...run.firstMs).toFixed(1)} ms`,
    ]),
    verdicts: [
      {
        must: 'everything delivered, in order, on every channel',
        measured: wrong ?? 'yes',
        pass: wrong === null,
      },
      {
        must: `the first message of a new channel within ${MUST_FIRST_MS} ms`,
        measured: `${worstFirst.toFixed(1)} ms, the worst of ${NEW_CHANNELS} on each log`,
        pass: worstFirst <= MUST_FIRST_MS,
      },
    ],
    notes: [`${seconds} seconds; CPU as a share of one core, which server and Redis have together.`],
    figures: Object.fromEntries(
      runs.flatMap((run) => [
        [`${run.store}: server CPU`, run.serverBusy],
        [`${run.store}: first message ms`, run.firstMs],
        ...(run.store === 'redis' ? [[`${run.store}: Redis CPU`, run.redisBusy] as const] : []),
      ]),
    ),
  };
}
