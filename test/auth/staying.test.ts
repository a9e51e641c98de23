/** Connections that stay: their tokens end, are renewed, or are taken back. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { makeApiKey } from '../../src/api-keys.ts';
import { EventStream } from '../support/event-stream.ts';
import { GatedLog } from '../support/gated-log.ts';
import { fill, Reader } from '../support/history.ts';
import { BATCH_HEAD, chunk, post } from '../support/posts.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { ServerProcess, TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { REQUIRED, seconds, token } from '../support/tokens.ts';
import { V1Client } from '../support/v1-client.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { until, within } from '../support/within.ts';

const ALL = { sub: 'ann', publish: ['*'], subscribe: ['*'] };
/** Within the grace of 5 s, so that it is let in and has to go within two. */
const NEARLY_OVER = -3.8;

/** What a server with these settings is asked with this token. */
function bearer(shown: string): { readonly headers: Record<string, string> } {
  return { headers: { Authorization: `Bearer ${shown}` } };
}

describe('when its token is over', { concurrency: true }, () => {
  test('a raw subscriber is closed with 4401 and its cursor', async () => {
    await using server = await TestServer.start(REQUIRED);
    const options = bearer(await token({ ...ALL, exp: seconds(NEARLY_OVER) }));
    await using subscriber = await server.subscriber('', options);
    await using publisher = await server.publisher('', bearer(await token(ALL)));
    publisher.send('x');
    await subscriber.next();
    const { code, reason } = await within('the close', subscriber.closed);
    assert.equal(code, 4401);
    assert.match(reason, /^cursor=\d+-\d+@/);
    assert.ok(publisher.isOpen);
  });

  test('a v1 subscriber is told why, and closed with 4401', async () => {
    await using server = await TestServer.start(REQUIRED);
    const options = bearer(await token({ ...ALL, exp: seconds(NEARLY_OVER) }));
    await using client = await V1Client.open(server, '?channel=a', options);
    await client.expect('subscribed');
    const error = await client.expect('error');
    assert.deepEqual([error['code'], error['retry']], ['token_expired', false]);
    const { code, reason } = await client.closed;
    assert.deepEqual([code, reason.slice(0, 7)], [4401, 'cursor=']);
  });

  test('publishers are closed with 4401, and what they sent is stored', async () => {
    await using server = await TestServer.start(REQUIRED);
    const options = bearer(await token({ ...ALL, exp: seconds(NEARLY_OVER) }));
    await using raw = await server.publisher('', options);
    await using v1 = await V1PublisherClient.open(server, '', options);
    raw.send('x');
    await v1.published('y');
    assert.equal((await within('the close', raw.closed)).code, 4401);
    assert.deepEqual(await within('the close', v1.socket.closed), {
      code: 4401,
      reason: 'the token has expired',
    });
    await until('both are stored', async () => (await lengthOf(server)) === 2);
  });

  test('a stream of events ends, and its browser is told 401 when it comes back', async () => {
    await using server = await TestServer.start(REQUIRED);
    const shown = await token({ ...ALL, exp: seconds(NEARLY_OVER) });
    await using stream = await EventStream.open(`${server.address}/sse?token=${shown}`);
    assert.equal(stream.status, 200);
    await within('the end', stream.ended);
    await until('it is over', async () => {
      await using again = await EventStream.open(`${server.address}/sse?token=${shown}`);
      return again.status === 401;
    });
  });

  test('a batch stores no more lines, says why, and ends', async () => {
    await using server = await TestServer.start(REQUIRED);
    const shown = await token({ ...ALL, exp: seconds(NEARLY_OVER) });
    await using raw = await RawSocket.connect(server.address);
    raw.write(`${BATCH_HEAD.trimEnd()}\r\nAuthorization: Bearer ${shown}\r\n\r\n`);
    const going = setInterval(() => raw.write(chunk('{"data":1}\n')), 50);
    await raw.until('"id"');
    await raw.until('{"error":{"code":"token_expired"');
    const stored = await lengthOf(server);
    await within('the end', raw.closed);
    clearInterval(going);
    assert.equal(await lengthOf(server), stored);
  });

  test('history is not read on, as lines or as a page, by who takes it slowly', async () => {
    const log = new GatedLog();
    await fill(log.inner, 1000, (n) => `${n}`.padEnd(20_000, '.'));
    await using server = await TestServer.start(REQUIRED, log);
    const shown = await token({ ...ALL, exp: seconds(NEARLY_OVER) });
    const query = `after=earliest&limit=1000&token=${shown}`;
    await using lines = await Reader.open(server, query);
    await using page = await Reader.open(server, query, 'application/json');
    await using witness = await server.subscriber(`?token=${shown}`);
    const readers = [lines, page];
    assert.deepEqual(
      readers.map(({ response }) => response.statusCode),
      [200, 200],
    );
    // A little at a time, so that neither stands still.
    const slowly = setInterval(() => readers.map(({ response }) => response.read()), 100);
    await within('the close of another', witness.closed);
    clearInterval(slowly);
    for (const { response, ended } of readers) {
      response.resume();
      assert.equal(await within('the end', ended), false);
    }
  });

  test('whoever showed a new one in time stays', async () => {
    await using server = await TestServer.start(REQUIRED);
    const options = bearer(await token({ ...ALL, exp: seconds(NEARLY_OVER) }));
    await using staying = await V1Client.open(server, '?channel=a', options);
    await staying.expect('subscribed');
    await using publisher = await V1PublisherClient.open(server, '?channel=a', options);
    await using witness = await server.subscriber('', options);
    const exp = Math.round(seconds(3600));
    for (const client of [staying, publisher]) {
      client.send({ type: 'auth', token: await token({ ...ALL, exp }), ref: 7 });
      assert.deepEqual(await client.expect('authenticated'), {
        type: 'authenticated',
        subject: 'ann',
        expires: exp,
        ref: 7,
      });
    }
    assert.equal((await within('the close of another', witness.closed)).code, 4401);
    await publisher.published('still here');
    assert.deepEqual(await staying.data('a', 1), ['still here']);
  });
});

