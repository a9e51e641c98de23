/**
 * 5,000 subscribers come back at once, each behind by 100 entries on average: how long until the last has caught up, and
 * what does it cost Redis?
 *
 * Once only their connections were lost and the server goes on; once the server was restarted and has nothing in
 * its memory. Each comes back with a cursor of its own: they miss 1 to 199 entries, 199 cursors in all, so that
 * no answer fits everybody. Raw subscribers are told no ids: the runner reads them from Redis, where they are.
 * Every subscriber must have exactly what it missed. Time runs from the first knock to the last entry.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Answer, type Bench, median, short } from '../answer.ts';
import { connectGroup, type Load, reachedOrThrow, startLoad, withCpu } from '../load/load.ts';
import { type RunningRedis, startRedis } from '../support/redis.ts';
import { type RunningTarget, startRivercast } from '../targets.ts';

const SUBSCRIBERS = 5000;
const MESSAGE_BYTES = 128;
const MISSED = 100;
const SPREAD = 99;
const HISTORY = 2000;
const STREAM = 'local-q';
const AT_ONCE = 500;
const MUST_SECONDS = 5;
/** The server sees the ends of 5,000 connections in the turns after them. */
const SETTLE_MS = 1500;
const TIMEOUT_MS = 60_000;
/** Asked by the runner itself, or by keeping a connection. */
const NOT_COUNTED = /^(info|ping|client\|.*|hello|auth|select)$/;

interface Storm {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly redisCpuSeconds: number;
  readonly commands: Readonly<Record<string, number>>;
  readonly wrong: string | null;
}

const missedBy = (index: number) => MISSED - SPREAD + (index % (2 * SPREAD + 1));

async function commandCounts(redis: Redis): Promise<Record<string, number>> {
  const text = await redis.info('commandstats');
  const counts = [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)];
  return Object.fromEntries(counts.map(([, name, calls]) => [name as string, Number(calls)]));
}

function countedSince(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, calls]) => [name, calls - (before[name] ?? 0)] as const)
      .filter(([name, calls]) => calls > 0 && !NOT_COUNTED.test(name)),
  );
}

async function comeBack(server: RunningTarget, load: Load, redis: Redis): Promise<Storm> {
  const entries = await redis.xrange(STREAM, '-', '+');
  const ids = entries.map(([id]) => id);
  const kinds = 2 * SPREAD + 1;
  const missed = Array.from({ length: kinds }, (_, index) => missedBy(index));
  const paths = missed.map((count) => `${server.subscribe.path}?after=${ids.at(-1 - count)}`);
  const before = await commandCounts(redis);
  const group = { group: 'back', count: SUBSCRIBERS, paths, atOnce: AT_ONCE };
  const { answer, cpuSeconds } = await withCpu([server.pid, server.redisPid ?? server.pid], async () => {
    const { startedUs } = await connectGroup(load.subscribers, { ...server.subscribe, ...group });
    const ask = { group: 'back', messages: missed, timeoutMs: TIMEOUT_MS };
    return { startedUs, reached: await load.subscribers.call('reach', ask) };
  });
  const commands = countedSince(before, await commandCounts(redis));
  const report = await load.subscribers.call('report', { group: 'back' });
  reachedOrThrow(answer.reached, report, MISSED);
  await load.subscribers.call('end', { group: 'back' });
  const expected = Array.from({ length: SUBSCRIBERS }, (_, index) => missedBy(index % kinds));
  const sum = expected.reduce((total, count) => total + count, 0);
  const last = ids.length - 1;
  const exact = report.messages === sum && report.lowestLast === last && report.highestLast === last;
  return {
    seconds: (answer.reached.atUs - answer.startedUs) / 1e6,
    cpuSeconds: cpuSeconds[0] ?? Number.NaN,
    redisCpuSeconds: cpuSeconds[1] ?? Number.NaN,
    commands,
    wrong: exact && report.breaks === 0 ? null : `${report.messages} of ${sum}, ${report.breaks} breaks`,
  };
}

