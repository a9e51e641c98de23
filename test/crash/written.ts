/** What the writer process writes, and whether a log holds it. */
import assert from 'node:assert/strict';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';

export const WRITER_CHANNELS: readonly string[] = ['one', 'two'];

/** Lengths differ, so that entries lie across pages and on overflow pages too. */
export function writtenText(channel: string, ordinal: number): string {
  return `${channel}/${ordinal}/${'x'.repeat((ordinal * 37) % 5000)}`;
}

/** How many entries the writer appends together when the first has this ordinal. */
export function batchSize(first: number): number {
  return 1 + (first % 13);
}

export interface Acknowledged {
  readonly channel: string;
  readonly ordinal: number;
  readonly id: string;
}

export function acknowledged(lines: readonly string[]): Acknowledged[] {
  return lines
    .filter((line) => line.startsWith('ack '))
    .map((line) => line.split(' '))
    .map(([, channel = '', ordinal = '', id = '']) => ({ channel, ordinal: Number(ordinal), id }));
}

export function openLog(dataDir: string, onFailure: (error: Error) => void = () => {}): Promise<EmbeddedLog> {
  return EmbeddedLog.open({ dataDir, clock: systemClock, retention: () => DEFAULT_RETENTION, onFailure });
}

/** Every acknowledged entry is there exactly once, in order, whole; what else is there is whole too. */
export async function assertHolds(dataDir: string, promised: readonly Acknowledged[]): Promise<void> {
  const log = await openLog(dataDir);
  try {
    for (const channel of WRITER_CHANNELS) {
      const ids: string[] = [];
      let after = await log.locate(channel, { at: 'earliest' });
      for (;;) {
        const page = await log.read(channel, after, { maxEntries: 1000, maxBytes: 1024 * 1024 });
        assert.deepEqual(page.gaps, []);
        if (page.entries.length === 0) break;
        for (const { id, data, ordinal } of page.entries) {
          ids.push(id);
          assert.equal(ordinal, ids.length);
          assert.equal(data.toString(), writtenText(channel, ids.length));
        }
        after = page.end;
      }
      const bounds = await log.bounds(channel);
      assert.deepEqual([bounds.length, bounds.tipOrdinal], [ids.length, ids.length]);
      for (const ack of promised.filter((candidate) => candidate.channel === channel)) {
        assert.equal(ids[ack.ordinal - 1], ack.id, `${channel} ${ack.ordinal} is stored under its id`);
      }
    }
  } finally {
    await log.close();
  }
}