describe('a new token', () => {
  test('a bad one changes nothing, and says why', async () => {
    await using server = await TestServer.start(REQUIRED);
    const options = bearer(await token(ALL));
    await using subscriber = await V1Client.open(server, '?channel=a', options);
    await subscriber.expect('subscribed');
    await using publisher = await V1PublisherClient.open(server, '?channel=a', options);
    const cases = [
      [{ token: 'x' }, 'unauthenticated'],
      [{ token: await token({ ...ALL, exp: seconds(-60) }) }, 'token_expired'],
      [{ token: await token({ ...ALL, sub: 'bob' }) }, 'forbidden'],
      [{ token: '' }, 'bad_request'],
      [{}, 'bad_request'],
      [{ token: 7 }, 'bad_request'],
    ] as const;
    for (const client of [subscriber, publisher]) {
      for (const [members, code] of cases) {
        client.send({ type: 'auth', ...members, ref: code });
        const { type, code: told, ref } = (await client.next()) as Record<string, unknown>;
        assert.deepEqual([type, told, ref], ['error', code, code]);
      }
    }
    await publisher.published('x');
    assert.deepEqual(await subscriber.data('a', 1), ['x']);
  });

  test('what it does not allow ends, and is refused from then on', async () => {
    await using server = await TestServer.start(REQUIRED);
    await using client = await V1Client.open(server, '?channel=a&channel=b', bearer(await token(ALL)));
    await client.expect('subscribed');
    await client.expect('subscribed');
    client.send({ type: 'auth', token: await token({ ...ALL, subscribe: ['b', 'c'] }) });
    await client.expect('authenticated');
    const error = await client.expect('error');
    assert.deepEqual([error['code'], error['channel']], ['forbidden', 'a']);
    assert.equal((await client.expect('unsubscribed'))['channel'], 'a');
    client.send({ type: 'subscribe', channel: 'a' });
    assert.equal((await client.expect('error'))['code'], 'forbidden');
    await client.subscribe('c');
  });

  test('a publisher may publish where it says, and nowhere else', async () => {
    await using server = await TestServer.start(REQUIRED);
    const options = bearer(await token({ sub: 'ann', publish: ['a', 'room:*'] }));
    await using publisher = await V1PublisherClient.open(server, '', options);
    await publisher.published('x', { channel: 'a' });
    await publisher.published('x', { channel: 'room:1' });
    publisher.publish('x', { channel: 'room', ref: 1 });
    const { code, ref, channel } = (await publisher.expect('error')) as Record<string, unknown>;
    assert.deepEqual([code, ref, channel], ['forbidden', 1, 'room']);
    publisher.send({ type: 'auth', token: await token({ sub: 'ann', publish: ['room'] }) });
    await publisher.expect('authenticated');
    await publisher.published('x', { channel: 'room' });
  });

  test('one at a time is checked', async () => {
    await using server = await TestServer.start(REQUIRED);
    await using publisher = await V1PublisherClient.open(server, '', bearer(await token(ALL)));
    // Not the last character: some of its bits are not part of the signature.
    const shown = `${(await token(ALL)).slice(0, -4)}AAAA`;
    for (let i = 0; i < 5; i++) publisher.send({ type: 'auth', token: shown, ref: i });
    const codes = (await publisher.take(5)).map(({ ref, code }) => [ref, code]);
    assert.deepEqual(codes[0], [0, 'unauthenticated']);
    assert.ok(codes.slice(1).every(([, code]) => code === 'bad_request' || code === 'unauthenticated'));
    await publisher.published('x');
  });

  test('where none is asked for it is refused', async () => {
    await using server = await TestServer.start();
    await using client = await V1Client.open(server);
    client.send({ type: 'auth', token: 'x' });
    assert.equal((await client.expect('error'))['code'], 'bad_request');
  });
});

