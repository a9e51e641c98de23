/**
 * How many messages a second are taken in: acknowledged one by one (`rivercast.v1`, 64 unanswered on each of 8
 * connections), and raw, as fast as the connections take them, until the log has them all?
 *
 * What Redis itself takes is asked of `redis-benchmark` in the same run, on a Redis of its own: XADD of the same
 * payload, 64 in a pipeline. A server that shares its core with Redis can not come near it; the ratio says how much
 * of it is left. In the embedded log each message is flushed to disk before its acknowledgement.
 */
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Answer, type Bench, median, percent, short, times, type Verdict } from '../answer.ts';
import { startAcknowledged, withCpu } from '../load/load.ts';
import { nowUs } from '../support/clock.ts';
import { pinned } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { baseline, type RunningTarget, startRivercast } from '../targets.ts';

const BYTES = 128;
const CONNECTIONS = 8;
const WINDOW = 64;
const PIPELINE = 64;
const MUST_REDIS_SHARE = 0.15;
const MUST_EMBEDDED = 100_000;
const MUST_RAW = 8;
const POLL_MS = 5;
const TIMEOUT_MS = 120_000;
const WARM_UP = 20_000;

/** Messages a second, and the share of a core that the server and its Redis took. */
interface Taken {
  readonly perSecond: number;
  readonly serverBusy: number;
  readonly redisBusy: number;
}

type Row = readonly [name: string, measure: (messages: number) => Promise<Taken>];

const XADD = 'redis-benchmark, XADD -P 64';
const ACKNOWLEDGED = 'Rivercast v1, Redis';
const KEYED = 'Rivercast v1 with keys, Redis';
const EMBEDDED = 'Rivercast v1, embedded';
const KEYED_EMBEDDED = 'Rivercast v1 with keys, embedded';
const RAW = 'Rivercast raw, Redis';
const RAW_EMBEDDED = 'Rivercast raw, embedded';
const BASELINE = `${baseline.name} raw`;

const ROWS: readonly Row[] = [
  [XADD, xadd],
  [ACKNOWLEDGED, async (messages) => acknowledged(await startRivercast(), messages, null)],
  [KEYED, async (messages) => acknowledged(await startRivercast(), messages, 'k')],
  [EMBEDDED, async (messages) => acknowledged(await startRivercast({ store: 'embedded' }), messages, null)],
  [
    KEYED_EMBEDDED,
    async (messages) => acknowledged(await startRivercast({ store: 'embedded' }), messages, 'k'),
  ],
  [RAW, async (messages) => raw(await startRivercast(), messages)],
  [RAW_EMBEDDED, async (messages) => raw(await startRivercast({ store: 'embedded' }), messages)],
  [BASELINE, async (messages) => raw(await baseline.start(), messages / 4)],
];

async function xadd(messages: number): Promise<Taken> {
  const redis = await startRedis();
  try {
    const { port } = new URL(redis.url);
    const command = ['redis-benchmark', '-p', port, '-c', `${CONNECTIONS}`, '-P', `${PIPELINE}`];
    command.push('-n', `${messages}`, '--csv', 'XADD', 'bench', '*', 'data', 'x'.repeat(BYTES));
    const [file = '', ...args] = pinned ? ['taskset', '-c', '1', ...command] : command;
    const { stdout } = spawnSync(file, args, { encoding: 'utf8' });
    const perSecond = Number(/^"XADD[^\n]*?","([\d.]+)"/m.exec(stdout)?.[1]);
    if (!(perSecond > 0)) throw new Error(`redis-benchmark says: ${stdout}`);
    return { perSecond, serverBusy: Number.NaN, redisBusy: Number.NaN };
  } finally {
    await redis.stop();
  }
}

async function acknowledged(server: RunningTarget, messages: number, keys: string | null): Promise<Taken> {
  const { remote, process: client } = startAcknowledged();
  const ask = { port: server.publish.port, path: server.publish.path, bytes: BYTES, window: WINDOW };
  const flood = (count: number, keyed: string | null) =>
    remote.call('flood', { ...ask, connections: CONNECTIONS, messages: count, keys: keyed });
  try {
    await flood(WARM_UP, keys === null ? null : `warm-${keys}`);
    const { answer, cpuSeconds } = await withCpu([server.pid, server.redisPid ?? server.pid], () =>
      flood(messages, keys),
    );
    const seconds = (answer.endedUs - answer.startedUs) / 1e6;
    return takenOf(answer.acknowledged / seconds, cpuSeconds, seconds);
  } finally {
    await client.stop();
    await server.stop();
  }
}

