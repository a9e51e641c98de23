import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Log } from '../../src/log/log.ts';
import { compareIds, type EntryId } from '../../src/protocol/id.ts';
import { logContract, type OpenLog } from '../contract/log.contract.ts';
import { LIMITS, next, openLog, ownChannel, payloads, START, texts } from '../support/redis-log.ts';
import { RedisServer, untilBlocked } from '../support/redis-server.ts';

let server: RedisServer;

before(async () => {
  server = await RedisServer.start();
});

after(async () => {
  await server[Symbol.asyncDispose]();
});

const openFixture: OpenLog = async (t, { retention, idempotency }) => {
  const log = await openLog(t, server.url, { retention, ...(idempotency && { idempotency }) });
  const key = (channel: string): string => `local-q:${channel}`;
  return {
    log,
    // A node of a stream holds up to 100 entries, and only whole nodes are trimmed.
    retentionSlack: 100,
    reopen: async (): Promise<Log> => {
      await log.close();
      return openLog(t, server.url, { retention, ...(idempotency && { idempotency }) });
    },
    removeEntry: async (channel: string, id: EntryId): Promise<void> => {
      await server.cli('XDEL', key(channel), id);
    },
    appendForeign: (channel: string, text: string): Promise<EntryId> =>
      server.cli('XADD', key(channel), '*', 'message', text),
  };
};

logContract('redis', openFixture);

describe('entries that somebody else wrote', () => {
  test('are delivered: data if there is such a field, else the first value', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    await server.cli('XADD', key, '*', 'message', 'hi');
    await server.cli('XADD', key, '*', 'odd name', 'x', 'data', 'payload', 'n', '7');
    await server.cli('XADD', key, '*', '', '');
    const page = await log.read(channel, START, LIMITS);
    assert.deepEqual(payloads(page), ['hi', 'payload', '']);
    assert.deepEqual(
      page.entries.map((entry) => entry.prev),
      [null, null, null],
    );
    assert.deepEqual(
      page.entries.map((entry) => entry.ordinal),
      [1, 2, 3],
    );
    assert.deepEqual(page.gaps, []);
    assert.equal(page.epoch, null);
  });

  test('are binary when they are not UTF-8, and text when their JSON is none', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    const script = "return redis.call('XADD', KEYS[1], '*', 'data', '\\255\\0\\254')";
    await server.cli('EVAL', script, '1', key);
    await server.cli('XADD', key, '*', 'data', '{"a":', 'type', 'json');
    await server.cli('XADD', key, '*', 'data', '{"a":1}', 'type', 'json');
    await server.cli('XADD', key, '*', 'data', 'x', 'type', 'binary');
    await server.cli('XADD', key, '*', 'data', 'x', 'type', 'else');
    const { entries } = await log.read(channel, START, LIMITS);
    assert.deepEqual(
      entries.map((entry) => entry.type),
      ['binary', 'text', 'json', 'binary', 'text'],
    );
    assert.deepEqual(entries[0]?.data, Buffer.from([255, 0, 254]));
  });

  test('wake a reader, also between ours, and the chain goes on over them', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    await log.append(channel, texts('a'));
    const first = await next(log, channel, START);
    const waiting = next(log, channel, first.end);
    await server.cli('XADD', key, '*', 'message', 'foreign');
    const second = await waiting;
    assert.deepEqual(payloads(second), ['foreign']);
    assert.deepEqual(second.gaps, []);
    await log.append(channel, texts('b'));
    const third = await next(log, channel, second.end);
    assert.deepEqual(payloads(third), ['b']);
    assert.equal(third.entries[0]?.prev, second.end.id);
    assert.equal(third.end.ordinal, 3);
  });

  test('meet no gap at earliest, after deletions that hide their ordinals; a hole among them is told', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    const ids: string[] = [];
    for (const value of ['a', 'b', 'c', 'd']) ids.push(await server.cli('XADD', key, '*', 'm', value));
    await server.cli('XDEL', key, ids[0] as string, ids[2] as string);
    const page = await log.read(channel, await log.locate(channel, { at: 'earliest' }), LIMITS);
    assert.deepEqual(payloads(page), ['b', 'd']);
    assert.deepEqual(
      page.gaps.map(({ before, gap }) => [before, gap.reason, gap.lost]),
      [[1, 'deleted', null]],
    );
    assert.deepEqual(
      page.entries.map((entry) => entry.ordinal),
      [null, 4],
    );
  });

  test('may leave ids at the end of their range: ours still rise', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    const ms = 9_999_999_999_999;
    await server.cli('XADD', key, `${ms}-18446744073709551613`, 'm', 'hostile');
    const results = await log.append(channel, texts('a', 'b', 'c', 'd'));
    assert.deepEqual(
      results.map(({ id }) => id),
      [`${ms}-18446744073709551614`, `${ms}-18446744073709551615`, `${ms + 1}-0`, `${ms + 1}-1`],
    );
    const page = await log.read(channel, START, LIMITS);
    assert.deepEqual(payloads(page), ['hostile', 'a', 'b', 'c', 'd']);
    assert.deepEqual(page.gaps, []);
    const last = '18446744073709551615-18446744073709551615';
    const ahead = await log.read(channel, { id: last, epoch: null, ordinal: null }, LIMITS);
    assert.equal(ahead.gaps[0]?.gap.reason, 'reset');
  });
});

