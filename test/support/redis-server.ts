/**
 * A real redis-server of one's own: a free port, a temporary directory, no configuration but what the test
 * asks for. `await using` ends the process and removes the directory.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { until } from './within.ts';

const START_TRIES = 5;
const START_MS = 10_000;
const run = promisify(execFile);

export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly dir: string;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;

  private constructor(port: number, dir: string, args: readonly string[]) {
    this.port = port;
    this.dir = dir;
    this.#args = args;
  }

  /** `args` as on the command line: `--requirepass x`. */
  static async start(...args: string[]): Promise<RedisServer> {
    const server = await RedisServer.reserve(...args);
    await server.restart();
    return server;
  }

  /** A port and a directory, nothing running yet: `restart()` starts it. */
  static async reserve(...args: string[]): Promise<RedisServer> {
    const dir = await mkdtemp(join(tmpdir(), 'rivercast-redis-'));
    return new RedisServer(await freePort(), dir, args);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it (again) on the same port and directory and waits until it answers. */
  async restart(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#spawn();
        return;
      } catch (error) {
        await this.kill();
        if (tries >= START_TRIES) throw error;
        await delay(50 * tries);
      }
    }
  }

  /** As an operator stops it: what has to be saved is. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /**
   * Mends the append-only file with Redis' own tool, while the server is down. A crash in the middle of a
   * transaction's write leaves its beginning in the file; Redis 7 leaves it there too, without its end, and
   * at the restart after that runs it together with the next transaction (valkey-io/valkey#4342).
   */
  async mendAppendOnlyFile(): Promise<void> {
    const manifest = join(this.dir, 'appendonlydir', 'appendonly.aof.manifest');
    const mending = run('redis-check-aof', ['--fix', manifest], { timeout: 30_000 });
    // It may have nothing to ask, and be gone before it is answered.
    mending.child.stdin?.on('error', () => undefined).end('y\n');
    await mending;
  }

  /** What redis-cli prints, without the newline at the end. */
  async cli(...args: string[]): Promise<string> {
    const password = this.#args[this.#args.indexOf('--requirepass') + 1] ?? '';
    const auth = this.#args.includes('--requirepass') ? ['--no-auth-warning', '-a', password] : [];
    const { stdout } = await run('redis-cli', ['-p', String(this.port), ...auth, ...args], {
      maxBuffer: 256 * 1024 * 1024,
      timeout: 30_000,
    });
    return stdout.replace(/\n$/, '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.dir, { recursive: true, force: true });
  }

  async #spawn(): Promise<void> {
    const fixed = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.dir, '--save', ''];
    const child = spawn('redis-server', [...fixed, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    // 'exit' alone: 'close' would wait for the output to be read.
    const exited = once(child, 'exit').then(() => {
      throw new Error('redis-server ended at once: is the port taken?');
    });
    const ready = this.#untilReady(child);
    try {
      await Promise.race([ready, exited]);
    } finally {
      exited.catch(() => undefined);
      ready.catch(() => undefined);
    }
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    let output = '';
    const signal = AbortSignal.timeout(START_MS);
    child.stdout?.setEncoding('utf8');
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error(`redis-server does not start: ${output}`)));
      child.stdout?.on('data', (text: string) => {
        output = (output + text).slice(-4096);
        if (output.includes('Ready to accept connections')) resolve();
      });
    });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    // A stopped process takes a SIGTERM only once it goes on.
    child.kill('SIGCONT');
    await exited;
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Resolves once `count` clients block in a read, or more. */
export async function untilBlocked(server: RedisServer, count: number): Promise<void> {
  await until(`${count} clients block`, async () => (await blockedClients(server)) >= count);
}

export async function blockedClients(server: RedisServer): Promise<number> {
  return Number(/blocked_clients:(\d+)/.exec(await server.cli('INFO', 'clients'))?.[1]);
}
