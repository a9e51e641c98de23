/** `POST /api/channels/:channel/messages` with lines of JSON: many entries in one request, answered one by one. */
import assert from 'node:assert/strict';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import { GatedLog } from '../support/gated-log.ts';
import { CHANNEL, lines, NDJSON, PATH, page, type Scene, scene } from '../support/history.ts';
import { BATCH_HEAD, chunk, LAST_CHUNK, type Posted, post } from '../support/posts.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';

const BATCH = { 'Content-Type': NDJSON };
const START = { id: '0-0', epoch: null, ordinal: null };
const ALL = { maxEntries: 1_000_000, maxBytes: 1e9 };

interface Answered {
  readonly id?: string;
  readonly duplicate?: boolean;
  readonly error?: { readonly code: string; readonly message: string; readonly retry: boolean };
}

function batch(s: Scene, body: Buffer | string | readonly (Buffer | string)[]): Promise<Posted> {
  return post(s, body, { headers: BATCH });
}

function answersOf({ text }: Posted): Answered[] {
  return text === '' ? [] : parse(text.trimEnd().split('\n'));
}

function parse(texts: readonly string[]): Answered[] {
  return texts.map((line) => JSON.parse(line) as Answered);
}

/** What each line came to: `ok`, or the code of its error. */
function fates(answers: readonly Answered[]): string[] {
  return answers.map(({ id, error }) => (id === undefined ? (error?.code ?? '?') : 'ok'));
}

async function stored(s: Scene): Promise<[string, string][]> {
  const { entries } = await s.log.inner.read(CHANNEL, START, ALL);
  return entries.map(({ type, data }) => [type, data.toString()]);
}

/** A batch under way: lines are written when the test says so, and answers read when it asks. */
class Upload implements AsyncDisposable {
  readonly sending: ClientRequest;
  readonly response: Promise<IncomingMessage>;
  #answers: AsyncIterator<string> | null = null;

  constructor({ address }: Scene) {
    this.sending = request(`${address}${PATH}`, { method: 'POST', agent: false, headers: BATCH });
    this.response = new Promise((resolve, reject) => {
      this.sending.on('response', resolve).on('error', reject);
    });
    this.response.catch(() => undefined);
    this.sending.flushHeaders();
  }

  write(text: string): void {
    this.sending.write(text);
  }