test('API keys: what each grants; one that is taken out of the file is over at once, a bad file changes nothing', async (t) => {
  const dir = await tempDir(t);
  const path = join(dir, 'keys.json');
  const a = makeApiKey({ name: 'a', publish: ['*'] });
  const b = makeApiKey({ name: 'b', publish: ['b'], subscribe: ['*'], admin: ['*'] });
  const old = makeApiKey({ name: 'old', publish: ['*'], expires: '2020-01-01T00:00:00Z' });
  const put = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  await put(JSON.stringify([a.item, b.item, old.item]));
  const said: string[] = [];
  await using server = await TestServer.start({ API_KEYS_FILE: path, LOG_LEVEL: 'info' }, undefined, said);
  const publish = async (key: string, channel: string): Promise<number> =>
    (await post(server, 'x', { ...bearer(key), path: `/api/channels/${channel}/messages` })).status;
  assert.equal(await publish(a.key, 'c'), 201);
  assert.equal(await publish(b.key, 'c'), 403);
  assert.equal(await publish(b.key, 'b'), 201);
  assert.equal(await publish(old.key, 'c'), 401);
  await using raw = await server.publisher('', bearer(a.key));
  await using other = await server.subscriber('', bearer(b.key));

  await put('no keys');
  await until('the bad file is told of', () => said.some((line) => line.includes('can not be used')));
  assert.equal(await publish(a.key, 'c'), 201);

  await put(JSON.stringify([b.item]));
  assert.equal((await within('the close', raw.closed)).code, 4401);
  assert.equal(await publish(a.key, 'c'), 401);
  assert.equal(await publish(b.key, 'b'), 201);
  assert.ok(other.isOpen);
});

test('an API key that is taken back while its place is looked up: it is not let in', async (t) => {
  const path = join(await tempDir(t), 'keys.json');
  const a = makeApiKey({ name: 'a', subscribe: ['*'] });
  await writeFile(path, JSON.stringify([a.item]));
  const log = new GatedLog();
  const said: string[] = [];
  await using server = await TestServer.start({ API_KEYS_FILE: path, LOG_LEVEL: 'info' }, log, said);
  log.hold('locate');
  const refused = WebSocketClient.refused(server.url('/ws/broadcast?after=last:5'), bearer(a.key));
  await until('it is looked up', () => log.running('locate') === 1);
  await writeFile(`${path}.new`, '[]');
  await rename(`${path}.new`, path);
  await until('the keys are read', () => said.some((line) => line.includes('read anew')));
  log.release('locate');
  assert.equal((await refused).status, 401);
});

test('a file of API keys that does not answer holds nobody up', async (t) => {
  const path = join(await tempDir(t), 'keys.json');
  const a = makeApiKey({ name: 'a', admin: ['*'] });
  await writeFile(path, '[]');
  // In a process of its own, which would stand still.
  const server = await ServerProcess.start(t, { API_KEYS_FILE: path, STORE: 'memory' });
  const isAsked = async (): Promise<boolean> =>
    (await fetch(`${server.address}/healthz`, { signal: AbortSignal.timeout(5000) })).status === 200;
  // What is at the other end of a pipe says nothing until it is opened.
  await promisify(execFile)('mkfifo', [`${path}.new`]);
  await rename(`${path}.new`, path);
  const pipe = await open(path, 'w');
  assert.ok(await isAsked());
  await pipe.write(JSON.stringify([a.item]));
  await pipe.close();
  const stats = `${server.address}/api/stats`;
  await until('it is said', async () => (await fetch(stats, bearer(a.key))).status === 200);
});

async function lengthOf(server: TestServer): Promise<number> {
  const headers = { Authorization: `Bearer ${await token({ subscribe: ['*'] })}` };
  const response = await fetch(`${server.address}/api/channels/local-q`, { headers });
  return ((await response.json()) as { length: number }).length;
}
