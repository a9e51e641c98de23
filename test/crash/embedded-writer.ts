/**
 * A process that appends to an embedded log until it is killed, or until the log fails. Each entry carries its
 * own ordinal, so whoever reads the log later can tell a lost, doubled or torn entry from its text alone.
 *
 *   node embedded-writer.js <dataDir> [batches]
 *
 *   ack <channel> <ordinal> <id>      printed once the append has resolved, never before
 *   done                              `batches` were appended, the log is closed
 *   failed <message>                  an append was rejected; followed by `after <what still holds>`
 */
import { writeSync } from 'node:fs';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { StartError } from '../../src/errors.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import { batchSize, WRITER_CHANNELS, writtenText } from './written.ts';

const [dataDir = '', batches = 'Infinity'] = process.argv.slice(2);

/** Written at once: a line that waits in a buffer would be lost with the process. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

async function appendBatches(log: EmbeddedLog, channel: string): Promise<void> {
  let { tipOrdinal } = await log.bounds(channel);
  for (let i = 0; i < Number(batches); i++) {
    const first = tipOrdinal + 1;
    const count = batchSize(first);
    const entries = Array.from({ length: count }, (_, k) => ({
      type: 'text' as const,
      data: Buffer.from(writtenText(channel, first + k)),
    }));
    const results = await log.append(channel, entries);
    for (const [k, { id }] of results.entries()) say(`ack ${channel} ${first + k} ${id}`);
    tipOrdinal += count;
  }
}

async function isRejected(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(
    () => false,
    () => true,
  );
}

async function sayWhatHolds(log: EmbeddedLog, failures: number): Promise<void> {
  const [channel = ''] = WRITER_CHANNELS;
  const start = await log.locate(channel, { at: 'earliest' });
  const page = await log.read(channel, start, { maxEntries: 10, maxBytes: 100_000 });
  const appendRejects = await isRejected(log.append(channel, [{ type: 'text', data: Buffer.from('no') }]));
  const trimRejects = await isRejected(log.trim(channel, { maxEntries: 1 }));
  const probeRejects = await isRejected(log.probe());
  say(
    `after ${JSON.stringify({ failures, appendRejects, trimRejects, probeRejects, read: page.entries.length })}`,
  );
}

try {
  let failures = 0;
  const log = await EmbeddedLog.open({
    dataDir,
    clock: systemClock,
    retention: () => DEFAULT_RETENTION,
    onFailure: () => {
      failures += 1;
    },
  });
  say('open');
  try {
    await Promise.all(WRITER_CHANNELS.map((channel) => appendBatches(log, channel)));
    await log.close();
    say('done');
  } catch (error) {
    say(`failed ${String(error)}`);
    await sayWhatHolds(log, failures);
    await log.close();
  }
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  say(`refused ${error.message}`);
  process.exitCode = error.exitCode;
}
