/**
 * A process that takes an embedded log through its life once: opening, appends with keys, a long trim, forgetting
 * keys. It says where it is, so that whoever kills it at its nth system call knows what was cut short.
 *
 *   node embedded-phases.js <dataDir> [dies before which acknowledgement]
 *
 *   phase <name>              what comes next
 *   ack <ordinal> <id>        printed once the append has resolved
 *   done                      all of it is over, the log is closed
 */
import { writeSync } from 'node:fs';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import { ManualClock } from '../support/clock.ts';
import { LATER_MS, PHASE_OPTIONS, phaseEntries, START_MS } from './phases.ts';

const [dataDir = '', dies = 'Infinity'] = process.argv.slice(2);
const clock = new ManualClock(START_MS);
let appends = 0;

/** Written at once: a line that waits in a buffer would be lost with the process. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

async function append(log: EmbeddedLog, first: number, count: number): Promise<void> {
  const results = await log.append('c', phaseEntries(first, count));
  appends += 1;
  if (appends === Number(dies)) process.kill(process.pid, 'SIGKILL');
  for (const [i, { id }] of results.entries()) say(`ack ${first + i} ${id}`);
}

say('phase opening');
const log = await EmbeddedLog.open({ dataDir, clock, ...PHASE_OPTIONS });
say('phase appending');
await append(log, 1, 3000);
await append(log, 3001, 2);
await append(log, 3003, 1);
say('phase trimming');
await log.trim('c', { maxEntries: 10 });
say('phase forgetting');
clock.advance(LATER_MS);
for (let i = 0; i < 4; i++) await append(log, 3004 + i, 1);
await log.close();
say('done');
