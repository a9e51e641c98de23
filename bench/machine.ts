/** What the figures were taken on, and what of it weakens them. */
import { readFileSync } from 'node:fs';
import { availableParallelism, release, totalmem } from 'node:os';
import { peersText } from './peers/index.ts';
import { pinned } from './support/processes.ts';
import { redisVersion } from './support/redis.ts';

const GIB = 1024 ** 3;

function cpuModel(): string {
  try {
    return /^model name\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown CPU';
  } catch {
    return 'unknown CPU';
  }
}

export function machine(): string[] {
  return [
    `CPU: ${cpuModel()}, ${availableParallelism()} cores used of it`,
    `Memory: ${(totalmem() / GIB).toFixed(0)} GiB`,
    `System: ${process.platform} ${release()}, Node ${process.version}, Redis ${redisVersion() ?? 'missing'}`,
    `Others: ${peersText()}`,
    pinned
      ? 'Pinned: server and Redis on core 0, load on core 1. Servers in Node have --v8-pool-size=1.'
      : 'NOT pinned (taskset or a second core is missing): server and load disturb each other.',
  ];
}