async function raw(server: RunningTarget, messages: number): Promise<Taken> {
  const { remote, process: client } = startAcknowledged();
  const redis = server.redisUrl === undefined ? null : new Redis(server.redisUrl);
  const stored = async (): Promise<number> => {
    if (redis !== null) return (await redis.xlen('local-q')) + (await redis.xlen('baseline'));
    const answer = await fetch(`http://127.0.0.1:${server.publish.port}/api/channels/local-q`);
    return ((await answer.json()) as { length: number }).length;
  };
  const { port, path } = server.publish;
  const pour = async (count: number): Promise<{ sent: number; startedUs: number; endedUs: number }> => {
    const before = await stored();
    const answer = await remote.call('pour', {
      port,
      path,
      bytes: BYTES,
      connections: CONNECTIONS,
      messages: count,
    });
    const deadline = nowUs() + TIMEOUT_MS * 1000;
    while ((await stored()) < before + answer.sent) {
      if (nowUs() > deadline) throw new Error(`stored ${(await stored()) - before} of ${answer.sent}`);
      await sleep(POLL_MS);
    }
    return { ...answer, endedUs: nowUs() };
  };
  try {
    await pour(WARM_UP);
    const { answer, cpuSeconds } = await withCpu([server.pid, server.redisPid ?? server.pid], () =>
      pour(messages),
    );
    const seconds = (answer.endedUs - answer.startedUs) / 1e6;
    return takenOf(answer.sent / seconds, cpuSeconds, seconds);
  } finally {
    redis?.disconnect();
    await client.stop();
    await server.stop();
  }
}

function takenOf(perSecond: number, cpuSeconds: readonly number[], seconds: number): Taken {
  const [server = Number.NaN, redis = Number.NaN] = cpuSeconds.map((cpu) => cpu / seconds);
  return { perSecond, serverBusy: server, redisBusy: redis };
}

export async function publish(bench: Bench): Promise<Answer> {
  const repeats = bench.quick ? 1 : 3;
  const messages = bench.quick ? 200_000 : 800_000;
  const runs: Record<string, Taken[]> = {};
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [name, measure] of ROWS) {
      const taken = await measure(messages);
      (runs[name] ??= []).push(taken);
      bench.say(`  ${name}: ${short(taken.perSecond)} messages/s`);
    }
  }
  const rate = (name: string): number => median((runs[name] ?? []).map((run) => run.perSecond));
  const busy = (name: string, pick: (run: Taken) => number): string => {
    const value = median((runs[name] ?? []).map(pick));
    return Number.isNaN(value) ? '' : percent(value);
  };
  return {
    question: 'publish',
    title: `Publishing, ${BYTES} B: as fast as it goes`,
    head: ['who', 'messages/s', 'of redis-benchmark', 'server CPU', 'Redis CPU'],
    rows: ROWS.map(([name]) => [
      name,
      short(rate(name)),
      times(rate(name) / rate(XADD)),
      busy(name, (run) => run.serverBusy),
      name.includes('embedded') ? '' : busy(name, (run) => run.redisBusy),
    ]),
    verdicts: verdictsOf(rate),
    notes: [
      `v1: ${WINDOW} unanswered on each of ${CONNECTIONS} connections; every acknowledgement checked to be the next one. Raw: ${CONNECTIONS} connections, until the log has all. Median of ${repeats} interleaved runs. Frames have random masks.`,
      'In the embedded log every message is flushed to disk before its acknowledgement.',
    ],
    charts: [
      {
        file: 'publish',
        title: `Publishing, ${BYTES} B`,
        axis: 'messages a second; longer is better',
        groups: [
          {
            label: '',
            bars: ROWS.map(([label]) => ({ label, value: rate(label), text: short(rate(label)) })),
          },
        ],
      },
    ],
    figures: Object.fromEntries(
      Object.entries(runs).map(([name, list]) => [name, list.map((run) => run.perSecond)]),
    ),
  };
}

function verdictsOf(rate: (name: string) => number): Verdict[] {
  const share = rate(ACKNOWLEDGED) / rate(XADD);
  const ratio = rate(RAW) / rate(BASELINE);
  return [
    {
      must: `acknowledged on Redis: at least ${MUST_REDIS_SHARE} of redis-benchmark's XADD`,
      measured: share.toFixed(2),
      pass: share >= MUST_REDIS_SHARE,
    },
    {
      must: `acknowledged on the embedded log, each flushed first: at least ${short(MUST_EMBEDDED)}/s`,
      measured: `${short(rate(EMBEDDED))}/s`,
      pass: rate(EMBEDDED) >= MUST_EMBEDDED,
    },
    {
      must: `raw on Redis: at least ${MUST_RAW} times ${baseline.name}`,
      measured: times(ratio),
      pass: ratio >= MUST_RAW,
    },
  ];
}
