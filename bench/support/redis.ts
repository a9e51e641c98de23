/** A Redis of our own: free port, temporary directory, nothing persisted, on the server's core. */
import { spawnSync } from 'node:child_process';
import { freePort, listening, type Started, scratchDirectory, start } from './processes.ts';

export interface RunningRedis {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

export async function startRedis(): Promise<RunningRedis> {
  const port = await freePort();
  const directory = scratchDirectory();
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory];
  args.push('--save', '', '--appendonly', 'no', '--daemonize', 'no', '--logfile', `${directory}/redis.log`);
  const redis: Started = start('redis-server', args, { core: 'server' });
  await listening(port, redis);
  return { pid: redis.pid, url: `redis://127.0.0.1:${port}`, stop: () => redis.stop() };
}

/** The version, or null when there is no redis-server: the questions that need one are then skipped. */
export function redisVersion(): string | null {
  const { status, stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  return status === 0 ? (/v=(\S+)/.exec(stdout)?.[1] ?? 'unknown') : null;
}