/** Everyone is there and has the whole history; then nobody is, and a little more is published. */
async function cutOff(server: RunningTarget, load: Load, first: number): Promise<void> {
  await connectGroup(load.subscribers, { ...server.subscribe, count: SUBSCRIBERS });
  await load.publisher.call('connect', server.publish);
  const ask = { group: 'readers', messages: HISTORY, timeoutMs: TIMEOUT_MS };
  const [reached] = await Promise.all([
    load.subscribers.call('reach', ask),
    load.publisher.call('burst', { messages: HISTORY, bytes: MESSAGE_BYTES, first }),
  ]);
  reachedOrThrow(reached, await load.subscribers.call('report', { group: 'readers' }), HISTORY);
  await load.subscribers.call('end', { group: 'readers' });
  await load.publisher.call('burst', { messages: MISSED, bytes: MESSAGE_BYTES, first: first + HISTORY });
  await sleep(SETTLE_MS);
}

interface Measured {
  readonly dropped: Storm[];
  readonly restarted: Storm[];
}

async function measure(own: RunningRedis, redis: Redis, repeats: number): Promise<Measured> {
  const load = startLoad();
  const start = async (): Promise<RunningTarget> => ({
    ...(await startRivercast({ keep: { redisUrl: own.url } })),
    redisPid: own.pid,
  });
  const runs: Measured = { dropped: [], restarted: [] };
  let server = await start();
  try {
    for (let repeat = 0; repeat < repeats; repeat++) {
      await cutOff(server, load, repeat * (HISTORY + MISSED));
      runs.dropped.push(await comeBack(server, load, redis));
      await server.stop();
      server = await start();
      runs.restarted.push(await comeBack(server, load, redis));
    }
    return runs;
  } finally {
    await load.stop();
    await server.stop();
  }
}

export async function reconnectStorm(bench: Bench): Promise<Answer> {
  const own = await startRedis();
  const redis = new Redis(own.url);
  try {
    return answerOf(await measure(own, redis, bench.quick ? 1 : 3));
  } finally {
    redis.disconnect();
    await own.stop();
  }
}

function commandsText(commands: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(commands).toSorted(([, left], [, right]) => right - left);
  return sorted.map(([name, calls]) => `${name} ${calls}`).join(', ');
}

function total(commands: Readonly<Record<string, number>>): number {
  return Object.values(commands).reduce((sum, calls) => sum + calls, 0);
}

function answerOf({ dropped, restarted }: Measured): Answer {
  const row = (name: string, runs: readonly Storm[]) => {
    const of = (pick: (run: Storm) => number) => median(runs.map(pick));
    return [
      name,
      `${of((run) => run.seconds).toFixed(2)} s`,
      `${Math.max(...runs.map((run) => run.seconds)).toFixed(2)} s`,
      `${of((run) => run.cpuSeconds).toFixed(2)} s`,
      `${of((run) => run.redisCpuSeconds).toFixed(2)} s`,
      `${of((run) => total(run.commands))}`,
    ];
  };
  const all = [...dropped, ...restarted];
  const worst = Math.max(...all.map((run) => run.seconds));
  const wrong = all.find((run) => run.wrong !== null)?.wrong ?? null;
  const example = (runs: readonly Storm[]) => commandsText(runs.at(-1)?.commands ?? {});
  return {
    question: 'reconnect-storm',
    title: `${short(SUBSCRIBERS)} subscribers come back at once, each missing ${MISSED - SPREAD} to ${MISSED + SPREAD} entries, on Redis`,
    head: ['after', 'until the last caught up', 'worst', 'server CPU', 'Redis CPU', 'Redis commands'],
    rows: [row('their connections were lost', dropped), row('the server was restarted', restarted)],
    verdicts: [
      {
        must: `all caught up in under ${MUST_SECONDS} s, server and Redis on one core`,
        measured: `${worst.toFixed(2)} s at worst`,
        pass: worst < MUST_SECONDS,
      },
      { must: 'each has exactly what it missed, in order', measured: wrong ?? 'yes', pass: wrong === null },
    ],
    notes: [
      `${2 * SPREAD + 1} different cursors; ${AT_ONCE} handshakes under way at once.`,
      `Commands of the last run after lost connections: ${example(dropped)}; after the restart: ${example(restarted)}.`,
      'They include those of scripts, and what the server asks of Redis every few seconds anyway.',
    ],
    figures: {
      droppedSeconds: dropped.map((run) => run.seconds),
      restartedSeconds: restarted.map((run) => run.seconds),
      droppedCommands: dropped.map((run) => total(run.commands)),
      restartedCommands: restarted.map((run) => total(run.commands)),
    },
  };
}
