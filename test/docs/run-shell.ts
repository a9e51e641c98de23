/** A block of shell commands, or of another language that a command runs, as a reader would run it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { MAIN } from '../support/cli.ts';
import type { Block } from '../support/doc-blocks.ts';
import { within } from '../support/within.ts';

const BLOCK_MS = 30_000;

/** A home with a folder that has `rivercast`. */
export async function makeBin(dir: string): Promise<string> {
  const bin = join(dir, 'bin');
  await mkdir(bin);
  const path = join(bin, 'rivercast');
  await writeFile(path, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
  await chmod(path, 0o755);
  // What is refused is no success.
  await writeFile(join(dir, '.curlrc'), 'fail-with-body\nsilent\nshow-error\n');
  return bin;
}

export interface Place {
  readonly dir: string;
  readonly bin: string;
  readonly address: string;
}

/** Resolves when it ended well, or, one that is endless, when it said something; rejects with what it said. */
export async function runCommand(
  block: Block,
  command: readonly [string, ...string[]],
  place: Place,
): Promise<void> {
  const [name, ...args] = command;
  const isEndless = block.words.has('endless');
  const child = spawn(name, args, {
    cwd: place.dir,
    // A group of its own, so that what it started ends with it.
    detached: true,
    env: {
      ...process.env,
      PATH: [place.bin, process.env['PATH'] ?? '', '/usr/sbin'].join(delimiter),
      HOME: place.dir,
      RIVERCAST_URL: place.address,
      NODE_V8_COVERAGE: '',
    },
    stdio: [isEndless ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const ended = once(child, 'close').then(([code]) => {
    if (code !== 0 || isEndless) throw new Error(`it ended with ${code}:\n${said}`);
  });
  const spoke = new Promise<void>((resolve) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (isEndless) resolve();
    });
  });
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  try {
    await within(`the block: ${said}`, Promise.race([spoke, ended]), BLOCK_MS);
  } finally {
    await end(child, ended);
  }
}

async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    process.kill(-child.pid, 'SIGKILL');
  }
  await ended.catch(() => undefined);
}
