/**
 * A child process that does at a fixed rate what no store can do without: it adds a few bytes to a file and waits
 * for the disk (`write`, `fdatasync`).
 */
import { fdatasync, openSync, write } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { answerCalls } from '../support/calls.ts';
import { nowUs } from '../support/clock.ts';
import { Histogram } from '../support/histogram.ts';
import type { FlushCalls } from './calls.ts';

const writeTo = promisify(write);
const flush = promisify(fdatasync);

async function pace(ask: FlushCalls['pace']['ask']): Promise<FlushCalls['pace']['answer']> {
  const file = openSync(join(ask.directory, 'flushed'), 'a');
  const bytes = Buffer.alloc(ask.bytes, 'x');
  const latencies = new Histogram();
  for (let index = 0; index < ask.messages; index++) {
    await sleep(1000 / ask.perSecond);
    const startedUs = nowUs();
    await writeTo(file, bytes);
    await flush(file);
    latencies.record(nowUs() - startedUs);
  }
  return { latencies: latencies.distribution() };
}

answerCalls<FlushCalls>({ pace });
