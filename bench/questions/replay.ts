/**
 * How fast does a subscriber that comes late get the whole history?
 *
 * The same server first, which still holds the newest messages in memory; then a restarted one, which has to
 * read all of them from the log. Time runs from before the connection to the last message.
 */
import { type Answer, type Bench, median, short } from '../answer.ts';
import type { SubscriberCalls } from '../load/calls.ts';
import { connectGroup, reachedOrThrow, startLoad, wrongDelivery } from '../load/load.ts';
import type { Remote } from '../support/calls.ts';
import { nowUs } from '../support/clock.ts';
import { scratchDirectory } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { type RunningTarget, type Store, startRivercast } from '../targets.ts';

const MESSAGE_BYTES = 128;
const TIMEOUT_MS = 120_000;

interface Measured {
  readonly fromMemory: number[];
  readonly fromLog: number[];
  readonly wrong: string | null;
}

async function replayOnce(
  remote: Remote<SubscriberCalls>,
  server: RunningTarget,
  messages: number,
): Promise<{ perSecond: number; wrong: string | null }> {
  const group = 'late';
  const path = `${server.subscribePath}?after=earliest`;
  const startedUs = nowUs();
  await connectGroup(remote, { port: server.port, path, count: 1, group });
  const reached = await remote.call('reach', { group, messages, timeoutMs: TIMEOUT_MS });
  const report = await remote.call('report', { group });
  reachedOrThrow(reached, report, messages);
  await remote.call('end', { group });
  return { perSecond: messages / ((reached.atUs - startedUs) / 1e6), wrong: wrongDelivery(report, messages) };
}

async function measure(store: Store, messages: number, repeats: number): Promise<Measured> {
  const redis = store === 'redis' ? await startRedis() : null;
  const keep = redis === null ? { dataDirectory: scratchDirectory() } : { redisUrl: redis.url };
  const load = startLoad();
  let server = await startRivercast({ store, keep });
  try {
    const { port, subscribePath: path, publishPath } = server;
    await connectGroup(load.subscribers, { port, path, count: 1 });
    await load.publisher.call('connect', { port, path: publishPath });
    const [reached] = await Promise.all([
      load.subscribers.call('reach', { group: 'readers', messages, timeoutMs: TIMEOUT_MS }),
      load.publisher.call('burst', { messages, bytes: MESSAGE_BYTES, first: 0 }),
    ]);
    reachedOrThrow(reached, await load.subscribers.call('report', { group: 'readers' }), messages);
    await load.subscribers.call('end', { group: 'readers' });
    const runs = { fromMemory: [] as number[], fromLog: [] as number[], wrong: null as string | null };
    for (let repeat = 0; repeat < repeats; repeat++) {
      const warm = await replayOnce(load.subscribers, server, messages);
      await server.stop();
      server = await startRivercast({ store, keep });
      const cold = await replayOnce(load.subscribers, server, messages);
      runs.fromMemory.push(warm.perSecond);
      runs.fromLog.push(cold.perSecond);
      runs.wrong ??= warm.wrong ?? cold.wrong;
    }
    return runs;
  } finally {
    await load.stop();
    await server.stop();
    await redis?.stop();
  }
}

export async function replay(bench: Bench): Promise<Answer> {
  const messages = bench.quick ? 50_000 : 200_000;
  const repeats = bench.quick ? 1 : 3;
  const stores: readonly Store[] = ['redis', 'embedded'];
  const runs: [Store, Measured][] = [];
  for (const store of stores) {
    const run = await measure(store, messages, repeats);
    bench.say(
      `  ${store}: ${short(median(run.fromMemory))}/s running, ${short(median(run.fromLog))}/s restarted`,
    );
    runs.push([store, run]);
  }
  const wrong = runs.map(([, run]) => run.wrong).find((one) => one !== null) ?? null;
  return {
    question: 'replay',
    title: `Replay of ${messages} stored messages of ${MESSAGE_BYTES} B to one subscriber`,
    head: ['log', 'running server, entries/s', 'restarted server, entries/s'],
    rows: runs.map(([store, run]) => [store, short(median(run.fromMemory)), short(median(run.fromLog))]),
    verdicts: [{ must: 'everything delivered, in order', measured: wrong ?? 'yes', pass: wrong === null }],
    notes: ['The restarted server is at its first replay: its code is not yet compiled.'],
    figures: Object.fromEntries(
      runs.flatMap(([store, run]) => [
        [`${store}: running`, run.fromMemory],
        [`${store}: restarted`, run.fromLog],
      ]),
    ),
  };
}
