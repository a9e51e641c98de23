/** One redis-server of a run, in whatever part: it keeps its port and its folder, and takes its part at each start. */
import { type ChildProcess, execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { endChild, freePort, startChild } from './processes.ts';

const START_MS = 15_000;
const POLL_MS = 20;
/** A command to a server that is paused ends. */
const COMMAND_MS = 1500;
const run = promisify(execFile);

export class RedisProcess {
  readonly name: string;
  readonly port: number;
  readonly folder: string;
  #child: ChildProcess | null = null;

  private constructor(name: string, port: number, folder: string) {
    this.name = name;
    this.port = port;
    this.folder = folder;
  }

  static async make(name: string, folder: string): Promise<RedisProcess> {
    const own = join(folder, name);
    mkdirSync(own);
    return new RedisProcess(name, await freePort(), own);
  }

  /** Resolves once it answers. */
  async start(...args: readonly string[]): Promise<void> {
    const log = join(this.folder, 'log');
    const child = startChild('redis-server', { args, log, cwd: this.folder });
    this.#child = child;
    child.once('exit', () => {
      if (this.#child === child) this.#child = null;
    });
    const deadline = performance.now() + START_MS;
    // While it loads what it has on disk it answers with an error.
    while ((await this.ask('PING')) !== 'PONG') {
      if (this.#child !== child || performance.now() > deadline)
        throw new Error(`${this.name} does not start; see ${log}`);
      await delay(POLL_MS);
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child !== null) await endChild(child, 'SIGKILL');
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** What redis-cli prints; empty when there is no answer. */
  async ask(...command: readonly string[]): Promise<string> {
    const to = ['-h', '127.0.0.1', '-p', String(this.port)];
    try {
      const { stdout } = await run('redis-cli', [...to, ...command], { timeout: COMMAND_MS });
      return stdout.trim();
    } catch {
      return '';
    }
  }

  /** A crash can leave half a transaction in the file, which the restart after the next would run again. */
  async mendFile(): Promise<void> {
    const manifest = join(this.folder, 'appendonlydir', 'appendonly.aof.manifest');
    if (!existsSync(manifest)) return;
    const mending = run('redis-check-aof', ['--fix', manifest], { timeout: START_MS });
    // It may have nothing to ask, and be gone before it is answered.
    mending.child.stdin?.on('error', () => undefined).end('y\n');
    await mending;
  }
}
