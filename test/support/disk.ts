/** Disks that are in a mood: what each needs of the machine is told by `missing`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** False, or what is missing to mount file systems, as the reason to skip a test. */
export const mountsMissing: string | false = canMount() ? false : 'needs to be root, and allowed to mount';

/** False, or what is missing to make system calls fail. */
export const straceMissing: string | false =
  spawnSync('strace', ['-o', '/dev/null', '--', 'true']).status === 0 ? false : 'needs strace';

/** A file system of its own in memory, of so many MiB, unmounted when the test ends. */
export function smallDisk(t: TestContext, mebibytes: number): string {
  const path = mkdtempSync(join(tmpdir(), 'rivercast-disk-'));
  mount(['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path]);
  t.after(() => {
    spawnSync('umount', ['-l', path]);
    rmdirSync(path);
  });
  return path;
}

export function makeReadOnly(path: string): void {
  mount(['-o', 'remount,ro', path]);
}

/** No file that the command writes may be larger. */
export function withFileLimit(mebibytes: number): string[] {
  return ['sh', '-c', `ulimit -f ${mebibytes * 2048}; exec "$@"`, 'sh'];
}

/** From the `nth` on, the system call fails in the command so; strace stays in the background. */
export function withFault(call: string, fault: string, nth: number): string[] {
  const inject = `inject=${call}:${fault}:when=${nth}+`;
  return ['strace', '-D', '-f', '--seccomp-bpf', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject];
}

/** The command is killed as it enters the `nth` of these system calls. (With --seccomp-bpf strace 6.1 misses all but the first.) */
export function withDeath(call: string, nth: number): string[] {
  const inject = `inject=${call}:signal=SIGKILL:when=${nth}`;
  return ['strace', '-f', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject];
}

function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const path = mkdtempSync(join(tmpdir(), 'rivercast-disk-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path]);
  if (status === 0) spawnSync('umount', [path]);
  rmdirSync(path);
  return status === 0;
}

function mount(args: readonly string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mount ${args.join(' ')}: ${stderr}`);
}
