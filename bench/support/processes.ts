/**
 * Child processes of a benchmark: pinned to a core where that can be done, and ended by their own pid, also
 * when the run is interrupted. The server under test and Redis get the first core, the load the second: a
 * load generator on the server's core would measure itself.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nowUs } from './clock.ts';

/** V8 has one thread beside the one that serves: Node gives it four, which are on the server's core too. */
export const ONE_HELPER: readonly string[] = ['--v8-pool-size=1'];

export type Core = 'server' | 'load';

export interface Started {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly spawnedUs: number;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly core: Core;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the child answers calls over IPC. */
  readonly calls?: boolean;
}

/** Above this a child that was asked to end is killed. */
const STOP_TIMEOUT_MS = 10_000;
const READY_TIMEOUT_MS = 20_000;
const POLL_MS = 3;

const running: Set<ChildProcess> = new Set();
const scratchDirectories: Set<string> = new Set();

/** Whether processes can be pinned; without it server and load disturb each other and the report says so. */
export const pinned: boolean =
  availableParallelism() >= 2 && spawnSync('taskset', ['-c', '0', 'true']).status === 0;

export function start(command: string, args: readonly string[], options: StartOptions): Started {
  const core = options.core === 'server' ? '0' : '1';
  const [file, argv] = pinned ? ['taskset', ['-c', core, command, ...args]] : [command, [...args]];
  const child = spawn(file, argv, {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...options.env },
    // Own process group: Ctrl-C reaches the runner alone, which then ends its children in order.
    detached: true,
    stdio: options.calls === true ? ['ignore', 2, 2, 'ipc'] : ['ignore', 2, 2],
  });
  const spawnedUs = nowUs();
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', (error) => process.stderr.write(`${command}: ${error.message}\n`));
  if (child.pid === undefined) throw new Error(`${command} did not start`);
  return { child, pid: child.pid, spawnedUs, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => killGroup(child), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
}

/** With what it started itself: nginx leaves a worker behind. Each child leads a group of its own. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}

/** A directory that is gone after the run. */
export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'rivercast-bench-'));
  scratchDirectories.add(directory);
  return directory;
}

/** Ends whatever this run started; called once, at the end or on a signal. */
export function endAll(): void {
  for (const child of running) killGroup(child);
  for (const directory of scratchDirectories) rmSync(directory, { recursive: true, force: true });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Resolves once something accepts connections on `port`, with the milliseconds since it was spawned. */
export async function listening(port: number, { child, spawnedUs }: Started): Promise<number> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`the process ended with ${child.exitCode} while starting`);
    if (await accepts(port)) return (nowUs() - spawnedUs) / 1000;
    await sleep(POLL_MS);
  }
  throw new Error(`nothing listens on port ${port} after ${READY_TIMEOUT_MS} ms`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}

/** Resolves once `url` answers 200. */
export async function answers(url: string): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    await sleep(POLL_MS);
  }
  throw new Error(`${url} does not answer 200 after ${READY_TIMEOUT_MS} ms`);
}
