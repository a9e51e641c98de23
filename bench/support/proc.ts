/** What Linux says of another process: CPU time and resident memory. Elsewhere every figure is NaN. */
import { readFileSync, writeFileSync } from 'node:fs';

export interface CpuTime {
  readonly userSeconds: number;
  readonly systemSeconds: number;
}

/** USER_HZ: what /proc counts in, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const MIB = 1024 * 1024;

export function cpuTime(pid: number): CpuTime {
  const stat = readOrEmpty(`/proc/${pid}/stat`);
  // The command name may hold spaces and brackets: count the fields after its closing one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    userSeconds: Number(fields[11]) / TICKS_PER_SECOND,
    systemSeconds: Number(fields[12]) / TICKS_PER_SECOND,
  };
}

export function cpuSince(pid: number, before: CpuTime): number {
  const now = cpuTime(pid);
  return now.userSeconds - before.userSeconds + now.systemSeconds - before.systemSeconds;
}

export function residentMib(pid: number): number {
  return statusField(pid, 'VmRSS');
}

/** The highest resident memory since the start of the process or the last `forgetPeak`. */
export function peakResidentMib(pid: number): number {
  return statusField(pid, 'VmHWM');
}

export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not allowed here: the peak then covers the process's whole life, which can only overstate growth.
  }
}

function statusField(pid: number, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readOrEmpty(`/proc/${pid}/status`));
  return match === null ? Number.NaN : (Number(match[1]) * 1024) / MIB;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
