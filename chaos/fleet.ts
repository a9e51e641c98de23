/** The server processes of a run: real ones, each on a port of its own that it keeps through every restart. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endChild, freePort, startChild } from './processes.ts';

export type Role = 'all' | 'manager' | 'broadcaster';

export interface NodeOptions {
  readonly name: string;
  readonly role: Role;
  /** The built command. */
  readonly main: string;
  /** For its log. */
  readonly folder: string;
  readonly settings: Readonly<Record<string, string>>;
  /** Told of an end that nobody asked for. */
  readonly onCrash: (account: string) => void;
}

const START_MS = 20_000;
const POLL_MS = 50;

export class ServerNode {
  readonly name: string;
  readonly role: Role;
  readonly port: number;
  readonly #options: NodeOptions;
  #child: ChildProcess | null = null;
  #isPaused = false;

  private constructor(options: NodeOptions, port: number) {
    this.name = options.name;
    this.role = options.role;
    this.port = port;
    this.#options = options;
  }

  /** It has a port, and does not run yet. */
  static async make(options: NodeOptions): Promise<ServerNode> {
    return new ServerNode(options, await freePort());
  }

  /** Of its process; 0 when there is none. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get isUp(): boolean {
    return this.#child !== null && !this.#isPaused;
  }

  url(scheme: 'ws' | 'http', path: string): string {
    return `${scheme}://127.0.0.1:${this.port}${path}`;
  }

  /** Resolves once it answers; rejects when it does not in time. */
  async start(): Promise<void> {
    const { name, role, main, folder, settings, onCrash } = this.#options;
    const log = join(folder, `${name}.log`);
    const env = { ...settings, ROLE: role, PORT: String(this.port) };
    const child = startChild(process.execPath, { args: ['--enable-source-maps', main, 'serve'], log, env });
    this.#child = child;
    child.once('exit', (code, signal) => {
      if (this.#child !== child) return;
      this.#child = null;
      onCrash(`${name} ended by itself with ${code ?? signal}; see ${log}`);
    });
    const deadline = performance.now() + START_MS;
    while (!(await this.#answers())) {
      if (this.#child !== child) return;
      if (performance.now() > deadline) throw new Error(`${name} does not start`);
      await delay(POLL_MS);
    }
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Resolves with the exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  pause(): void {
    this.#isPaused = true;
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
    this.#isPaused = false;
  }

  async #answers(): Promise<boolean> {
    try {
      const { status } = await fetch(this.url('http', '/healthz'), { signal: AbortSignal.timeout(1000) });
      return status === 200;
    } catch {
      return false;
    }
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = null;
    this.#isPaused = false;
    return child === null ? null : endChild(child, signal);
  }
}