describe('what was removed is told', () => {
  test('XDEL in the middle is a gap with the exact count', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    const ids = (await log.append(channel, texts('a', 'b', 'c', 'd'))).map(({ id }) => id);
    await server.cli('XDEL', key, ids[1] as string, ids[2] as string);
    const page = await log.read(channel, START, LIMITS);
    assert.deepEqual(payloads(page), ['a', 'd']);
    const [{ before: at, gap }] = page.gaps as [(typeof page.gaps)[0]];
    assert.deepEqual([at, gap.reason, gap.lost], [1, 'deleted', 2]);
  });

  test('XDEL of what a waiting reader would get next reaches it as a gap before the next entry', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    await log.append(channel, texts('a'));
    const { end } = await next(log, channel, START);
    const script = `
      local id = redis.call('XADD', KEYS[1], '*', 'data', 'gone')
      redis.call('XDEL', KEYS[1], id)
      return id`;
    await server.cli('EVAL', script, '1', key);
    await log.append(channel, texts('b'));
    let page = await next(log, channel, end);
    // The check may find the deletion before the next entry is there.
    if (page.entries.length === 0) page = await next(log, channel, page.end);
    assert.deepEqual(payloads(page), ['b']);
  });

  for (const command of ['DEL', 'FLUSHALL']) {
    test(`${command} while a reader waits is a reset, and what comes after it is delivered`, async (t) => {
      await using own = await RedisServer.start();
      const log = await openLog(t, own.url, { deadlines: { checkMs: 300 } });
      await log.append('local-q', texts('a', 'b'));
      const { end } = await next(log, 'local-q', START);
      const waiting = next(log, 'local-q', end);
      await own.cli(...(command === 'DEL' ? ['DEL', 'local-q'] : ['FLUSHALL']));
      const reset = await waiting;
      assert.equal(reset.gaps[0]?.gap.reason, 'reset');
      assert.deepEqual(reset.entries, []);
      await log.append('local-q', texts('c'));
      const page = await next(log, 'local-q', reset.end);
      assert.deepEqual(payloads(page), ['c']);
      assert.notEqual(page.epoch, end.epoch);
      await log.close();
    });
  }

  test('a key made anew by somebody else is a reset, and all it holds is delivered', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    await log.append(channel, texts('a', 'b', 'c'));
    const { end } = await next(log, channel, START);
    await server.cli('EVAL', "redis.call('DEL', KEYS[1])", '1', key);
    await server.cli('XADD', key, '*', 'message', 'new');
    const reset = await next(log, channel, end);
    assert.equal(reset.gaps[0]?.gap.reason, 'reset');
    const page = reset.entries.length > 0 ? reset : await next(log, channel, reset.end);
    assert.deepEqual(payloads(page), ['new']);
  });

  for (const meets of ['the reader', 'somebody else'] as const) {
    test(`a foreign stream made anew is a reset for a reader also when ${meets} notices first`, async (t) => {
      const log = await openLog(t, server.url);
      const { channel, key } = ownChannel();
      for (const value of ['a', 'b', 'c']) await server.cli('XADD', key, '*', 'message', value);
      const { end } = await next(log, channel, START);
      // The reader waits where it has read to, and has been looked after there.
      const abort = new AbortController();
      const waiting = log.wait(new Map([[channel, end]]), LIMITS, abort.signal);
      await untilBlocked(server, 1);
      abort.abort();
      await waiting;
      const anew = `
        redis.call('DEL', KEYS[1])
        redis.call('XADD', KEYS[1], '1-1', 'message', 'x')
        redis.call('XADD', KEYS[1], '*', 'message', 'y')`;
      await server.cli('EVAL', anew, '1', key);
      if (meets === 'somebody else') await log.bounds(channel);
      const reset = await next(log, channel, end);
      assert.equal(reset.gaps[0]?.gap.reason, 'reset');
      assert.deepEqual(reset.gaps[0]?.gap.requested, end);
      const page = reset.entries.length > 0 ? reset : await next(log, channel, reset.end);
      assert.deepEqual(payloads(page), ['x', 'y']);
      assert.deepEqual(page.gaps, []);
      // It is told once.
      await server.cli('XADD', key, '*', 'message', 'z');
      const more = await next(log, channel, page.end);
      assert.deepEqual([payloads(more), more.gaps], [['z'], []]);
    });
  }

  test('a plain id from before a foreign stream was made anew does not pass for gapless', async (t) => {
    const log = await openLog(t, server.url);
    const { channel, key } = ownChannel();
    for (const value of ['a', 'b', 'c']) await server.cli('XADD', key, '*', 'message', value);
    const { id } = (await log.read(channel, START, LIMITS)).end;
    await server.cli('DEL', key);
    await server.cli('XADD', key, '*', 'message', 'x');
    await log.bounds(channel);
    const page = await log.read(channel, { id, epoch: null, ordinal: null }, LIMITS);
    assert.equal(page.gaps.length, 1);
    assert.deepEqual(payloads(page), ['x']);
  });

  test('an id that is given again to another entry is noticed, and the other entry is delivered', async (t) => {
    const log = await openLog(t, server.url, { deadlines: { checkMs: 200 } });
    const { channel, key } = ownChannel();
    const ids = (await log.append(channel, texts('a', 'b', 'c'))).map(({ id }) => id);
    const { end } = await next(log, channel, START);
    // A failover that lost `c`, then gave its id to `x`: the stream as it was, with another tail.
    const swap = `
      local all = redis.call('XRANGE', KEYS[1], '-', '+')
      redis.call('DEL', KEYS[1])
      redis.call('XADD', KEYS[1], all[1][1], unpack(all[1][2]))
      redis.call('XADD', KEYS[1], all[2][1], unpack(all[2][2]))
      redis.call('XADD', KEYS[1], all[3][1], 'data', 'x', 'p', all[2][1], 'n', 3)`;
    await server.cli('EVAL', swap, '1', key);
    const reset = await next(log, channel, end);
    assert.equal(reset.gaps[0]?.gap.reason, 'reset');
    const page = reset.entries.length > 0 ? reset : await next(log, channel, reset.end);
    assert.deepEqual(payloads(page), ['x']);
    assert.equal(page.entries[0]?.id, ids[2]);
    assert.notEqual(page.epoch, end.epoch);
  });
});

