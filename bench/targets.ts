/**
 * The servers that are compared, each started fresh for one measurement, with a Redis of its own: how to start
 * one, and at which doors it takes and gives messages. What others made is in peers/.
 */
import { join } from 'node:path';
import type { FloorCalls } from './floor.ts';
import type { Door } from './load/dialects.ts';
import { Remote } from './support/calls.ts';
import { nowUs } from './support/clock.ts';
import type { InstrumentedCalls } from './support/instrumented-server.ts';
import {
  answers,
  freePort,
  listening,
  ONE_HELPER,
  type Started,
  scratchDirectory,
  start,
} from './support/processes.ts';
import { startRedis } from './support/redis.ts';

export interface RunningTarget {
  readonly pid: number;
  readonly redisPid: number | null;
  /** Of its Redis. */
  readonly redisUrl?: string | undefined;
  readonly publish: Door;
  readonly subscribe: Door;
  /** From its spawning until it takes connections; ours, until it says that it is ready. */
  readonly readyMs: number;
  stop(): Promise<void>;
}

export interface Target {
  readonly name: string;
  /** Deliveries a second to expect at most: how many messages a run of it should have. */
  readonly expected: number;
  /** For a server without back-pressure: messages on their way at once that show it at its best. */
  readonly window?: (load: { readonly subscribers: number; readonly bytes: number }) => number;
  start(): Promise<RunningTarget>;
}

export type Store = 'redis' | 'embedded';

export interface RivercastOptions {
  readonly store?: Store;
  /** A Redis or a data directory to go on with, instead of a new one. */
  readonly keep?: { readonly redisUrl?: string; readonly dataDirectory?: string };
  /** Instead of any free one. */
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
}

const here = import.meta.dirname;
const COMMAND_LINE = join(here, '../src/cli/main.js');
const INSTRUMENTED = join(here, 'support/instrumented-server.js');

/** By which Rivercast gives messages; those that are measured beside the first are further rows. */
export const RIVERCAST_DOORS: Readonly<Record<string, (port: number) => Door>> = {
  Rivercast: (port) => ({ dialect: 'raw', port, path: '/ws/broadcast' }),
  'Rivercast, v1': (port) => ({ dialect: 'v1', port, path: '/ws/broadcast?channel=local-q' }),
  'Rivercast, SSE': (port) => ({ dialect: 'events', port, path: '/sse?channel=local-q' }),
};

function doors(port: number): Pick<RunningTarget, 'publish' | 'subscribe'> {
  const subscribe: Door = { dialect: 'raw', port, path: '/ws/broadcast' };
  return { publish: { dialect: 'raw', port, path: '/ws/manager' }, subscribe };
}

/** `BENCH_CPU_PROFILE=<directory>` profiles the server under test; its figures then mean little. */
const profileDirectory = process.env['BENCH_CPU_PROFILE'];
const profiling = profileDirectory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`];
/** As the makefile, the image and the unit of systemd start ours; the others that Node runs have it too. */
const nodeFlags = [...ONE_HELPER, ...profiling];

export const rivercast: Target = { name: 'Rivercast', expected: 20e6, start: () => startRivercast() };

/** The same server by another of its doors. */
export const RIVERCAST_ROWS: readonly Target[] = Object.entries(RIVERCAST_DOORS)
  .filter(([name]) => name !== rivercast.name)
  .map(([name, door]) => ({ name, expected: rivercast.expected, start: () => startAt(door) }));

async function startAt(door: (port: number) => Door): Promise<RunningTarget> {
  const running = await startRivercast();
  return { ...running, subscribe: door(running.subscribe.port) };
}

export async function startRivercast(options: RivercastOptions = {}): Promise<RunningTarget> {
  const { target, server } = await prepareRivercast(options, [COMMAND_LINE, 'serve'], false);
  const secure = options.env?.['TLS_CERT'] !== undefined;
  const subscribe = { ...target.subscribe, secure };
  return { ...target, subscribe, readyMs: await ready(subscribe, server) };
}

export interface InstrumentedTarget extends RunningTarget {
  readonly remote: Remote<InstrumentedCalls>;
}

export async function startInstrumented(options: RivercastOptions = {}): Promise<InstrumentedTarget> {
  const { target, server } = await prepareRivercast(options, ['--expose-gc', INSTRUMENTED], true);
  const readyMs = await ready(target.subscribe, server);
  return { ...target, readyMs, remote: new Remote<InstrumentedCalls>(server.child) };
}

/** One that speaks TLS is taken to be when it listens: nobody here trusts it. */
async function ready({ port, secure = false }: Door, server: Started): Promise<number> {
  const listensMs = await listening(port, server);
  if (secure) return listensMs;
  await answers(`http://127.0.0.1:${port}/readyz`);
  return (nowUs() - server.spawnedUs) / 1000;
}

async function prepareRivercast(
  options: RivercastOptions,
  args: readonly string[],
  calls: boolean,
): Promise<{ target: Omit<RunningTarget, 'readyMs'>; server: Started }> {
  const { keep = {}, store = 'redis' } = options;
  const port = options.port ?? (await freePort());
  const redis = store === 'redis' && keep.redisUrl === undefined ? await startRedis() : null;
  const env: Record<string, string> = {
    PORT: `${port}`,
    LOG_LEVEL: 'warn',
    DRAIN_SECONDS: '0',
    DATA_DIR: keep.dataDirectory ?? scratchDirectory(),
    ...options.env,
  };
  const redisUrl = keep.redisUrl ?? redis?.url;
  if (redisUrl !== undefined) env['REDIS_URL'] = redisUrl;
  const server = start(process.execPath, [...nodeFlags, ...args], { core: 'server', calls, env });
  const stop = async () => {
    await server.stop();
    await redis?.stop();
  };
  return {
    server,
    target: { pid: server.pid, redisPid: redis?.pid ?? null, redisUrl, ...doors(port), stop },
  };
}

export const baseline: Target = {
  name: 'ws + ioredis',
  expected: 0.3e6,
  start: async () => {
    const port = await freePort();
    const redis = await startRedis();
    const server = start(process.execPath, [...nodeFlags, join(here, 'baselines/ws-ioredis.js')], {
      core: 'server',
      env: { PORT: `${port}`, REDIS_URL: redis.url },
    });
    const readyMs = await listening(port, server);
    const stop = async () => {
      await server.stop();
      await redis.stop();
    };
    return { pid: server.pid, redisPid: redis.pid, redisUrl: redis.url, ...doors(port), readyMs, stop };
  },
};

export interface RunningFloor {
  readonly subscribe: Door;
  readonly pid: number;
  readonly remote: Remote<FloorCalls>;
  stop(): Promise<void>;
}

export async function startFloor(): Promise<RunningFloor> {
  const port = await freePort();
  const server = start(process.execPath, [...ONE_HELPER, '--expose-gc', join(here, 'floor.js')], {
    core: 'server',
    calls: true,
    env: { PORT: `${port}` },
  });
  await listening(port, server);
  const subscribe: Door = { dialect: 'raw', port, path: '/' };
  const remote = new Remote<FloorCalls>(server.child);
  return { subscribe, pid: server.pid, remote, stop: () => server.stop() };
}
