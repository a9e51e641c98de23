/** The built command as a real process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

export const MAIN: string = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

export interface CliOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What it reads from stdin; `open`: what the test writes to its stdin. Nothing unless told. */
  readonly input?: string | Buffer | { readonly open: true };
  readonly nodeFlags?: readonly string[];
  /** What node runs instead of the built file itself. */
  readonly main?: string;
  /** The command that runs node, such as one that sets a limit. */
  readonly under?: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli {
  readonly child: ChildProcess;
  readonly exit: Promise<Exit>;
  /** The first log line with that message; rejects when the process ends without it. */
  line(message: string): Promise<Record<string, unknown>>;
}

/** Runs until it ends by itself. */
export function runCli(t: TestContext, options: CliOptions): Promise<Exit> {
  return startCli(t, options).exit;
}

/** Starts the command with nothing of this environment but what Node needs; killed when the test ends. */
export function startCli(t: TestContext, options: CliOptions): RunningCli {
  const { PATH = '', NODE_V8_COVERAGE } = process.env;
  const [command, ...args] = [...(options.under ?? []), process.execPath];
  const child = spawn(
    command,
    [...args, ...(options.nodeFlags ?? []), options.main ?? MAIN, ...(options.args ?? [])],
    {
      cwd: options.cwd,
      env: { PATH, ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }), ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    },
  ) as ChildProcess & { readonly stdout: Readable; readonly stderr: Readable };
  t.after(() => child.kill('SIGKILL'));
  // A command may end before it has read everything.
  child.stdin?.on('error', () => undefined);
  if (typeof options.input === 'string' || Buffer.isBuffer(options.input)) child.stdin?.end(options.input);

  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let stdout = '';
  let ended = false;
  const wake = (): void => waiting.forEach((look) => look());
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line);
    wake();
  });
  const exit = once(child, 'close').then(([code]) => {
    ended = true;
    wake();
    return { code: code as number | null, stdout, stderr: lines.map((line) => `${line}\n`).join('') };
  });

  const line = (message: string): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = lines.map(parseLine).find((parsed) => parsed['msg'] === message);
        if (found === undefined && !ended) return;
        waiting.delete(look);
        if (found !== undefined) resolve(found);
        else reject(new Error(`ended without the line "${message}":\n${lines.join('\n')}`));
      };
      waiting.add(look);
      look();
    });
  return { child, exit, line };
}

function parseLine(line: string): Record<string, unknown> {
  return line.startsWith('{') ? (JSON.parse(line) as Record<string, unknown>) : {};
}