describe('waiting', () => {
  test('ends at once when it is aborted', async (t) => {
    const log = await openLog(t, server.url);
    const { channel } = ownChannel();
    await log.append(channel, texts('a'));
    const { end } = await next(log, channel, START);
    for (const settle of [true, false, true]) {
      const abort = new AbortController();
      const waiting = log.wait(new Map([[channel, end]]), LIMITS, abort.signal);
      // Once after XREAD has surely blocked, once before it is even sent.
      if (settle) await untilBlocked(server, 1);
      const started = performance.now();
      abort.abort();
      assert.equal((await waiting).size, 0);
      assert.ok(performance.now() - started < 200, `took ${performance.now() - started} ms`);
    }
    const page = next(log, channel, end);
    await log.append(channel, texts('b'));
    assert.deepEqual(payloads(await page), ['b']);
  });

  test('on a hundred channels returns a page for each that has news', async (t) => {
    const log = await openLog(t, server.url);
    const channels = Array.from({ length: 100 }, () => ownChannel().channel);
    const cursors = new Map(channels.map((channel) => [channel, START]));
    const waiting = log.wait(cursors, LIMITS, AbortSignal.timeout(10_000));
    await untilBlocked(server, 1);
    await log.append(channels[42] as string, texts('x'));
    assert.deepEqual([...(await waiting).keys()], [channels[42]]);
  });

  test('goes on for the other channels when one is a key of another type', async (t) => {
    const log = await openLog(t, server.url);
    const good = ownChannel();
    const bad = ownChannel();
    await server.cli('SET', bad.key, 'not a stream');
    const cursors = new Map([good, bad].map(({ channel }) => [channel, START]));
    const waiting = log.wait(cursors, LIMITS, AbortSignal.timeout(10_000));
    await untilBlocked(server, 1);
    await log.append(good.channel, texts('x'));
    assert.deepEqual(payloads((await waiting).get(good.channel)), ['x']);
  });

  test('by several at once, on the same channel, wakes all of them', async (t) => {
    const log = await openLog(t, server.url);
    const { channel } = ownChannel();
    const waits = Array.from({ length: 6 }, () => next(log, channel, START));
    await untilBlocked(server, 6);
    await log.append(channel, texts('x'));
    for (const page of await Promise.all(waits)) assert.deepEqual(payloads(page), ['x']);
  });
});

