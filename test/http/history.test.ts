/** History page by page: every form of every parameter, at a whole server. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { NewEntry } from '../../src/log/log.ts';
import { formatCursor } from '../../src/protocol/cursor.ts';
import { idMs } from '../../src/protocol/id.ts';
import {
  ask,
  CHANNEL,
  dataOf,
  fill,
  type HistoryBody,
  idsOf,
  PATH,
  page,
  type Scene,
  scene,
} from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/within.ts';

function range(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i));
}

/** Pages forward until there is nothing more. */
async function everything(
  server: { readonly address: string },
  limitOf: () => number,
  path: string = PATH,
): Promise<HistoryBody[]> {
  const pages: HistoryBody[] = [];
  for (let after = 'earliest'; ; after = (pages.at(-1) as HistoryBody).cursor) {
    const next = await page(server, { after, limit: limitOf() }, path);
    if (next.messages.length === 0 && next.gap === null) return pages;
    pages.push(next);
  }
}

describe('a page', () => {
  test('says where it is from, where to go on, and where the channel is', async () => {
    await using s = await scene(3);
    const body = await page(s);
    const { epoch, tip, tipOrdinal } = await s.log.inner.bounds(CHANNEL);
    assert.deepEqual(Object.keys(body), ['channel', 'epoch', 'messages', 'cursor', 'tip', 'gap']);
    assert.deepEqual([body.channel, body.epoch, body.tip, body.gap], [CHANNEL, epoch, tip, null]);
    assert.equal(body.cursor, formatCursor({ id: tip, epoch, ordinal: tipOrdinal }));
    assert.equal(idsOf(body.messages)[2], tip);
    assert.deepEqual(dataOf(body.messages), ['0', '1', '2']);
  });

  test('has a text as a string, JSON as it was sent, and binary as base64', async () => {
    await using s = await scene(0);
    const entries: NewEntry[] = [
      { type: 'text', data: Buffer.from('ü"\n\0') },
      { type: 'json', data: Buffer.from('{"n": 1.0,\n"n":12345678901234567890}') },
      { type: 'binary', data: Buffer.from([0, 255]) },
      { type: 'text', data: Buffer.alloc(0) },
      { type: 'binary', data: Buffer.alloc(0) },
    ];
    await s.log.append(CHANNEL, entries);
    const { text, body } = await ask<HistoryBody>(s);
    const [first, second, third, fourth, fifth] = body.messages;
    assert.equal(first?.data, 'ü"\n\0');
    assert.ok(text.includes('"data":{"n": 1.0,\n"n":12345678901234567890}}'));
    assert.deepEqual(Object.keys(second ?? {}), ['id', 'data']);
    assert.deepEqual([third?.data64, fourth?.data, fifth?.data64], ['AP8=', '', '']);
  });

  test('of a channel that nobody wrote to is empty, and creates nothing', async () => {
    await using s = await scene(0);
    assert.deepEqual(await page(s, {}, '/api/channels/room:42/messages'), {
      channel: 'room:42',
      epoch: null,
      messages: [],
      cursor: '0-0',
      tip: '0-0',
      gap: null,
    });
    assert.equal((await s.log.inner.bounds('room:42')).epoch, null);
  });

  test('goes on, by its cursor, as a live subscription, without a hole', async () => {
    await using s = await scene(5);
    const { cursor } = await page(s);
    await fill(s.log, 2, (n) => `live ${n}`);
    await using subscriber = await s.server.subscriber(`?after=${encodeURIComponent(cursor)}`);
    assert.deepEqual(await subscriber.texts(2), ['live 0', 'live 1']);
  });

  test('is the same from the embedded log', async (t) => {
    await using server = await TestServer.start({ STORE: 'embedded', DATA_DIR: await tempDir(t) });
    await using publisher = await server.publisher();
    for (let n = 0; n < 30; n++) await publisher.flushed(String(n));
    await until('all are stored', () => server.stats.unstoredBytes === 0);
    let found: unknown[] = [];
    while (found.length < 30) found = dataOf((await page(server, { after: 'earliest' })).messages);
    assert.deepEqual(found, range(0, 30));
    const newest = await page(server, { limit: 4 });
    assert.deepEqual(dataOf(newest.messages), range(26, 30));
    const older = await page(server, { limit: 4, before: newest.messages[0]?.id ?? '' });
    assert.deepEqual(dataOf(older.messages), range(22, 26));
  });
});