  /** The next answer; null when there are no more. */
  async answer(): Promise<Answered | null> {
    const response = await within('the head of the answer', this.response);
    this.#answers ??= createInterface({ input: response, crlfDelay: Infinity })[Symbol.asyncIterator]();
    const { done, value } = await within('an answer', this.#answers.next());
    return done === true ? null : (JSON.parse(value) as Answered);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sending.destroy();
    await new Promise((resolve) => (this.sending.closed ? resolve(null) : this.sending.on('close', resolve)));
  }
}

describe('each line', () => {
  test('is an entry, answered in its order', async () => {
    await using s = await scene(0);
    const answer = await batch(
      s,
      [
        '{"data":"a text"}',
        '{"data":{"b": [1, 2.50]}}\r',
        '',
        ' \t\r',
        '{"data64":"AP8=","id":"7-7","other":1}',
        '{"data":null}',
        '{"data":""}',
        '{"data":"last","key":"k"}',
      ].join('\n'),
    );
    assert.equal(answer.status, 200);
    assert.match(answer.headers['content-type'] ?? '', /^application\/x-ndjson/);
    const answers = answersOf(answer);
    const { entries } = await s.log.read(CHANNEL, START, ALL);
    assert.deepEqual(
      answers,
      entries.map(({ id }) => ({ id, duplicate: false })),
    );
    assert.deepEqual(
      entries.map(({ type, data }) => [type, data.toString('latin1')]),
      [
        ['text', 'a text'],
        ['json', '{"b":[1,2.5]}'],
        ['binary', '\x00\xff'],
        ['json', 'null'],
        ['text', ''],
        ['text', 'last'],
      ],
    );
    assert.deepEqual(s.log.keys, ['k']);
  });

  test('that is wrong costs only itself', async () => {
    await using s = await scene(0, { MAX_MESSAGE_BYTES: '1000' });
    const BAD: readonly (readonly [line: string | Buffer, code: string])[] = [
      ['x', 'bad_request'],
      ['[]', 'bad_request'],
      ['{}', 'bad_request'],
      ['{"data":1,"data64":""}', 'bad_request'],
      ['{"data64":"?"}', 'bad_request'],
      ['{"data":"\\ud800"}', 'bad_request'],
      ['{"data":1,"key":""}', 'bad_request'],
      [Buffer.from([0x7b, 0xff, 0x7d]), 'bad_request'],
      [`{"data":"${'x'.repeat(1001)}"}`, 'too_large'],
      [`{"data":"${'x'.repeat(1_000_000)}"}`, 'too_large'],
      [`{"data":${'[0]'.padEnd(200_000)}}`, 'too_large'],
    ];
    const pieces: (string | Buffer)[] = [];
    for (const [line] of BAD) pieces.push('{"data":"good"}\n', line, '\n');
    for (const size of [1_000_000_000, 5, 8192]) {
      const whole = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
      const answers = answersOf(await batch(s, size === 5 ? whole : cut(whole, size)));
      assert.deepEqual(
        fates(answers),
        BAD.flatMap(([, code]) => ['ok', code]),
      );
      for (const { error } of answers) assert.notEqual(error?.retry, true);
    }
    assert.equal((await stored(s)).length, 3 * BAD.length);
  });

  test('may be as large as a message can be, in base64 and escaped', async () => {
    await using s = await scene(0, { MAX_MESSAGE_BYTES: '3000' });
    const data64 = Buffer.alloc(3000, 1).toString('base64');
    const escaped = '\\u0001'.repeat(3000);
    const answer = await batch(s, `{"data64":"${data64}"}\n{"data":"${escaped}"}\n`);
    assert.deepEqual(fates(answersOf(answer)), ['ok', 'ok']);
  });

  test('of a history may be sent back', async () => {
    await using s = await scene(25);
    const history = await lines(s, { after: 'earliest', limit: 25 });
    const body = history.map((line) => `${JSON.stringify(line)}\n`).join('');
    const answer = await post(s, body, { headers: BATCH, path: '/api/channels/copy/messages' });
    // The last line of a history is where to go on.
    assert.deepEqual(fates(answersOf(answer)), [...Array<string>(25).fill('ok'), 'bad_request']);
    const copy = await page(s, { limit: 100 }, '/api/channels/copy/messages');
    assert.deepEqual(
      copy.messages.map(({ data }) => data),
      history.slice(0, -1).map((line) => 'data' in line && line.data),
    );
  });
});

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

describe('a batch', () => {
  test('of no lines is answered with none', async () => {
    await using s = await scene(0);
    for (const body of ['', '\n', '\r\n\n \n']) {
      const answer = await batch(s, body);
      assert.deepEqual([answer.status, answer.text], [200, '']);
    }
  });

  test('is refused whole for what is wrong with the request', async () => {
    await using s = await scene(0);
    const BAD = [
      { ...BATCH, 'Idempotency-Key': 'k' },
      { ...BATCH, 'Content-Encoding': 'gzip' },
      { 'Content-Type': `${NDJSON}; charset=latin1` },
    ];
    const answers = await Promise.all(BAD.map((headers) => post(s, '{"data":1}', { headers })));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [400, 415, 415],
    );
  });

  test('is a stream: a line is answered while the next is not written yet', async () => {
    await using s = await scene(0);
    await using upload = new Upload(s);
    for (let n = 0; n < 3; n++) {
      upload.write(`{"data":${n}}\n{"da`);
      assert.deepEqual(Object.keys((await upload.answer()) ?? {}), ['id', 'duplicate']);
      upload.write('ta":0}\n');
      assert.equal((await upload.answer())?.duplicate, false);
    }
    upload.sending.end();
    assert.equal(await upload.answer(), null);
    assert.equal((await stored(s)).length, 6);
  });

  test('tells of a failed append in the lines that it held', async () => {
    await using s = await scene(0);
    s.log.failNext('append', new RivercastError('not_synced', 'late'));
    await using upload = new Upload(s);
    upload.write('{"data":1}\n');
    assert.deepEqual(await upload.answer(), { error: { code: 'not_synced', message: 'late', retry: true } });
    upload.write('{"data":1}\n');
    assert.equal((await upload.answer())?.duplicate, false);
    upload.sending.end();
    assert.equal(await upload.answer(), null);
  });

  test('tells of a fault of the server in each line, and the log of the server tells it once', async () => {
    const log = new GatedLog();
    const said: string[] = [];
    await using server = await TestServer.start({ LOG_LEVEL: 'error' }, log, said);
    log.failNext('append', new Error('secret'));
    log.failNext('append', new Error('secret'));
    const { text } = await post(server, '{"data":1}\n'.repeat(1000), { headers: BATCH });
    assert.equal(text.split('"internal"').length - 1, 1000);
    assert.doesNotMatch(text, /secret/);
    assert.equal(said.filter((line) => line.includes('secret')).length, 1);
  });

  test('that is told that nobody knows is stored as it was sent, should the log come back', async () => {
    await using s = await scene(0, { OVERLOADED_AFTER_MS: '100ms' });
    s.log.hold('append');
    const answered = await batch(s, '{"data":"one","key":"1"}\n{"data":{"n":2},"key":"2"}\n');
    assert.deepEqual(fates(answersOf(answered)), ['log_unavailable', 'log_unavailable']);
    s.log.release('append');
    await until('it is stored', async () => (await stored(s)).length === 2);
    assert.deepEqual(await stored(s), [
      ['text', 'one'],
      ['json', '{"n":2}'],
    ]);
  });

  test('of a hundred thousand lines goes through in bounded memory', async () => {
    await using s = await scene(0);
    const LINES = 100_000;
    await using upload = new Upload(s);
    let most = 0;
    const write = async (): Promise<void> => {
      for (let n = 0; n < LINES; n += 1000) {
        const piece = Array.from({ length: 1000 }, (_, i) => `{"data":"line ${n + i}"}\n`).join('');
        if (!upload.sending.write(piece))
          await new Promise((resolve) => upload.sending.once('drain', resolve));
        most = Math.max(most, s.server.stats.unstoredBytes);
      }
      upload.sending.end();
    };
    const writing = write();
    const response = await upload.response;
    const ids: string[] = [];
    for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
      ids.push((JSON.parse(line) as Answered).id ?? line);
    }
    await writing;
    const { entries } = await s.log.inner.read(CHANNEL, START, ALL);
    assert.deepEqual(
      entries.map(({ id }) => id),
      ids,
    );
    assert.equal(entries[LINES - 1]?.data.toString(), `line ${LINES - 1}`);
    assert.ok(most < 4 * 1024 * 1024, `${most} bytes waited to be stored`);
  });
});

