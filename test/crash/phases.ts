/** What the process that is killed in each phase writes, and whether a log holds it. */
import assert from 'node:assert/strict';
import { DEFAULT_RETENTION, type Retention } from '../../src/channels.ts';
import type { Idempotency } from '../../src/config/shape.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import type { NewEntry } from '../../src/log/log.ts';
import { FROM_ZERO, readAll } from '../contract/log/support.ts';
import { ManualClock } from '../support/clock.ts';

export const START_MS = 1_700_000_000_000;
/** More than the window and a half. */
export const LATER_MS = 2000;

export const PHASE_OPTIONS: {
  readonly retention: () => Retention;
  readonly idempotency: Idempotency;
} = {
  retention: () => DEFAULT_RETENTION,
  idempotency: { windowMs: 1000, maxKeys: 100_000 },
};

/** Each holds its own ordinal, and is known by it. */
export function phaseEntries(first: number, count: number): NewEntry[] {
  return Array.from({ length: count }, (_, i) => ({
    type: 'text',
    data: Buffer.from(String(first + i)),
    key: `key ${first + i}`,
  }));
}

/**
 * Every entry acknowledged in `lines` is there, once, in order, under its id; its key is known; and what was
 * not acknowledged is stored once when it is tried again.
 */
export async function assertPhasesHeld(dataDir: string, lines: readonly string[]): Promise<void> {
  const isLate = lines.includes('phase forgetting');
  const clock = new ManualClock(START_MS + (isLate ? LATER_MS : 0));
  const log = await EmbeddedLog.open({ dataDir, clock, ...PHASE_OPTIONS });
  try {
    const acks = lines.filter((line) => line.startsWith('ack ')).map((line) => line.split(' '));
    const ids = new Map(acks.map(([, ordinal = '', id = '']) => [Number(ordinal), id]));
    const last = Math.max(0, ...ids.keys());
    const { tipOrdinal, length } = await log.bounds('c');
    assert.ok(tipOrdinal >= last, `${tipOrdinal} entries were stored, ${last} acknowledged`);
    const firstKnown = isLate ? 3004 : 1;
    const retries = phaseEntries(firstKnown, Math.max(last, tipOrdinal) + 1 - firstKnown);
    const results = await log.append('c', [...retries, ...phaseEntries(tipOrdinal + 1, 1)]);
    assert.equal(results.at(-1)?.duplicate, false);
    for (const [i, { id, duplicate }] of results.slice(0, -1).entries()) {
      assert.ok(duplicate, `key ${firstKnown + i} is known`);
      assert.equal(id, ids.get(firstKnown + i) ?? id);
    }
    const { entries, gaps } = await readAll(log, 'c', FROM_ZERO);
    assert.deepEqual(
      gaps.filter(({ reason }) => reason !== 'trimmed'),
      [],
    );
    assert.equal(entries.length, length + 1);
    for (const [i, { id, data, ordinal }] of entries.entries()) {
      const expected = tipOrdinal - length + 1 + i;
      assert.deepEqual([ordinal, data.toString()], [expected, String(expected)]);
      assert.equal(id, ids.get(expected) ?? id);
    }
  } finally {
    await log.close();
  }
}