describe('after', () => {
  test('absent means the newest, oldest of them first', async () => {
    await using s = await scene(150);
    assert.deepEqual(dataOf((await page(s)).messages), range(50, 150));
    assert.deepEqual(dataOf((await page(s, { limit: 3 })).messages), range(147, 150));
    assert.deepEqual(dataOf((await page(s, { limit: 1000 })).messages), range(0, 150));
  });

  test('latest means none of what there is, and a cursor to go on from', async () => {
    await using s = await scene(5);
    const { messages, cursor } = await page(s, { after: 'latest' });
    assert.deepEqual(messages, []);
    await fill(s.log, 1, () => 'next');
    assert.deepEqual(dataOf((await page(s, { after: cursor })).messages), ['next']);
  });

  test('earliest, last:N, a time, a cursor and an id mean what they mean everywhere', async () => {
    await using s = await scene(100);
    const all = await page(s, { limit: 100 });
    const id = idsOf(all.messages)[29] as string;
    const at = new Date(idMs(idsOf(all.messages)[30] as string)).toISOString();
    for (const [after, from] of [
      ['earliest', 0],
      ['last:7', 93],
      ['last:0', 100],
      ['last:1000', 0],
      [id, 30],
      [at, 30],
      ['0-0', 0],
      ['1970-01-01', 0],
      ['2500-01-01', 100],
    ] as const) {
      const { messages, gap } = await page(s, { after, limit: 10 });
      assert.deepEqual(dataOf(messages), range(from, Math.min(100, from + 10)), after);
      assert.equal(gap, null, after);
    }
  });
});

describe('before', () => {
  test('is exclusive, and takes the same forms', async () => {
    await using s = await scene(100);
    const ids = idsOf((await page(s, { limit: 100 })).messages);
    const at = new Date(idMs(ids[30] as string)).toISOString();
    for (const [before, to] of [
      [ids[30] as string, 30],
      [`${ids[30]}@whatever.7`, 30],
      [at, 30],
      ['last:7', 93],
      ['latest', 100],
      ['earliest', 0],
      ['0-0', 0],
      ['1970-01-01', 0],
      ['2500-01-01', 100],
      ['18446744073709551615-18446744073709551615', 100],
    ] as const) {
      const newest = await page(s, { before, limit: 10 });
      assert.deepEqual(dataOf(newest.messages), range(Math.max(0, to - 10), to), before);
      const oldest = await page(s, { after: 'earliest', before, limit: 1000 });
      assert.deepEqual(dataOf(oldest.messages), range(0, to), before);
    }
  });

  test('and after at once give what lies between them, which may be nothing', async () => {
    await using s = await scene(20);
    const ids = idsOf((await page(s)).messages);
    const between = async (a: number, b: number): Promise<unknown[]> =>
      dataOf((await page(s, { after: ids[a] as string, before: ids[b] as string })).messages);
    assert.deepEqual(await between(3, 7), range(4, 7));
    assert.deepEqual(await between(3, 4), []);
    assert.deepEqual(await between(3, 3), []);
    assert.deepEqual(await between(7, 3), []);
  });

  test('pages backwards to the beginning', async () => {
    await using s = await scene(47);
    const found: unknown[] = [];
    for (let before = 'latest'; ; ) {
      const { messages } = await page(s, { before, limit: 10 });
      if (messages.length === 0) break;
      found.unshift(...dataOf(messages));
      before = messages[0]?.id as string;
    }
    assert.deepEqual(found, range(0, 47));
  });
});

describe('pages one after the other', () => {
  test('are everything, once, in order, whatever the sizes and the limits', async () => {
    await using s = await scene(0);
    let run = 0;
    const payload = fc.oneof(
      { weight: 5, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
      { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 400_000 }).map((size) => '#'.repeat(size)) },
    );
    const property = fc.asyncProperty(
      fc.array(payload, { maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 9 }),
      async (texts, limits) => {
        const channel = `run.${run++}`;
        const entries = texts.map((text) => ({ type: 'text' as const, data: Buffer.from(text) }));
        await s.log.append(channel, entries);
        let asked = 0;
        const limitOf = (): number => limits[asked++ % limits.length] as number;
        const pages = await everything(s, limitOf, `/api/channels/${channel}/messages`);
        assert.deepEqual(
          pages.flatMap(({ messages }) => dataOf(messages)),
          texts,
        );
        for (const [i, { messages }] of pages.slice(0, -1).entries()) {
          assert.equal(messages.length, limits[i % limits.length]);
        }
      },
    );
    await fc.assert(property, { numRuns: 25 });
  });

  test('are bounded by bytes as well; a message larger than that is a page of its own', async () => {
    await using s = await scene(0);
    const mib = 1024 * 1024;
    const sizes = [3 * mib, 3 * mib, 3 * mib, 9 * mib, 10, 10];
    const entries = sizes.map((size) => ({ type: 'binary' as const, data: Buffer.alloc(size) }));
    await s.log.append(CHANNEL, entries);
    const pages = await everything(s, () => 1000);
    const found = pages.map(({ messages }) =>
      messages.map(({ data64 = '' }) => Buffer.from(data64, 'base64').length),
    );
    assert.deepEqual(found, [[3 * mib], [3 * mib], [3 * mib], [9 * mib], [10, 10]]);
  });
});