describe('pages', () => {
  test('of large entries stay within their bytes, and all of it is read', async (t) => {
    const log = await openLog(t, server.url);
    const { channel } = ownChannel();
    const large = Buffer.alloc(1024 * 1024, 'x');
    for (let i = 0; i < 20; i++) await log.append(channel, [{ type: 'binary', data: large }]);
    await log.append(channel, texts(...Array.from({ length: 500 }, (_, i) => `small${i}`)));
    let cursor = await log.locate(channel, { at: 'earliest' });
    let count = 0;
    for (;;) {
      const page = await log.read(channel, cursor, { maxEntries: 10_000, maxBytes: 3 * 1024 * 1024 });
      if (page.entries.length === 0) break;
      assert.ok(page.entries.reduce((sum, entry) => sum + entry.data.length, 0) <= 3 * 1024 * 1024);
      assert.deepEqual(page.gaps, []);
      count += page.entries.length;
      cursor = page.end;
    }
    assert.equal(count, 520);
  });

  test('begin where last:N says, over more than one step of the walk', async (t) => {
    const log = await openLog(t, server.url);
    const { channel } = ownChannel();
    for (let i = 0; i < 5; i++) {
      await log.append(channel, texts(...Array.from({ length: 500 }, (_, j) => `${i * 500 + j}`)));
    }
    const page = await log.read(channel, await log.locate(channel, { at: 'last', count: 2222 }), LIMITS);
    assert.deepEqual(page.gaps, []);
    assert.equal(payloads(page)[0], `${2500 - 2222}`);
  });
});

test('retention trims by count, bytes and age, whole nodes at a time', async (t) => {
  const bounds = [
    { maxEntries: 500, maxBytes: 1e9, maxAgeMs: 1e9 },
    { maxEntries: 1e9, maxBytes: 500 * 10, maxAgeMs: 1e9 },
  ];
  for (const bound of bounds) {
    const log = await openLog(t, server.url, { retention: () => bound });
    const { channel } = ownChannel();
    const batch = texts(...Array.from({ length: 250 }, () => '0123456789'));
    for (let i = 0; i < 8; i++) await log.append(channel, batch);
    const { length, tipOrdinal } = await log.bounds(channel);
    assert.equal(tipOrdinal, 2000);
    assert.ok(length >= 500 && length < 650, `kept ${length}`);
  }
  const log = await openLog(t, server.url, {
    retention: () => ({ maxEntries: 1e9, maxBytes: 1e9, maxAgeMs: 60_000 }),
  });
  const { channel, key } = ownChannel();
  const old = `local t = redis.call('TIME')[1] * 1000 - 120000
    for i = 1, 300 do redis.call('XADD', KEYS[1], t + i .. '-0', 'm', 'old') end`;
  await server.cli('EVAL', old, '1', key);
  await log.append(channel, texts('new'));
  const { length, tip } = await log.bounds(channel);
  assert.ok(length < 102, `kept ${length}`);
  assert.ok(compareIds(tip, '0-0') > 0);
});
