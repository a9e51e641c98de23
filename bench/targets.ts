/**
 * The servers that are compared, each started fresh for one measurement, with a Redis of its own. A further
 * peer is one more entry of this kind: how to start it, and at which paths it takes and gives messages.
 */
import { join } from 'node:path';
import type { FloorCalls } from './floor.ts';
import { Remote } from './support/calls.ts';
import type { InstrumentedCalls } from './support/instrumented-server.ts';
import { answers, freePort, listening, type Started, scratchDirectory, start } from './support/processes.ts';
import { startRedis } from './support/redis.ts';

export interface RunningTarget {
  readonly port: number;
  readonly pid: number;
  readonly redisPid: number | null;
  readonly publishPath: string;
  readonly subscribePath: string;
  stop(): Promise<void>;
}

export interface Target {
  readonly name: string;
  start(): Promise<RunningTarget>;
}

export type Store = 'redis' | 'embedded';

export interface RivercastOptions {
  readonly store?: Store;
  /** A Redis or a data directory to go on with, instead of a new one. */
  readonly keep?: { readonly redisUrl?: string; readonly dataDirectory?: string };
  readonly env?: Readonly<Record<string, string>>;
}

const here = import.meta.dirname;
const COMMAND_LINE = join(here, '../src/cli/main.js');
const INSTRUMENTED = join(here, 'support/instrumented-server.js');
const PATHS = { publishPath: '/ws/manager', subscribePath: '/ws/broadcast' };

/** `BENCH_CPU_PROFILE=<directory>` profiles the server under test; its figures then mean little. */
const profileDirectory = process.env['BENCH_CPU_PROFILE'];
const profiling = profileDirectory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`];

export const rivercast: Target = { name: 'Rivercast', start: () => startRivercast() };

export async function startRivercast(options: RivercastOptions = {}): Promise<RunningTarget> {
  const { target, server } = await prepareRivercast(options, [COMMAND_LINE, 'serve'], false);
  await ready(target.port, server);
  return target;
}

export interface InstrumentedTarget extends RunningTarget {
  readonly remote: Remote<InstrumentedCalls>;
}

export async function startInstrumented(options: RivercastOptions = {}): Promise<InstrumentedTarget> {
  const { target, server } = await prepareRivercast(options, ['--expose-gc', INSTRUMENTED], true);
  await ready(target.port, server);
  return { ...target, remote: new Remote<InstrumentedCalls>(server.child) };
}

async function ready(port: number, server: Started): Promise<void> {
  await listening(port, server.child);
  await answers(`http://127.0.0.1:${port}/readyz`);
}

async function prepareRivercast(
  options: RivercastOptions,
  args: readonly string[],
  calls: boolean,
): Promise<{ target: RunningTarget; server: Started }> {
  const { keep = {}, store = 'redis' } = options;
  const port = await freePort();
  const redis = store === 'redis' && keep.redisUrl === undefined ? await startRedis() : null;
  const env: Record<string, string> = {
    PORT: `${port}`,
    LOG_LEVEL: 'warn',
    DATA_DIR: keep.dataDirectory ?? scratchDirectory(),
    ...options.env,
  };
  if (store === 'redis') env['REDIS_URL'] = keep.redisUrl ?? redis?.url ?? '';
  const server = start(process.execPath, [...profiling, ...args], { core: 'server', calls, env });
  const stop = async () => {
    await server.stop();
    await redis?.stop();
  };
  return { server, target: { port, pid: server.pid, redisPid: redis?.pid ?? null, ...PATHS, stop } };
}

export const baseline: Target = {
  name: 'ws + ioredis',
  start: async () => {
    const port = await freePort();
    const redis = await startRedis();
    const server = start(process.execPath, [...profiling, join(here, 'baselines/ws-ioredis.js')], {
      core: 'server',
      env: { PORT: `${port}`, REDIS_URL: redis.url },
    });
    await listening(port, server.child);
    const stop = async () => {
      await server.stop();
      await redis.stop();
    };
    return { port, pid: server.pid, redisPid: redis.pid, ...PATHS, stop };
  },
};

export interface RunningFloor {
  readonly port: number;
  readonly pid: number;
  readonly remote: Remote<FloorCalls>;
  stop(): Promise<void>;
}

export async function startFloor(): Promise<RunningFloor> {
  const port = await freePort();
  const server = start(process.execPath, ['--expose-gc', join(here, 'floor.js')], {
    core: 'server',
    calls: true,
    env: { PORT: `${port}` },
  });
  await listening(port, server.child);
  return { port, pid: server.pid, remote: new Remote<FloorCalls>(server.child), stop: () => server.stop() };
}