describe('what is missing', () => {
  async function trimmed(): Promise<Scene & { readonly old: string }> {
    const s = await scene(10);
    const { cursor } = await page(s, { after: 'earliest', limit: 2 });
    await s.log.trim(CHANNEL, { maxEntries: 3 });
    return { ...s, old: cursor };
  }

  test('after a cursor is told, and the page goes on behind it', async () => {
    await using s = await trimmed();
    const { messages, gap } = await page(s, { after: s.old });
    assert.deepEqual(dataOf(messages), ['7', '8', '9']);
    assert.deepEqual(Object.keys(gap ?? {}), ['epoch', 'requested', 'floor', 'lost', 'reason', 'cursor']);
    assert.deepEqual([gap?.requested, gap?.lost, gap?.reason], [s.old, 5, 'trimmed']);
    assert.equal(gap?.floor, messages[0]?.id);
    assert.deepEqual(await page(s, { after: gap?.cursor ?? '' }), {
      ...(await page(s, { after: s.old })),
      gap: null,
    });
  });

  test('is refused with on_gap=fail, as at the WebSocket', async () => {
    await using s = await trimmed();
    const refused = await ask(s, { after: s.old, on_gap: 'fail' });
    assert.equal(refused.status, 410);
    assert.match(refused.headers.get('content-type') ?? '', /^application\/problem\+json/);
    const { code, reason, lost, cursor, floor } = refused.body;
    assert.deepEqual([code, reason, lost], ['gap', 'trimmed', 5]);
    assert.match(String(floor), /^\d+-\d+$/);
    assert.deepEqual(dataOf((await page(s, { after: String(cursor), on_gap: 'fail' })).messages), [
      '7',
      '8',
      '9',
    ]);
  });

  test('before a start that claims nothing is no gap', async () => {
    await using s = await trimmed();
    for (const after of ['earliest', 'last:8', '1970-01-01', '-9999d']) {
      const { messages, gap } = await page(s, { after, on_gap: 'fail' });
      assert.deepEqual([dataOf(messages), gap], [['7', '8', '9'], null], after);
    }
    assert.deepEqual(dataOf((await page(s, { limit: 9, on_gap: 'fail' })).messages), ['7', '8', '9']);
  });

  test('not even when it is trimmed between finding the start and reading', async () => {
    await using s = await scene(10);
    s.log.hold('read');
    const reading = page(s, { after: 'earliest', on_gap: 'fail' });
    await until('it is read', () => s.log.running('read') === 1);
    await s.log.trim(CHANNEL, { maxEntries: 3 });
    s.log.release('read');
    const { messages, gap } = await reading;
    assert.deepEqual([dataOf(messages), gap], [['7', '8', '9'], null]);
  });

  test('in the middle ends the page before it, and the next begins with it', async () => {
    await using s = await scene(0);
    // Three reads to a page; between the first and the second all but the last hundred are trimmed.
    await fill(s.log, 1000, (n) => `${n}`.padEnd(700, '.'));
    const read = s.log.read.bind(s.log);
    s.log.read = async (channel, after, limits) => {
      const found = await read(channel, after, limits);
      if (s.log.count('read') === 1) await s.log.trim(CHANNEL, { maxEntries: 100 });
      return found;
    };
    const first = await page(s, { after: '0-0', limit: 1000, on_gap: 'fail' });
    assert.ok(first.messages.length > 100 && first.messages.length < 900);
    assert.equal(first.gap, null);
    const second = await page(s, { after: first.cursor, limit: 1000 });
    assert.equal(second.gap?.lost, 900 - first.messages.length);
    assert.equal(second.messages.length, 100);
  });

  test('from another history is a reset', async () => {
    await using s = await scene(3);
    const { messages, gap } = await page(s, { after: '5-0@feedfacecafe.5' });
    assert.deepEqual([gap?.reason, gap?.lost, gap?.requested], ['reset', null, '5-0@feedfacecafe.5']);
    assert.deepEqual(dataOf(messages), ['0', '1', '2']);
    const beyond = await page(s, { after: '99999999999999-0' });
    assert.deepEqual([beyond.gap?.reason, beyond.messages], ['reset', []]);
    assert.deepEqual(dataOf((await page(s, { after: beyond.gap?.cursor ?? '' })).messages), []);
  });
});
