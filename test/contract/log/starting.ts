/** Fresh starts: none of them is ever a gap. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { FreshStart, Log } from '../../../src/log/log.ts';
import { idMs } from '../../../src/protocol/id.ts';
import type { LogFixture, OpenLog } from './fixture.ts';
import { appendIds, newChannel, numbered, openDefault, passTime, readAll, text, texts } from './support.ts';

async function readFrom(log: Log, channel: string, start: FreshStart): Promise<string[]> {
  const cursor = await log.locate(channel, start);
  const { entries, gaps } = await readAll(log, channel, cursor);
  assert.deepEqual(gaps, [], `${JSON.stringify(start)} is no gap`);
  return texts(entries);
}

/** Three entries that time lies between; what a start is asked of. */
async function openSpread(
  open: OpenLog,
  t: TestContext,
): Promise<LogFixture & { channel: string; times: [number, number, number] }> {
  const fixture = await openDefault(open, t);
  const channel = newChannel();
  const times: number[] = [];
  for (const data of ['1', '2', '3']) {
    const [id] = await appendIds(fixture.log, channel, [text(data)]);
    times.push(idMs(id as string));
    await passTime(fixture, 5);
  }
  return { ...fixture, channel, times: times as [number, number, number] };
}

export function startingTests(open: OpenLog): void {
  test('earliest begins with the first entry kept', async (t) => {
    const { log, channel } = await openSpread(open, t);
    assert.deepEqual(await readFrom(log, channel, { at: 'earliest' }), ['1', '2', '3']);
    await log.trim(channel, { maxEntries: 2 });
    assert.deepEqual(await readFrom(log, channel, { at: 'earliest' }), ['2', '3']);
    await log.trim(channel, { maxEntries: 0 });
    assert.deepEqual(await readFrom(log, channel, { at: 'earliest' }), []);
  });

  test('latest begins after the tip', async (t) => {
    const { log, channel } = await openSpread(open, t);
    const cursor = await log.locate(channel, { at: 'latest' });
    const { epoch, tip, tipOrdinal } = await log.bounds(channel);
    assert.deepEqual(cursor, { id: tip, epoch, ordinal: tipOrdinal });
    assert.deepEqual(await readFrom(log, channel, { at: 'latest' }), []);
    await log.append(channel, [text('4')]);
    const { entries, gaps } = await readAll(log, channel, cursor);
    assert.deepEqual([texts(entries), gaps], [['4'], []]);
  });

  test('last:N begins N entries before the tip, or with the first kept', async (t) => {
    const { log, channel } = await openSpread(open, t);
    assert.deepEqual(await readFrom(log, channel, { at: 'last', count: 0 }), []);
    assert.deepEqual(await readFrom(log, channel, { at: 'last', count: 1 }), ['3']);
    assert.deepEqual(await readFrom(log, channel, { at: 'last', count: 2 }), ['2', '3']);
    assert.deepEqual(await readFrom(log, channel, { at: 'last', count: 3 }), ['1', '2', '3']);
    assert.deepEqual(await readFrom(log, channel, { at: 'last', count: 1_000_000 }), ['1', '2', '3']);
    await log.trim(channel, { maxEntries: 2 });
    assert.deepEqual(await readFrom(log, channel, { at: 'last', count: 3 }), ['2', '3']);
  });

  test('last:N until an entry counts back from it', async (t) => {
    const fixture = await openDefault(open, t);
    const { log } = fixture;
    const channel = newChannel();
    const ids: string[] = [];
    for (const [from, count] of [
      [1, 30],
      [31, 1],
      [32, 40],
    ] as const) {
      ids.push(...(await appendIds(log, channel, numbered(count, from))));
      await passTime(fixture, 2);
    }
    await log.trim(channel, { maxEntries: 61 });
    for (const [n, count] of [
      [71, 5],
      [70, 1],
      [50, 60],
      [50, 3],
      [32, 2],
      [31, 1],
      [30, 0],
      [12, 2],
      [11, 7],
    ] as const) {
      const start = { at: 'last', count, until: ids[n - 1] as string } as const;
      const from = Math.max(11, n - count + 1);
      assert.deepEqual(
        await readFrom(log, channel, start),
        texts(numbered(72 - from, from)),
        `${count} to ${n}`,
      );
    }
    const beyond = { at: 'last', count: 2, until: '18446744073709551615-18446744073709551615' } as const;
    assert.deepEqual(await readFrom(log, channel, beyond), ['70', '71']);
    const below = { at: 'last', count: 2, until: ids[3] as string } as const;
    assert.deepEqual((await readFrom(log, channel, below))[0], '11');
  });

  test('a time is after the first kept entry, although its neighbour was trimmed', async (t) => {
    const fixture = await openDefault(open, t);
    const { log } = fixture;
    const channel = newChannel();
    await appendIds(log, channel, numbered(2, 1));
    await passTime(fixture, 2);
    const [third] = await appendIds(log, channel, numbered(1, 3));
    await log.trim(channel, { maxEntries: 2 });
    assert.deepEqual(await readFrom(log, channel, { at: 'time', ms: idMs(third as string) }), ['3']);
  });

  test('last:N counts exactly over entries of one and of many milliseconds', async (t) => {
    const fixture = await openDefault(open, t);
    const { log } = fixture;
    const channel = newChannel();
    for (const [from, count] of [
      [1, 40],
      [41, 1],
      [42, 100],
      [142, 9],
    ] as const) {
      await log.append(channel, numbered(count, from));
      await passTime(fixture, 2);
    }
    await log.trim(channel, { maxEntries: 130 });
    const kept = texts(numbered(130, 21));
    for (const count of [1, 8, 9, 10, 50, 109, 110, 111, 129, 130, 131]) {
      assert.deepEqual(
        await readFrom(log, channel, { at: 'last', count }),
        kept.slice(-count),
        `last:${count}`,
      );
    }
  });

  test('a time begins with the first entry at or after it', async (t) => {
    const { log, channel, times } = await openSpread(open, t);
    assert.deepEqual(await readFrom(log, channel, { at: 'time', ms: times[1] }), ['2', '3']);
    assert.deepEqual(await readFrom(log, channel, { at: 'time', ms: times[1] + 1 }), ['3']);
    assert.deepEqual(await readFrom(log, channel, { at: 'time', ms: times[1] - 0.5 }), ['2', '3']);
    assert.deepEqual(await readFrom(log, channel, { at: 'time', ms: times[2] }), ['3']);
  });

  test('a time below the floor begins with the first entry kept', async (t) => {
    const { log, channel, times } = await openSpread(open, t);
    assert.deepEqual(await readFrom(log, channel, { at: 'time', ms: 0 }), ['1', '2', '3']);
    await log.trim(channel, { maxEntries: 2 });
    assert.deepEqual(await readFrom(log, channel, { at: 'time', ms: 0 }), ['2', '3']);
    assert.deepEqual(await readFrom(log, channel, { at: 'time', ms: times[0] }), ['2', '3']);
  });

  test('a time in the future begins after the tip, and misses nothing that comes', async (t) => {
    const { log, channel, times } = await openSpread(open, t);
    const cursor = await log.locate(channel, { at: 'time', ms: times[2] + 3_600_000 });
    assert.equal(cursor.id, (await log.bounds(channel)).tip);
    await log.append(channel, [text('4')]);
    const { entries, gaps } = await readAll(log, channel, cursor);
    assert.deepEqual([texts(entries), gaps], [['4'], []]);
  });
}
