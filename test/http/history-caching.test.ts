/** What a browser or a CDN is told about keeping a history: each rule, at a whole server. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { ask, CHANNEL, fill, type HistoryBody, idsOf, NDJSON, page } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';

type Query = Readonly<Record<string, string | number>>;

interface Scene extends AsyncDisposable {
  readonly log: GatedLog;
  readonly address: string;
  /** The cursor after the tenth of thirty entries. */
  readonly cursor: string;
  readonly ids: readonly string[];
}

async function scene(settings: Record<string, string> = {}): Promise<Scene> {
  const log = new GatedLog();
  await fill(log, 30);
  const server = await TestServer.start(settings, log);
  const { cursor } = await page(server, { after: 'earliest', limit: 10 });
  const ids = idsOf((await page(server)).messages);
  const { address } = server;
  return { log, address, cursor, ids, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function control(s: Scene, query: Query, headers: Record<string, string> = {}): Promise<string> {
  const answer = await ask(s, query, { headers });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('vary') ?? '', /Accept/);
  assert.match(answer.headers.get('vary') ?? '', /Origin/);
  return answer.headers.get('cache-control') ?? '';
}

const IMMUTABLE = /^public, max-age=\d+, immutable$/;

describe('may be kept', () => {
  test('a full page after a cursor', async () => {
    await using s = await scene();
    assert.match(await control(s, { after: s.cursor, limit: 10 }), IMMUTABLE);
    assert.match(await control(s, { after: s.cursor, limit: 20 }), IMMUTABLE);
  });

  test('all that lies between a cursor and an id', async () => {
    await using s = await scene();
    assert.match(await control(s, { after: s.cursor, before: s.ids[29] as string }), IMMUTABLE);
    assert.match(await control(s, { after: s.cursor, before: s.ids[20] as string, limit: 10 }), IMMUTABLE);
    assert.match(await control(s, { after: s.cursor, before: s.ids[20] as string, limit: 3 }), IMMUTABLE);
  });

  test('lines between a cursor and an id', async () => {
    await using s = await scene();
    const query = { after: s.cursor, before: s.ids[29] as string, limit: 10_000 };
    assert.match(await control(s, query, { Accept: NDJSON }), IMMUTABLE);
  });

  test('for no longer than the rule for the channel keeps an entry', async () => {
    await using s = await scene({ RETENTION: `${CHANNEL}=age:1h` });
    const said = await control(s, { after: s.cursor, limit: 10 });
    const seconds = Number(/max-age=(\d+)/.exec(said)?.[1]);
    assert.ok(seconds > 3000 && seconds <= 3600, said);
  });

  test('for no longer than the log keeps an entry', async () => {
    await using s = await scene({ RETENTION_MAX_AGE_MS: '1h' });
    const said = await control(s, { after: s.cursor, limit: 10 });
    const seconds = Number(/max-age=(\d+)/.exec(said)?.[1]);
    assert.ok(seconds > 3500 && seconds <= 3600, said);
    await using short = await scene({ RETENTION_MAX_AGE_MS: '1ms' });
    assert.equal(await control(short, { after: short.cursor, limit: 10 }), 'no-cache');
  });

  test('by its sender alone, when the request bears credentials', async () => {
    await using s = await scene();
    const said = await control(s, { after: s.cursor, limit: 10 }, { Authorization: 'Bearer x' });
    assert.match(said, /^private, max-age=\d+, immutable$/);
  });
});

describe('is asked for again', () => {
  const ROWS: readonly (readonly [what: string, query: (s: Scene) => Query])[] = [
    ['the newest page', () => ({})],
    ['a page that is not full', ({ cursor }) => ({ after: cursor, limit: 21 })],
    ['a page from the oldest on', () => ({ after: 'earliest', limit: 10 })],
    ['the last few', () => ({ after: 'last:10', limit: 5 })],
    ['a page from a time on', () => ({ after: '2001-01-01', limit: 10 })],
    ['nothing', () => ({ after: 'latest' })],
    ['what comes after a bare id', ({ ids }) => ({ after: ids[3] as string, limit: 5 })],
    ['what lies before a time', ({ cursor }) => ({ after: cursor, before: '-0s', limit: 5 })],
    ['what lies before an id to come', ({ cursor }) => ({ after: cursor, before: '99999999999999-0' })],
    ['what lies before an id, alone', ({ ids }) => ({ before: ids[20] as string, limit: 5 })],
    ['an empty range', ({ cursor, ids }) => ({ after: cursor, before: ids[10] as string })],
  ];
  for (const [what, query] of ROWS) {
    test(what, async () => {
      await using s = await scene();
      assert.equal(await control(s, query(s)), 'no-cache');
      const answer = await ask(s, query(s));
      assert.match(answer.headers.get('etag') ?? '', /^"[\w-]+"$/);
    });
  }

  test('what has a gap, although the next page may be kept', async () => {
    await using s = await scene();
    await s.log.trim(CHANNEL, { maxEntries: 12 });
    const query = { after: s.cursor, limit: 10 };
    assert.equal(await control(s, query), 'no-cache');
    assert.equal(await control(s, { ...query, before: s.ids[29] as string }, { Accept: NDJSON }), 'no-cache');
    const { gap } = await page(s, query);
    assert.match(await control(s, { after: gap?.cursor ?? '', limit: 10 }), IMMUTABLE);
  });

  test('what was asked for by a cursor of another history', async () => {
    await using s = await scene();
    const foreign = s.cursor.replace(/@\w+/, '@feedfacecafe');
    assert.equal(await control(s, { after: foreign, limit: 5 }), 'no-cache');
    const lines = { after: foreign, limit: 5, before: s.ids[29] as string };
    assert.equal(await control(s, lines, { Accept: NDJSON }), 'no-cache');
  });

  test('lines that may go on', async () => {
    await using s = await scene();
    for (const query of [{}, { after: s.cursor }, { after: s.cursor, limit: 5 }]) {
      const { headers } = await ask(s, query, { headers: { Accept: NDJSON } });
      assert.deepEqual([headers.get('cache-control'), headers.get('etag')], ['no-cache', null]);
    }
  });
});

describe('the tag', () => {
  test('of a page that may be kept stays the same while the channel grows, and is trimmed behind it', async () => {
    await using s = await scene();
    const query = { after: s.cursor, limit: 10 };
    const before = await ask<HistoryBody>(s, query);
    await fill(s.log, 5);
    await s.log.trim(CHANNEL, { maxEntries: 25 });
    const after = await ask<HistoryBody>(s, query);
    assert.equal(after.headers.get('etag'), before.headers.get('etag'));
    assert.match(after.headers.get('etag') ?? '', /^W\//);
    assert.deepEqual({ ...after.body, tip: '' }, { ...before.body, tip: '' });
  });

  test('of a page that may not is another as soon as a byte is', async () => {
    await using s = await scene();
    const tags = new Set<string | null>();
    for (let n = 0; n < 3; n++) {
      tags.add((await ask(s)).headers.get('etag'));
      tags.add((await ask(s)).headers.get('etag'));
      await fill(s.log, 1);
    }
    assert.equal(tags.size, 3);
    const oldest = (await ask(s, { after: 'earliest', limit: 5 })).headers.get('etag');
    await fill(s.log, 1);
    assert.notEqual((await ask(s, { after: 'earliest', limit: 5 })).headers.get('etag'), oldest, 'the tip');
  });

  test('that the client has already is answered with 304 and nothing else', async () => {
    await using s = await scene();
    const lines = { after: s.cursor, before: s.ids[29] as string };
    for (const [query, accept] of [
      [{}, '*/*'],
      [{ after: s.cursor, limit: 10 }, '*/*'],
      [lines, NDJSON],
    ] as const) {
      const { headers } = await ask(s, query, { headers: { Accept: accept } });
      const etag = headers.get('etag') ?? '';
      for (const method of ['GET', 'HEAD']) {
        const same = { Accept: accept, 'If-None-Match': `"x", ${etag}` };
        const unchanged = await ask(s, query, { method, headers: same });
        assert.deepEqual([unchanged.status, unchanged.text], [304, '']);
        for (const name of ['etag', 'cache-control', 'vary']) {
          assert.equal(unchanged.headers.get(name), headers.get(name), name);
        }
      }
      const other = await ask(s, query, { headers: { Accept: accept, 'If-None-Match': '"x"' } });
      assert.equal(other.status, 200);
    }
  });

  test('of lines is not that of a page, nor that of fewer lines', async () => {
    await using s = await scene();
    const query = { after: s.cursor, before: s.ids[29] as string };
    const tags = [
      (await ask(s, query)).headers.get('etag'),
      (await ask(s, query, { headers: { Accept: NDJSON } })).headers.get('etag'),
      (await ask(s, { ...query, limit: 2 }, { headers: { Accept: NDJSON } })).headers.get('etag'),
    ];
    assert.equal(new Set(tags).size, 3);
  });
});

test('a refusal is never kept', async () => {
  await using s = await scene();
  for (const query of [{ limit: 0 }, { after: '5-0@feedfacecafe', on_gap: 'fail' }]) {
    assert.equal((await ask(s, query)).headers.get('cache-control'), 'no-store');
  }
});
