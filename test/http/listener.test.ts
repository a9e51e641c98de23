/** Requests that are broken, or never finished: what they are answered, and that their connections end. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/logger.ts';
import { startServer } from '../../src/server.ts';
import { GatedLog } from '../support/gated-log.ts';
import { CHANNEL, NDJSON, PATH } from '../support/history.ts';
import { answerOn, BATCH_HEAD, chunk, LAST_CHUNK, postText } from '../support/posts.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { until, within } from '../support/within.ts';

const ALL = { maxEntries: 10, maxBytes: 1000 };
const REQUEST_MS = 300;
const TIMEOUTS = {
  HANDSHAKE_TIMEOUT_MS: '200',
  REQUEST_TIMEOUT_MS: `${REQUEST_MS}`,
  DRAIN_TIMEOUT_MS: '100',
};

/** A server with less patience. */
async function listen(t: TestContext, log: GatedLog = new GatedLog()): Promise<string> {
  const config = loadConfig({ env: { PORT: '0', STORE: 'memory', ...TIMEOUTS } });
  const server = await startServer(config, createLogger({ level: 'silent' }), async () => log);
  t.after(() => server.stop());
  return server.addresses[0] as string;
}

const BROKEN: readonly (readonly [name: string, text: string, status: number])[] = [
  ['a request that is none', 'HELLO\r\n\r\n', 400],
  ['headers without an end', 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n', 408],
  [
    'headers above 16 KiB',
    `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    431,
  ],
  ['a body without an end', `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhe`, 408],
  [
    'a length that is none',
    `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5x\r\n\r\nhello`,
    400,
  ],
];

for (const [name, text, status] of BROKEN) {
  test(`${name} is answered with ${status}, and that is the end`, async (t) => {
    await using raw = await RawSocket.connect(await listen(t));
    raw.write(text);
    assert.match(await raw.head(), new RegExp(`^HTTP/1\\.1 ${status} .*connection: close`, 'is'));
    await within('the end', raw.closed);
  });
}

test('a hundred that send a byte once in a while are all ended in time, and others answered meanwhile', async (t) => {
  const address = await listen(t);
  const sockets = await Promise.all(Array.from({ length: 100 }, () => RawSocket.connect(address)));
  t.after(() => sockets.forEach(({ socket }) => socket.destroy()));
  for (const { socket } of sockets) socket.write('GET /healthz HTTP/1.1\r\nHost: ');
  const dripping = setInterval(() => {
    for (const { socket } of sockets) if (socket.writable) socket.write('x');
  }, 10);
  t.after(() => clearInterval(dripping));
  await until('all are ended', async () => {
    const { status } = await fetch(`${address}/healthz`);
    assert.equal(status, 200);
    return sockets.every(({ socket }) => socket.destroyed);
  });
});

test('a batch may take as long as it likes; the request after it may not', async (t) => {
  await using raw = await RawSocket.connect(await listen(t));
  raw.write(
    `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  for (const last of [false, true]) {
    raw.write('b\r\n{"data":0}\n\r\n');
    await raw.until('"duplicate":false');
    if (!last) await new Promise((resolve) => setTimeout(resolve, 2 * REQUEST_MS));
  }
  raw.write('0\r\n\r\n');
  const answer = await raw.until('0\r\n\r\n');
  assert.equal(answer.match(/"id"/g)?.length, 2);
  raw.write(`POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhe`);
  await raw.until('HTTP/1.1 408 ');
  await within('the end', raw.closed);
});

describe('a batch that is sent before the one in front of it is answered may take as long as it likes,', () => {
  const LINE = '{"data":0}\n';
  for (const [name, first, isAnsweredMeanwhile] of [
    ['also when that is answered meanwhile', LINE, true],
    // So many lines wait for the log that the rest of the batch is not taken.
    ['also when it waits for its turn', `${LINE}${'x\n'.repeat(20_000)}`, false],
  ] as const) {
    test(name, async (t) => {
      const log = new GatedLog();
      await using raw = await RawSocket.connect(await listen(t, log));
      log.hold('append');
      raw.write(`${BATCH_HEAD}${chunk(first)}${chunk(LINE)}${LAST_CHUNK}${BATCH_HEAD}${chunk(LINE)}`);
      await until('they are here', () => log.running('append') === 1);
      if (isAnsweredMeanwhile) log.release('append');
      await new Promise((resolve) => setTimeout(resolve, 2 * REQUEST_MS));
      log.release('append');
      raw.write(`${chunk(LINE)}${LAST_CHUNK}${postText('', 'Connection: close')}`);
      await within('the end', raw.closed);
      const answers = (await raw.until('')).match(/HTTP\/1\.1 \d+|"id"/g);
      const batch = ['HTTP/1.1 200', '"id"', '"id"'];
      assert.deepEqual(answers, [...batch, ...batch, 'HTTP/1.1 201', '"id"']);
    });
  }
});

describe('what is broken behind a post that is not answered yet', () => {
  const POST = `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello`;
  const CHUNKED = `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n`;
  for (const [name, text] of [
    ['a request that is none', 'HELLO\r\n\r\n'],
    ['a chunk that is none', `${CHUNKED}ZZ\r\n`],
    ['headers without an end', 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n'],
  ] as const) {
    test(`(${name}) is not taken for its answer, and ends the connection`, async (t) => {
      const log = new GatedLog();
      await using raw = await RawSocket.connect(await listen(t, log));
      log.hold('append');
      raw.write(`${POST}${POST}${text}`);
      await until('the posts are here', () => log.count('append') > 0);
      await new Promise((resolve) => setTimeout(resolve, 2 * REQUEST_MS));
      assert.equal(raw.socket.bytesRead, 0);
      log.release('append');
      await within('the end', raw.closed);
      const answers = (await raw.until('')).match(/HTTP\/1\.1 \d+|"id"/g);
      assert.deepEqual(answers, ['HTTP/1.1 201', '"id"', 'HTTP/1.1 201', '"id"']);
    });
  }
});

test('a post that offers to go on in HTTP/2 is read with its body, and its connection goes on', async (t) => {
  const log = new GatedLog();
  await using raw = await RawSocket.connect(await listen(t, log));
  const OFFER =
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA';
  const post = `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n${OFFER}\r\nContent-Length: 5\r\n\r\n`;
  raw.write(`${post}hello`);
  assert.match((await answerOn(raw)).body, /"duplicate":false/);
  raw.write(`${post}wo`);
  await new Promise((resolve) => setTimeout(resolve, REQUEST_MS / 10));
  raw.write('rld');
  assert.match((await answerOn(raw)).body, /"duplicate":false/);
  const { entries } = await log.inner.read(CHANNEL, { id: '0-0', epoch: null, ordinal: null }, ALL);
  assert.deepEqual(
    entries.map(({ data }) => data.toString()),
    ['hello', 'world'],
  );
});

describe('a request with more than a hundred headers', () => {
  const MANY = Array.from({ length: 99 }, (_, i) => `X-${i}: a\r\n`).join('');
  const HEAD = 'HTTP/1.1\r\nHost: 127.0.0.1\r\n';

  test('is refused: an Origin or a key might be among those left out', async (t) => {
    const log = new GatedLog();
    const address = await listen(t, log);
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
    for (const request of [
      `POST ${PATH} ${HEAD}${MANY}Content-Length: 5\r\nIdempotency-Key: k\r\n\r\nhello`,
      `GET /ws/manager ${HEAD}${MANY}${upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
      `GET /healthz ${HEAD}${MANY}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
    ]) {
      await using raw = await RawSocket.connect(address);
      raw.write(request);
      assert.match(await raw.head(), /^HTTP\/1\.1 431 /);
      await within('the end', raw.closed);
    }
    assert.equal(log.count('append'), 0);
  });

  test('is answered with exactly a hundred', async (t) => {
    await using raw = await RawSocket.connect(await listen(t));
    raw.write(`GET /healthz ${HEAD}${MANY}\r\n`);
    assert.match(await raw.head(), /^HTTP\/1\.1 200 /);
  });
});