/** Writes until the server has taken nothing for a while; resolves with what was written. */
async function writeUntilStuck(raw: RawSocket, piece: string, limit: number): Promise<number> {
  let sent = 0;
  let stuck = 0;
  while (stuck < 50) {
    assert.ok(sent < limit, 'the client was never made to wait');
    if (raw.socket.writableLength > 0) stuck += 1;
    else {
      stuck = 0;
      raw.write(piece);
      sent += 1;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return sent;
}

describe('a client is made to wait', () => {
  test('while the log is slow, and nothing piles up', async () => {
    await using s = await scene(0, { PUBLISHER_BUFFER_BYTES: '100kb', OVERLOADED_AFTER_MS: '1m' });
    s.log.hold('append');
    await using raw = await RawSocket.connect(s.address);
    raw.write(BATCH_HEAD);
    const piece = chunk(`{"data":"${'x'.repeat(10_000)}"}\n`.repeat(10));
    const sent = await writeUntilStuck(raw, piece, 1000);
    assert.ok(s.server.stats.unstoredBytes < 400_000, `${s.server.stats.unstoredBytes} bytes are here`);
    s.log.release('append');
    raw.write(LAST_CHUNK);
    await until('the answer is whole', async () => (await stored(s)).length === 10 * sent);
    const text = await raw.until(LAST_CHUNK);
    assert.equal(text.split('"duplicate":false').length - 1, 10 * sent);
  });

  test('while it does not read its answers', async () => {
    await using s = await scene(0);
    await using raw = await RawSocket.connect(s.address);
    raw.stopReading();
    raw.write(BATCH_HEAD);
    const piece = chunk('{"data":0}\n'.repeat(5000));
    const sent = await writeUntilStuck(raw, piece, 2000);
    raw.socket.removeAllListeners('data');
    raw.readOn();
    raw.write(LAST_CHUNK);
    await until('all is stored', async () => (await s.log.bounds(CHANNEL)).length === 5000 * sent);
  });

  test('also when none of its lines is an entry', async () => {
    await using s = await scene(0);
    s.log.hold('append');
    await using raw = await RawSocket.connect(s.address);
    raw.write(BATCH_HEAD);
    raw.write(chunk('{"data":0}\n'));
    await writeUntilStuck(raw, chunk('x\n'.repeat(20_000)), 1000);
    s.log.release('append');
  });
});

test('a log that stands still is told line by line, and what comes after it is stored', async () => {
  await using s = await scene(0, { OVERLOADED_AFTER_MS: '100ms', HEARTBEAT_MS: '200ms' });
  s.log.hold('append');
  await using upload = new Upload(s);
  upload.write('{"data":"in flight"}\n');
  await until('it is in flight', () => s.log.running('append') === 1);
  upload.write('{"data":"waits"}\n');
  assert.equal((await upload.answer())?.error?.code, 'log_unavailable');
  assert.equal((await upload.answer())?.error?.code, 'overloaded');
  upload.write('{"data":"late"}\n');
  assert.deepEqual((await upload.answer())?.error?.retry, true);
  s.log.release('append');
  await until('it is settled', () => s.server.stats.unstoredBytes === 0);
  upload.write('{"data":"after"}\n');
  assert.equal((await upload.answer())?.duplicate, false);
  upload.sending.end();
  assert.equal(await upload.answer(), null);
  assert.deepEqual(
    (await stored(s)).map(([, data]) => data),
    ['in flight', 'after'],
  );
});

test('the number of batches is bounded', async () => {
  await using s = await scene(0);
  const open = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const raw = await RawSocket.connect(s.address);
      raw.write(BATCH_HEAD);
      assert.match(await raw.head(), /^HTTP\/1\.1 200 /);
      return raw;
    }),
  );
  const refused = await batch(s, '{"data":1}');
  assert.deepEqual([refused.status, refused.body.code], [429, 'limit_reached']);
  for (const raw of open) raw.reset();
  await until('there is room', async () => (await batch(s, '{"data":1}')).status === 200);
});

