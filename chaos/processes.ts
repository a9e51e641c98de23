/**
 * Child processes of a run. Each is known here until it has ended, so that none outlives the run: whatever is left
 * is ended with this process, also when that ends by an exception that nobody caught.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';

const running: Set<ChildProcess> = new Set();

process.once('exit', endAll);

export interface ChildOptions {
  readonly args: readonly string[];
  /** The file that gets what it prints. */
  readonly log: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export function startChild(command: string, { args, log, env = {}, cwd }: ChildOptions): ChildProcess {
  const file = openSync(log, 'a');
  const { PATH = '' } = process.env;
  const child = spawn(command, [...args], { cwd, env: { PATH, ...env }, stdio: ['ignore', file, file] });
  closeSync(file);
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}

/** Sends the signal, wakes it if it was stopped, and resolves with the exit code; null when it was killed. */
export async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exited = once(child, 'exit');
  child.kill(signal);
  child.kill('SIGCONT');
  const [code] = (await exited) as [number | null];
  return code;
}

/** Ends whatever still runs, at once. */
export function endAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
