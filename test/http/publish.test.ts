/** `POST /api/channels/:channel/messages`: one entry per request. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import type { EntryType } from '../../src/log/log.ts';
import { CHANNEL, PATH, page, scene } from '../support/history.ts';
import { answerOn, post, postText } from '../support/posts.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';

const START = { id: '0-0', epoch: null, ordinal: null };
const ALL = { maxEntries: 10_000, maxBytes: 1e9 };
const NOT_UTF8: Buffer = Buffer.from([0x68, 0xff, 0x69]);

interface Kind {
  readonly contentType: string | null;
  readonly type: EntryType;
}

const KINDS: readonly Kind[] = [
  { contentType: null, type: 'text' },
  { contentType: 'text/plain', type: 'text' },
  { contentType: 'text/plain; charset=utf-8', type: 'text' },
  { contentType: 'TEXT/HTML;Charset="UTF-8"', type: 'text' },
  { contentType: 'text/csv; header=present; charset=us-ascii', type: 'text' },
  { contentType: 'application/x-www-form-urlencoded', type: 'text' },
  { contentType: 'application/json', type: 'json' },
  { contentType: 'Application/JSON; charset=UTF-8', type: 'json' },
  { contentType: 'application/octet-stream', type: 'binary' },
  { contentType: 'application/json-seq', type: 'binary' },
  { contentType: 'application/problem+json', type: 'binary' },
  { contentType: 'application/xml; charset=iso-8859-1', type: 'binary' },
  { contentType: 'image/png', type: 'binary' },
];

function typed(contentType: string | null): Record<string, string> {
  return contentType === null ? {} : { 'Content-Type': contentType };
}

describe('the type of the content says what the entry is', () => {
  for (const { contentType, type } of KINDS) {
    test(`${contentType}: ${type}`, async () => {
      await using s = await scene(0);
      const body = '{"a": 1.0, "é":"\\u00e9" }\n';
      const { status, headers, body: answer } = await post(s, body, { headers: typed(contentType) });
      assert.equal(status, 201);
      assert.match(headers['content-type'] ?? '', /^application\/json/);
      assert.deepEqual(answer, { id: answer.id, duplicate: false });
      const { entries } = await s.log.read(CHANNEL, START, ALL);
      assert.deepEqual(
        entries.map((entry) => [entry.id, entry.type, entry.data.toString()]),
        [[answer.id, type, body]],
      );
    });
  }

  test('bytes that are no text are kept where none is expected', async () => {
    await using s = await scene(0);
    await post(s, NOT_UTF8, { headers: typed('application/octet-stream') });
    const { entries } = await s.log.read(CHANNEL, START, ALL);
    assert.deepEqual(entries[0]?.data, NOT_UTF8);
  });

  test('an empty body is an empty entry', async () => {
    await using s = await scene(0);
    assert.equal((await post(s, '')).status, 201);
    assert.equal((await post(s, '', { headers: { 'Transfer-Encoding': 'chunked' } })).status, 201);
    assert.equal((await post(s, '', { headers: typed('application/octet-stream') })).status, 201);
    const { entries } = await s.log.read(CHANNEL, START, ALL);
    assert.deepEqual(
      entries.map(({ type, data }) => [type, data.length]),
      [
        ['text', 0],
        ['text', 0],
        ['binary', 0],
      ],
    );
  });
});

describe('JSON', () => {
  const GOOD = [
    'null',
    '0',
    '""',
    ' [1 , 2]\r\n',
    '{"a":1,"a":2}',
    '"\\ud83d\\ude00"',
    '"\\\\ud800"',
    '1e400',
  ];
  const BAD = [
    '',
    ' ',
    '{',
    '{"a":1}{"b":2}',
    "{'a':1}",
    'NaN',
    '\uFEFF{}',
    '"\\ud800"',
    '{"\\uDC00":1}',
    '"\\ud800\\ud800\\udc00"',
    '{"a":"\\ud800","a":1}',
    '['.repeat(100_000),
  ];

  test('is kept byte for byte', async () => {
    await using s = await scene(0);
    for (const json of GOOD) {
      assert.equal((await post(s, json, { headers: typed('application/json') })).status, 201, json);
    }
    const { entries } = await s.log.read(CHANNEL, START, ALL);
    assert.deepEqual(
      entries.map(({ data }) => data.toString()),
      GOOD,
    );
  });

  test('that is none, or no Unicode, is refused, and nothing is stored', async () => {
    await using s = await scene(0);
    for (const body of [...BAD, NOT_UTF8, Buffer.from('"\xed\xa0\x80"', 'latin1')]) {
      const { status, headers, body: problem } = await post(s, body, { headers: typed('application/json') });
      assert.deepEqual([status, problem.code], [400, 'bad_request'], String(body).slice(0, 40));
      assert.match(headers['content-type'] ?? '', /^application\/problem\+json/);
      assert.equal(headers['retry-after'], undefined);
    }
    assert.equal(s.log.count('append'), 0);
  });
});

describe('a request that asks for nothing that can be done', () => {
  interface Bad {
    readonly headers: Readonly<Record<string, string | string[]>>;
    readonly body?: Buffer;
    readonly path?: string;
    readonly refused: readonly [status: number, code: string];
  }
  const BAD: readonly Bad[] = [
    { headers: {}, body: NOT_UTF8, refused: [400, 'bad_request'] },
    { headers: typed('text/plain'), body: NOT_UTF8, refused: [400, 'bad_request'] },
    { headers: typed('text/plain; charset=latin1'), refused: [415, 'unsupported_content'] },
    { headers: typed('application/json; charset="utf-16"'), refused: [415, 'unsupported_content'] },
    { headers: typed('plain'), refused: [415, 'unsupported_content'] },
    { headers: typed('text/'), refused: [415, 'unsupported_content'] },
    { headers: { 'Content-Encoding': 'gzip' }, refused: [415, 'unsupported_content'] },
    { headers: { 'Content-Encoding': 'identity, br' }, refused: [415, 'unsupported_content'] },
    { headers: { 'Idempotency-Key': '' }, refused: [400, 'bad_request'] },
    { headers: { 'Idempotency-Key': 'k'.repeat(129) }, refused: [400, 'bad_request'] },
    { headers: { 'Idempotency-Key': ['a', 'b'] }, refused: [400, 'bad_request'] },
    { headers: { 'Idempotency-Key': ['a', 'a'] }, refused: [400, 'bad_request'] },
    { headers: {}, path: '/api/channels/a%20b/messages', refused: [400, 'bad_channel'] },
    { headers: {}, path: `/api/channels/${'a'.repeat(129)}/messages`, refused: [400, 'bad_channel'] },
    { headers: {}, path: '/api/channels/messages', refused: [404, 'not_found'] },
  ];

  test('is told what is wrong, and nothing is stored', async () => {
    await using s = await scene(0);
    for (const { headers, body = 'hi', path = PATH, refused } of BAD) {
      const answer = await post(s, body, { headers, path });
      const what = JSON.stringify({ headers, path });
      assert.deepEqual([answer.status, answer.body.code], refused, what);
      assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/, what);
    }
    assert.equal(s.log.count('append'), 0);
  });

  test('with a key that is not UTF-8 is refused; as UTF-8 it is the key that it is elsewhere', async () => {
    await using s = await scene(0);
    await using raw = await RawSocket.connect(s.address);
    raw.write(Buffer.from(postText('hi', 'Idempotency-Key: caf\xe9'), 'latin1'));
    assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 400 /);
    raw.write(postText('hi', 'Idempotency-Key: café, au lait'));
    assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 201 /);
    assert.deepEqual(s.log.keys, ['café, au lait']);
  });

  test('because nobody publishes in this process, is told its role', async () => {
    await using redis = await RedisServer.start();
    await using server = await TestServer.start({
      ROLE: 'broadcaster',
      STORE: 'redis',
      REDIS_URL: redis.url,
    });
    const { status, text } = await post(server, 'hi');
    assert.equal(status, 404);
    assert.match(text, /ROLE=broadcaster/);
  });
});

describe('the size of a message', () => {
  const LIMIT = { MAX_MESSAGE_BYTES: '1000' };

  test('may be the largest one', async () => {
    await using s = await scene(0, LIMIT);
    assert.equal((await post(s, Buffer.alloc(1000))).status, 201);
    assert.equal((await post(s, [Buffer.alloc(999), Buffer.alloc(1)])).status, 201);
  });

  test('is told to be too large, and the connection goes on', async () => {
    await using s = await scene(0, LIMIT);
    await using raw = await RawSocket.connect(s.address);
    raw.write(postText('x'.repeat(1001)));
    assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 413 /);
    raw.write(postText('x'.repeat(1_000_000)));
    const { head, body } = await answerOn(raw);
    assert.match(head, /^HTTP\/1\.1 413 /);
    assert.equal((JSON.parse(body) as { code: string }).code, 'too_large');
    raw.write(postText('hi'));
    assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 201 /);
    assert.equal((await page(s)).messages.length, 1);
  });

  test('is found out in chunks as well, before the end', async () => {
    await using s = await scene(0, LIMIT);
    await using raw = await RawSocket.connect(s.address);
    raw.write(`POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (let n = 0; n < 3; n++) raw.write(`190\r\n${'x'.repeat(400)}\r\n`);
    assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 413 /);
    raw.write(`0\r\n\r\n${postText('hi')}`);
    assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 201 /);
  });
});

describe('the body', () => {
  test('is asked for when the client waits to be', async () => {
    await using s = await scene(0);
    await using raw = await RawSocket.connect(s.address);
    raw.write(
      `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
    );
    assert.match(await raw.head(), /^HTTP\/1\.1 100 /);
    raw.write('hi');
    assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 201 /);
  });

  test('may come in pieces', async () => {
    await using s = await scene(0);
    await using raw = await RawSocket.connect(s.address);
    for (const byte of postText('0123456789')) {
      raw.write(byte);
      await new Promise(setImmediate);
    }
    assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 201 /);
    assert.equal((await page(s)).messages[0]?.data, '0123456789');
  });

  test('that is not whole is not stored, and holds nothing', async () => {
    await using s = await scene(0);
    await using raw = await RawSocket.connect(s.address);
    raw.write(`POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n01234`);
    await until('the request is here', () => s.server.stats.posts === 1);
    raw.reset();
    await until('it is gone', () => s.server.stats.posts === 0);
    assert.equal(s.log.count('append'), 0);
  });
});

describe('many posts', () => {
  test('on one connection, sent without waiting, share batches, and are answered in order', async () => {
    await using s = await scene(0);
    s.log.hold('append');
    await using raw = await RawSocket.connect(s.address);
    raw.write(Array.from({ length: 100 }, (_, n) => postText(`n${n}`)).join(''));
    await until('all are here', () => s.server.stats.posts === 100);
    s.log.release('append');
    const ids: string[] = [];
    for (let n = 0; n < 100; n++) {
      const { head, body } = await answerOn(raw);
      assert.match(head, /^HTTP\/1\.1 201 /);
      ids.push((JSON.parse(body) as { id: string }).id);
    }
    const { messages } = await page(s);
    assert.deepEqual(
      messages.map(({ id, data }) => [id, data]),
      ids.map((id, n) => [id, `n${n}`]),
    );
    assert.equal(s.log.count('append'), 2);
  });

  test('keep their order when one of them came in pieces', async () => {
    await using s = await scene(0);
    await using raw = await RawSocket.connect(s.address);
    const text = [
      postText('a'.repeat(500)),
      postText('b'),
      postText('{}', 'Content-Type: application/json'),
    ].join('');
    raw.write(text.slice(0, 300));
    await until('the first has begun', () => s.server.stats.posts === 1);
    raw.write(text.slice(300));
    for (let n = 0; n < 3; n++) await answerOn(raw);
    const { messages } = await page(s);
    assert.deepEqual(
      messages.map(({ data }) => (typeof data === 'string' ? data[0] : data)),
      ['a', 'b', {}],
    );
  });
});

describe('a client that is gone before the answer', () => {
  test('has its entry stored all the same', async () => {
    await using s = await scene(0);
    s.log.hold('append');
    await using raw = await RawSocket.connect(s.address);
    raw.write(postText('hi'));
    await until('it waits', () => s.log.running('append') === 1);
    raw.reset();
    await until('it is gone', () => s.server.stats.posts === 1);
    s.log.release('append');
    await until('nothing waits', () => s.server.stats.posts === 0 && s.server.stats.unstoredBytes === 0);
    assert.deepEqual(
      (await page(s)).messages.map(({ data }) => data),
      ['hi'],
    );
  });
});

describe('a log that', () => {
  test('stands still refuses in time: what is in flight may be stored, what comes later is not', async () => {
    await using s = await scene(0, { OVERLOADED_AFTER_MS: '100ms', HEARTBEAT_MS: '200ms' });
    s.log.hold('append');
    const first = post(s, 'first');
    await until('it is in flight', () => s.log.running('append') === 1);
    const second = post(s, 'second');
    for (const [answer, code] of [
      [await first, 'log_unavailable'],
      [await second, 'overloaded'],
      [await post(s, 'third'), 'overloaded'],
    ] as const) {
      assert.deepEqual([answer.status, answer.body.code], [503, code]);
      assert.match(answer.headers['retry-after'] ?? '', /^[1-9]\d*$/);
    }
    s.log.release('append');
    await until('it is settled', () => s.server.stats.unstoredBytes === 0);
    assert.equal((await post(s, 'fourth')).status, 201);
    assert.deepEqual(
      (await page(s)).messages.map(({ data }) => data),
      ['first', 'fourth'],
    );
  });

  for (const code of ['log_unavailable', 'not_replicated', 'not_synced'] as const) {
    test(`tells ${code} is told on, and to try again`, async () => {
      await using s = await scene(0);
      s.log.failNext('append', new RivercastError(code, 'what the log says'));
      const { status, headers, body, text } = await post(s, 'hi');
      assert.deepEqual([status, body.code], [503, code]);
      assert.match(text, /what the log says/);
      assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/);
    });
  }

  test('fails in a way that nobody foresaw is a fault of the server', async () => {
    await using s = await scene(0);
    s.log.failNext('append', new Error('secret'));
    const { status, body, text } = await post(s, 'hi');
    assert.deepEqual([status, body.code], [500, 'internal']);
    assert.doesNotMatch(text, /secret/);
  });
});

test('a stop answers what was received', async () => {
  await using s = await scene(0);
  s.log.hold('append');
  await using raw = await RawSocket.connect(s.address);
  raw.write(postText('hi'));
  await until('it waits', () => s.log.running('append') === 1);
  const stopped = s.server.stop();
  s.log.release('append');
  assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 201 /);
  assert.equal(await within('the stop', stopped), true);
});
