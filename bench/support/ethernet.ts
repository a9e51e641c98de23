/**
 * Asks a question where loopback has the packet size of an Ethernet: in a network namespace of its own, which
 * takes root, `unshare` and `ip`.
 *
 * Loopback's own packets are 64 KiB, and the kernel sizes a new socket's send buffer by them: it takes 4 MB for
 * a peer that never reads, where it takes some 100 KB for one behind an Ethernet. What peers cost that do not
 * read must not be measured with that.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Answer } from '../answer.ts';

const PACKET_BYTES = 1500;
const INSIDE = 'BENCH_ETHERNET';
const SET_UP = `ip link set lo mtu ${PACKET_BYTES} up`;

/** Whether this process is inside. */
export const isEthernet: boolean = process.env[INSIDE] === '1';

export function canBeEthernet(): boolean {
  return !isEthernet && spawnSync('unshare', ['-n', 'sh', '-c', SET_UP]).status === 0;
}

/** Runs the runner for one question inside, and reads its answer; null when it gave none. */
export async function askInside(name: string, args: readonly string[]): Promise<Answer | null> {
  const [runner] = process.argv.slice(1);
  const command = [
    '-n',
    'sh',
    '-c',
    `${SET_UP} && exec "$0" "$@"`,
    process.execPath,
    runner as string,
    name,
    ...args,
  ];
  const child = spawn('unshare', command, { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } });
  await new Promise((resolve) => child.once('exit', resolve));
  const results = JSON.parse(await readFile(join('build', 'bench-results.json'), 'utf8')) as {
    readonly answers: readonly Answer[];
  };
  return results.answers.find(({ question }) => question === name) ?? null;
}