describe('a stop in the middle of a batch', () => {
  test('stores what was taken, refuses what comes, and ends the answer as it should be', async () => {
    await using s = await scene(0);
    s.log.hold('append');
    await using upload = new Upload(s);
    upload.write('{"data":"before"}\n');
    await until('it is in flight', () => s.log.running('append') === 1);
    const stopped = s.server.stop();
    upload.write('{"data":"after"}\n');
    await until('the stop has begun', async () => {
      const response = await fetch(`${s.address}/readyz`).catch(() => null);
      return response?.ok !== true;
    });
    s.log.release('append');
    assert.equal((await upload.answer())?.duplicate, false);
    const after = await upload.answer();
    assert.ok(after?.id !== undefined || after?.error?.code === 'draining', JSON.stringify(after));
    upload.write('{"data":"much later"}\n');
    assert.deepEqual((await upload.answer())?.error?.code, 'draining');
    upload.sending.end();
    assert.equal(await upload.answer(), null);
    assert.equal(await within('the stop', stopped), true);
  });

  test('waits for one that does not end for a while only', async () => {
    await using s = await scene(0);
    await using upload = new Upload(s);
    upload.write('{"data":"before"}\n');
    assert.equal((await upload.answer())?.duplicate, false);
    const stopped = s.server.stop();
    assert.equal(await upload.answer(), null);
    assert.equal(await within('the stop', stopped), true);
  });
});
