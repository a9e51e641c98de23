/** Requests for history that can not be answered, and clients that take up more than their share. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import { ask, dataOf, fill, type HistoryBody, PATH, Reader, scene } from '../support/history.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { until } from '../support/within.ts';

/** Both ends of the connections in this process. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
}

function range(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i));
}

describe('a request that can not be answered', () => {
  const BAD: readonly (readonly [path: string, code: string])[] = [
    [`${PATH}?after=`, 'bad_cursor'],
    [`${PATH}?after=x`, 'bad_cursor'],
    [`${PATH}?after=%zz`, 'bad_cursor'],
    [`${PATH}?after=1-1&after=1-1`, 'bad_cursor'],
    [`${PATH}?before=`, 'bad_cursor'],
    [`${PATH}?limit=0`, 'bad_request'],
    [`${PATH}?limit=1001`, 'bad_request'],
    [`${PATH}?limit=1&limit=1`, 'bad_request'],
    [`${PATH}?on_gap=maybe`, 'bad_request'],
    ['/api/channels/%zz/messages', 'bad_request'],
    ['/api/channels/%/messages', 'bad_request'],
    ['/api/channels/%C3%28/messages', 'bad_request'],
    ['/api/channels/a%20b/messages', 'bad_channel'],
    ['/api/channels/a%2Fb/messages', 'bad_channel'],
    ['/api/channels/%00/messages', 'bad_channel'],
    ['/api/channels//messages', 'bad_channel'],
    [`/api/channels/${'a'.repeat(129)}/messages`, 'bad_channel'],
    [`/api/channels/${'a'.repeat(5000)}/messages`, 'bad_request'],
    ['/api/channels/a%20b', 'bad_channel'],
  ];

  test('is told what is wrong as problem+json', async () => {
    await using s = await scene(1);
    for (const [path, code] of BAD) {
      await using socket = await RawSocket.connect(s.address);
      socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
      const head = await socket.head();
      assert.match(head, /^HTTP\/1\.1 400 /, path);
      assert.match(head, /content-type: application\/problem\+json/i, path);
      assert.match(head, /cache-control: no-store/i, path);
      const body = await fetch(`${s.address}${path}`).then((response) => response.json());
      assert.equal((body as { code: string }).code, code, path);
    }
  });

  test('for . or .. as a channel is told so, if it arrives: most clients make another path of it', async () => {
    await using s = await scene(1);
    const requests = [
      'GET /api/channels/./messages',
      'POST /api/channels/%2e%2E/messages',
      'DELETE /api/channels/../messages?before=latest',
      'GET /api/channels/..',
    ];
    for (const request of requests) {
      await using socket = await RawSocket.connect(s.address);
      socket.write(
        `${request} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      );
      assert.match(await socket.head(), /^HTTP\/1\.1 400 /, request);
      await socket.until('"code":"bad_channel"');
    }
  });

  test('because the log does not answer, is told to come back; a bug is told as no more than that', async () => {
    await using s = await scene(1);
    s.log.failNext('read', new RivercastError('log_unavailable', 'the log does not answer'));
    const unavailable = await ask(s, { after: '0-0' });
    assert.deepEqual([unavailable.status, unavailable.body['code']], [503, 'log_unavailable']);
    assert.match(unavailable.headers.get('retry-after') ?? '', /^\d+$/);
    s.log.failNext('read', new Error('a bug'));
    const internal = await ask(s, { after: '0-0' });
    assert.deepEqual([internal.status, internal.body['code']], [500, 'internal']);
    assert.doesNotMatch(internal.text, /a bug/);
    assert.equal((await ask(s)).status, 200);
  });

  test('for a path that is none, or a method that is none, is told 404', async () => {
    await using s = await scene(1);
    for (const path of [`${PATH}/`, `${PATH}/1`, '/api/channel', '/api', '/api/']) {
      assert.equal((await ask(s, {}, { path })).status, 404, path);
    }
    assert.equal((await ask(s, {}, { method: 'PUT' })).status, 404);
  });

  test('by a server that is stopping is told to ask elsewhere', async () => {
    await using s = await scene(1);
    await using publisher = await s.server.publisher();
    s.log.hold('append');
    publisher.send('holds up the stop');
    await until('it is here', () => s.server.stats.unstoredBytes > 0);
    await using socket = await RawSocket.connect(s.address);
    socket.write(`GET ${PATH} HT`);
    // What comes after half of a request is asked later than the stop.
    await ask(s, {}, { path: '/healthz' });
    const stopping = s.server.stop();
    socket.write('TP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    assert.match(await socket.head(), /^HTTP\/1\.1 503 /);
    s.log.release('append');
    await stopping;
  });
});

describe('HEAD', () => {
  test('is answered with the headers of GET and no body', async () => {
    await using s = await scene(10);
    for (const headers of [{}, { Accept: 'application/x-ndjson' }]) {
      const get = await ask(s, { after: 'earliest' }, { headers });
      const head = await ask(s, { after: 'earliest' }, { headers, method: 'HEAD' });
      assert.deepEqual([head.status, head.text], [200, '']);
      for (const name of ['content-type', 'content-length', 'cache-control', 'etag', 'vary']) {
        assert.equal(head.headers.get(name), get.headers.get(name), name);
      }
    }
    const refused = await ask(s, { limit: 0 }, { method: 'HEAD' });
    assert.deepEqual([refused.status, refused.text], [400, '']);
  });
});

describe('a client that goes away', () => {
  test('while its page is read stops the reading', async () => {
    await using s = await scene(0);
    await fill(s.log, 1000, (n) => `${n}`.padEnd(2000, '.'));
    s.log.hold('read');
    const client = new AbortController();
    const asking = fetch(`${s.address}${PATH}?after=earliest&limit=1000`, { signal: client.signal });
    await until('it is read', () => s.log.running('read') === 1);
    client.abort();
    await assert.rejects(asking);
    // The server learns of the cut before it answers somebody who asks later.
    for (let i = 0; i < 3; i++) await ask(s, {}, { path: '/healthz' });
    s.log.release('read');
    await until('it is over', () => s.log.running('read') === 0);
    for (let i = 0; i < 3; i++) await ask(s, {}, { path: '/healthz' });
    assert.equal(s.log.count('read'), 1);
  });
});

describe('many at once', () => {
  test('are read a few at a time, and all answered', async () => {
    await using s = await scene(20);
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask<HistoryBody>(s)));
    for (const { body } of answers) assert.deepEqual(dataOf(body.messages), range(0, 20));
    assert.ok(s.log.most('read') <= 4, `${s.log.most('read')} at once`);
  });

  test('whose answers are not taken make the next wait its turn elsewhere', async () => {
    await using s = await scene(10);
    s.log.hold('read');
    const clients = new AbortController();
    const headers = { Accept: 'application/x-ndjson' };
    const waiting = Array.from({ length: 64 }, () =>
      fetch(`${s.address}${PATH}`, { headers, signal: clients.signal }),
    );
    const settled = Promise.allSettled(waiting);
    let status = 0;
    while (status !== 429) {
      const one = new AbortController();
      const next = fetch(`${s.address}${PATH}`, { headers, signal: one.signal });
      const answer = await Promise.race([
        next,
        new Promise<null>((resolve) => setTimeout(resolve, 50, null)),
      ]);
      status = answer?.status ?? 0;
      if (answer !== null) assert.match(answer.headers.get('retry-after') ?? '', /^\d+$/);
      one.abort();
      await next.catch(() => undefined);
    }
    clients.abort();
    await settled;
    s.log.release('read');
    while (status !== 200) status = (await ask(s, {}, { headers })).status;
  });

  test('a client that takes nothing is cut', async () => {
    await using s = await scene(0, { HEARTBEAT_MS: '100ms', IDLE_TIMEOUT_MS: '300ms' });
    await fill(s.log, 1000, (n) => `${n}`.padEnd(20_000, '.'));
    await using reader = await Reader.open(s, 'after=earliest&limit=1000');
    assert.ok(openSockets() >= 2);
    // The client learns of the cut only when it reads.
    await until('the server has let go of it', () => openSockets() === 1);
    reader.response.resume();
    assert.equal(await reader.ended, false);
  });
});
