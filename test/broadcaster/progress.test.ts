/** Whether a tail keeps up with the log: one that moves is given time, one that stands still is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Progress } from '../../src/broadcaster/progress.ts';
import { Ring } from '../../src/broadcaster/ring.ts';
import { items } from '../support/broadcast-rig.ts';
import { ManualClock } from '../support/clock.ts';
import { GatedLog } from '../support/gated-log.ts';

const CHANNEL = 'c';

/** A tail at the tip of a channel, which reads only when it is told to. */
async function follow(): Promise<{
  readonly clock: ManualClock;
  readonly check: (meanwhile?: () => Promise<void>) => Promise<string | null>;
  readonly append: (count: number) => Promise<void>;
  readonly readOne: () => Promise<void>;
}> {
  const clock = new ManualClock();
  const log = new GatedLog({ clock });
  const append = async (count: number): Promise<void> => {
    const entry = { type: 'text', data: Buffer.from('x') } as const;
    await log.append(
      CHANNEL,
      Array.from({ length: count }, () => entry),
    );
  };
  await append(1);
  const { tip, epoch, tipOrdinal } = await log.bounds(CHANNEL);
  const ring = new Ring({ id: tip, epoch, ordinal: tipOrdinal });
  const tail = { channel: CHANNEL, ring, isGone: false };
  const progress = new Progress(log, clock);
  const readOne = async (): Promise<void> => {
    const page = await log.read(CHANNEL, ring.end, { maxEntries: 1, maxBytes: 1 });
    for (const item of items(page)) ring.push(item);
  };
  const check = async (meanwhile = async (): Promise<void> => undefined): Promise<string | null> => {
    const found = progress.check([tail]);
    await delay(20);
    await meanwhile();
    clock.advance(1000);
    return found;
  };
  return { clock, check, append, readOne };
}

test('a tail at the tip keeps up, and one that stands still before it does not', async () => {
  const { check, append, readOne } = await follow();
  assert.equal(await check(), null);
  await append(1);
  assert.equal(await check(readOne), null);
  await append(1);
  assert.equal(await check(), 'what is new in c is not read');
  await readOne();
  assert.equal(await check(), null);
});

test('one that moves has ten seconds to reach what there was', async () => {
  const { clock, check, append, readOne } = await follow();
  await append(100);
  assert.equal(await check(readOne), null);
  clock.advance(5000);
  assert.equal(await check(readOne), null);
  clock.advance(5000);
  assert.match((await check(readOne)) ?? '', /^what is new in c is read 1\d{4} ms late$/);
});

test('one that moves and is always behind, but never long behind the same, keeps up', async () => {
  const { clock, check, append, readOne } = await follow();
  for (let round = 0; round < 5; round++) {
    await append(3);
    assert.equal(await check(readOne), null);
    for (let i = 0; i < 3; i++) await readOne();
    clock.advance(8000);
  }
});
