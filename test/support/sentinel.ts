/** A real Redis Sentinel of one's own: it watches the primaries it is given, and fails them over by itself. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, type RedisServer } from './redis-server.ts';
import { until } from './within.ts';

const run = promisify(execFile);
export const MASTER = 'main';
/** How long a primary may be silent before it is taken for dead. */
const DOWN_MS = 500;

export interface SentinelOptions {
  readonly quorum?: number;
  /** Further lines of its configuration. */
  readonly lines?: readonly string[];
  /** What redis-cli needs to be let in. */
  readonly cli?: readonly string[];
  /** The port by which the primary is known. */
  readonly masterPort?: number;
}

export class Sentinel implements AsyncDisposable {
  readonly port: number;
  readonly #dir: string;
  readonly #cliArgs: readonly string[];
  #child: ChildProcess | null = null;

  private constructor(port: number, dir: string, cliArgs: readonly string[]) {
    this.port = port;
    this.#dir = dir;
    this.#cliArgs = cliArgs;
  }

  static async start(
    primary: RedisServer,
    { quorum = 1, lines = [], cli = [], masterPort = primary.port }: SentinelOptions = {},
  ): Promise<Sentinel> {
    const sentinel = new Sentinel(
      await freePort(),
      await mkdtemp(join(tmpdir(), 'rivercast-sentinel-')),
      cli,
    );
    const config = [
      `port ${sentinel.port}`,
      'bind 127.0.0.1',
      `dir ${sentinel.#dir}`,
      `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} ${quorum}`,
      `sentinel down-after-milliseconds ${MASTER} ${DOWN_MS}`,
      `sentinel failover-timeout ${MASTER} 3000`,
      ...lines,
    ];
    await writeFile(sentinel.#path, `${config.join('\n')}\n`);
    await sentinel.restart();
    return sentinel;
  }

  get #path(): string {
    return join(this.#dir, 'sentinel.conf');
  }

  async restart(): Promise<void> {
    this.#child = spawn('redis-server', [this.#path, '--sentinel'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await until('the sentinel answers', async () => (await this.cli('PING').catch(() => '')) === 'PONG');
  }

  async cli(...args: string[]): Promise<string> {
    const { stdout } = await run('redis-cli', ['-p', String(this.port), ...this.#cliArgs, ...args]);
    return stdout.replace(/\n$/, '');
  }

  /** Resolves once it knows so many replicas and other sentinels, and takes the primary for alive. */
  async untilKnows(replicas: number, sentinels: number): Promise<void> {
    const wanted = [
      'num-slaves',
      String(replicas),
      'num-other-sentinels',
      String(sentinels),
      'flags',
      'master',
    ];
    await until(`the sentinel knows ${replicas} replicas and ${sentinels} sentinels`, async () => {
      const told = (await this.cli('SENTINEL', 'MASTER', MASTER)).split('\n');
      return wanted.every((name, i) => i % 2 === 1 || told[told.indexOf(name) + 1] === wanted[i + 1]);
    });
  }

  /** The port of the primary it names. */
  async masterPort(): Promise<number> {
    return Number((await this.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER)).split('\n')[1]);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/** The URL of these sentinels. */
export function sentinelUrl(
  sentinels: readonly { readonly port: number }[],
  { user = '', after = '' }: { readonly user?: string; readonly after?: string } = {},
): string {
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  return `redis+sentinel://${user}${hosts}/${MASTER}${after}`;
}
