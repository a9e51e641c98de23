/**
 * The embedded log against the log in memory as its model: whatever is done to both, with the same clock, they
 * answer the same. Epochs are random, so each log's own is written as `own` before answers are compared.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import type { FreshStart, Log, TrimPolicy } from '../../src/log/log.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { ManualClock } from '../support/clock.ts';
import { tempDir } from '../support/temp-dir.ts';

const HOW = ['plain', 'own', 'counted', 'other', 'bogus'] as const;

interface ReadStep {
  readonly do: 'read';
  readonly channel: string;
  /** Which of the ids given so far the cursor names, and how. */
  readonly pick: number;
  readonly how: (typeof HOW)[number];
  readonly max: number;
}

type Step =
  | { readonly do: 'append'; readonly channel: string; readonly sizes: readonly number[] }
  | { readonly do: 'trim'; readonly channel: string; readonly policy: TrimPolicy }
  | { readonly do: 'trimBefore'; readonly channel: string; readonly pick: number }
  | ReadStep
  | { readonly do: 'locate'; readonly channel: string; readonly start: FreshStart }
  | { readonly do: 'clock'; readonly ms: number }
  | { readonly do: 'reopen' };

const RETENTION = { ...DEFAULT_RETENTION, maxEntries: 20, maxBytes: 1500, maxAgeMs: 60_000 };
const BEGIN_MS = 1_700_000_000_000;

const channel = fc.constantFrom('a', 'b', 'c');
const pick = fc.nat({ max: 60 });
const size = fc.oneof(fc.nat({ max: 150 }), fc.constant(0), fc.constant(3000));
const start: fc.Arbitrary<FreshStart> = fc.oneof(
  fc.constantFrom<FreshStart>({ at: 'earliest' }, { at: 'latest' }),
  fc.nat({ max: 40 }).map((count) => ({ at: 'last' as const, count })),
  fc.integer({ min: -5, max: 200_000 }).map((ms) => ({ at: 'time' as const, ms: BEGIN_MS + ms })),
);
const policy: fc.Arbitrary<TrimPolicy> = fc.oneof(
  fc.nat({ max: 15 }).map((maxEntries) => ({ maxEntries })),
  fc.nat({ max: 900 }).map((maxBytes) => ({ maxBytes })),
  fc.nat({ max: 20_000 }).map((maxAgeMs) => ({ maxAgeMs })),
  fc.record({ maxEntries: fc.nat({ max: 20 }), maxBytes: fc.nat({ max: 1500 }) }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('append'), channel, sizes: fc.array(size, { maxLength: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('trim'), channel, policy }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('trimBefore'), channel, pick }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('read'),
      channel,
      pick,
      how: fc.constantFrom(...HOW),
      max: fc.integer({ min: 1, max: 30 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('locate'), channel, start }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('clock'), ms: fc.integer({ min: -3000, max: 9000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen') }) },
);

/** Every id ever given, so that cursors can name kept, trimmed and foreign ones. */
type Given = ReadonlyMap<string, readonly string[]>;

function pickId(given: Given, name: string, at: number): string {
  const ids = ['0-0', ...(given.get(name) ?? [])];
  return ids[at % ids.length] as string;
}

/** Does the step to one log; returns what it answered. */
async function run(log: Log, step: Step, given: Given, nowMs: number): Promise<unknown> {
  switch (step.do) {
    case 'append':
      return log.append(
        step.channel,
        step.sizes.map((length) => ({ type: 'text', data: Buffer.alloc(length, `${nowMs}`) })),
      );
    case 'trim':
      return log.trim(step.channel, step.policy);
    case 'trimBefore':
      return log.trim(step.channel, { before: pickId(given, step.channel, step.pick) });
    case 'locate':
      return log.locate(step.channel, step.start);
    case 'read':
      return log.read(step.channel, await cursorOf(log, step, given), {
        maxEntries: step.max,
        maxBytes: 2000,
      });
    case 'clock':
    case 'reopen':
      return null;
  }
}

async function cursorOf(log: Log, step: ReadStep, given: Given): Promise<Cursor> {
  const { epoch } = await log.bounds(step.channel);
  const id = pickId(given, step.channel, step.pick);
  const ordinal = (given.get(step.channel)?.indexOf(id) ?? -1) + 1;
  switch (step.how) {
    case 'plain':
      return { id, epoch: null, ordinal: null };
    case 'own':
      return { id, epoch, ordinal: null };
    case 'counted':
      return { id, epoch, ordinal: epoch === null ? null : ordinal };
    case 'other':
      return { id, epoch: 'other', ordinal };
    case 'bogus':
      return { id: `${id.split('-')[0]}-77`, epoch, ordinal: null };
  }
}

/** The answer with the log's own epochs made alike. */
async function told(log: Log, answer: unknown): Promise<unknown> {
  let text = JSON.stringify(answer);
  for (const name of ['a', 'b', 'c']) {
    const { epoch } = await log.bounds(name);
    if (epoch !== null) text = text.replaceAll(`"${epoch}"`, '"own"');
  }
  return JSON.parse(text);
}

test('the embedded log answers as the log in memory does, whatever is done', {
  timeout: 110_000,
}, async (t) => {
  const parent = await tempDir(t);
  let runs = 0;
  const property = fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
    const clock = new ManualClock(BEGIN_MS);
    const retention = (): typeof RETENTION => RETENTION;
    const dataDir = `${parent}/${++runs}`;
    const open = (): Promise<EmbeddedLog> => EmbeddedLog.open({ dataDir, clock, retention });
    const memory = new MemoryLog({ clock, retention });
    let embedded = await open();
    const given = new Map<string, string[]>();
    try {
      for (const step of steps) {
        if (step.do === 'clock') clock.advance(step.ms);
        if (step.do === 'reopen') {
          await embedded.close();
          embedded = await open();
        }
        const expected = await run(memory, step, given, clock.now());
        const actual = await run(embedded, step, given, clock.now());
        assert.deepEqual(await told(embedded, actual), await told(memory, expected), JSON.stringify(step));
        if (step.do === 'append') {
          const ids = (expected as { id: string }[]).map(({ id }) => id);
          given.set(step.channel, [...(given.get(step.channel) ?? []), ...ids]);
        }
        for (const name of ['a', 'b', 'c']) {
          const bounds = [
            await told(embedded, await embedded.bounds(name)),
            await told(memory, await memory.bounds(name)),
          ];
          assert.deepEqual(bounds[0], bounds[1], `bounds after ${JSON.stringify(step)}`);
        }
      }
    } finally {
      await embedded.close();
    }
  });
  await fc.assert(property, { numRuns: 60 });
});
