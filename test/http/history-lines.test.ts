/** History as lines: made as they are taken, and never more of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RivercastError } from '../../src/errors.ts';
import { GatedLog } from '../support/gated-log.ts';
import { ask, CHANNEL, dataOf, fill, type Line, lines, NDJSON, page, Reader } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { until } from '../support/within.ts';

interface Scene extends AsyncDisposable {
  readonly log: GatedLog;
  readonly address: string;
}

async function scene(count: number, text?: (n: number) => string): Promise<Scene> {
  const log = new GatedLog();
  await fill(log, count, text);
  const server = await TestServer.start({}, log);
  return { log, address: server.address, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Resolves with how many pages were read, once no more are. */
async function readsAtRest(log: GatedLog): Promise<number> {
  for (let before = -1; ; ) {
    const now = log.count('read');
    if (now === before) return now;
    before = now;
    await delay(100);
  }
}

function last(all: readonly Line[]): Record<string, unknown> {
  return all.at(-1) as unknown as Record<string, unknown>;
}

describe('lines', () => {
  test('are the messages of a page, and a last line that says where to go on', async () => {
    await using s = await scene(250);
    for (const query of [{}, { after: 'earliest' }, { after: 'last:20', limit: 7 }, { before: 'last:20' }]) {
      const all = await lines(s, query);
      const { messages, cursor, tip } = await page(s, query);
      assert.deepEqual(all, [...messages, { cursor, tip }]);
    }
  });

  test('of nothing are the last line alone', async () => {
    await using s = await scene(0);
    assert.deepEqual(await lines(s), [{ cursor: '0-0', tip: '0-0' }]);
  });

  test('are one for each entry, also of JSON that has lines of its own', async () => {
    await using s = await scene(0);
    const json = '{\r\n  "a": "\\n",\n  "b": [\n1\r]\n}';
    await s.log.append(CHANNEL, [
      { type: 'json', data: Buffer.from(json) },
      { type: 'text', data: Buffer.from('a\nb\r\n\u2028') },
    ]);
    assert.deepEqual(dataOf(await lines(s)), [JSON.parse(json), 'a\nb\r\n\u2028']);
  });

  test('tell a gap where it is', async () => {
    await using s = await scene(10);
    const { cursor } = await page(s, { after: 'earliest', limit: 2 });
    await s.log.trim(CHANNEL, { maxEntries: 3 });
    const told = await page(s, { after: cursor });
    const all = await lines(s, { after: cursor });
    assert.deepEqual(all, [{ gap: told.gap }, ...told.messages, { cursor: told.cursor, tip: told.tip }]);
    const headers = { Accept: NDJSON };
    const refused = await ask(s, { after: cursor, on_gap: 'fail' }, { headers });
    assert.deepEqual([refused.status, refused.body['code'] ?? 'gap'], [410, 'gap']);
  });

  test('that met a gap on the way, unwanted, end before it', async () => {
    await using s = await scene(3000, (n) => `${n}`.padEnd(500, '.'));
    await using reader = await Reader.open(s, 'after=0-0&limit=3000&on_gap=fail');
    s.log.hold('read');
    await s.log.trim(CHANNEL, { maxEntries: 10 });
    s.log.release('read');
    const all: Line[] = [];
    for await (const line of reader.lines()) all.push(JSON.parse(line) as Line);
    const count = dataOf(all).length;
    assert.ok(count > 0 && count < 3000, `${count}`);
    assert.equal(all.length, count + 1);
    const next = await ask(s, { after: String(last(all)['cursor']), on_gap: 'fail' });
    assert.equal(next.status, 410);
  });

  test('are refused before the first of them when the log does not answer', async () => {
    await using s = await scene(1);
    for (const operation of ['locate', 'read'] as const) {
      s.log.failNext(operation, new RivercastError('log_unavailable', 'the log does not answer'));
      const { status, headers } = await ask(s, {}, { headers: { Accept: NDJSON } });
      assert.deepEqual([status, headers.get('retry-after') !== null], [503, true], operation);
    }
  });

  test('are cut, and not ended, when the log fails on the way', async () => {
    await using s = await scene(20_000, (n) => `${n}`.padEnd(1000, '.'));
    await using reader = await Reader.open(s, 'after=earliest&limit=20000');
    await readsAtRest(s.log);
    s.log.failNext('read', new RivercastError('log_unavailable', 'the log does not answer'));
    let text = '';
    reader.response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    assert.equal(await reader.ended, false);
    assert.doesNotMatch(text, /"cursor"/);
  });
});

describe('a slow reader', () => {
  const COUNT = 50_000;
  const numbered = (n: number): string => `${n}`.padEnd(600, '.');

  test('makes reading slow, and gets everything when it reads on', async () => {
    await using s = await scene(COUNT, numbered);
    await using reader = await Reader.open(s, `after=earliest&limit=${COUNT}`);
    const pages = (COUNT * 600) / (256 * 1024);
    const read = await readsAtRest(s.log);
    assert.ok(read < pages / 2, `${read} of ${pages} pages read for who takes none`);
    let next = 0;
    let end: Record<string, unknown> = {};
    for await (const line of reader.lines()) {
      const { id, data, ...rest } = JSON.parse(line) as Record<string, unknown>;
      if (id === undefined) end = rest;
      else assert.equal(Number.parseInt(String(data), 10), next++);
    }
    assert.equal(next, COUNT);
    assert.match(String(end['cursor']), new RegExp(`\\.${COUNT}$`));
  });

  test('that goes away stops the reading', async () => {
    await using s = await scene(COUNT, numbered);
    {
      await using reader = await Reader.open(s, `after=earliest&limit=${COUNT}`);
      await readsAtRest(s.log);
      s.log.hold('read');
      reader.response.resume();
      await until('it is read', () => s.log.running('read') === 1);
    }
    for (let i = 0; i < 3; i++) await ask(s, {}, { path: '/healthz' });
    const before = s.log.count('read');
    s.log.release('read');
    await until('it is over', () => s.log.running('read') === 0);
    for (let i = 0; i < 3; i++) await ask(s, {}, { path: '/healthz' });
    assert.equal(s.log.count('read'), before);
  });

  test('does not keep others from anything', async () => {
    await using s = await scene(COUNT, numbered);
    await using slow = await Reader.open(s, `after=earliest&limit=${COUNT}`);
    await using other = await Reader.open(s, `after=earliest&limit=${COUNT}`);
    let count = 0;
    for await (const line of other.lines()) count += line === '' ? 0 : 1;
    assert.equal(count, COUNT + 1);
    assert.equal(slow.response.statusCode, 200);
  });
});
