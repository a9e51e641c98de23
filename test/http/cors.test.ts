/** What a page of another origin, or under another name, gets from the plain HTTP doors. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { isHostAllowed } from '../../src/http/auth/origin.ts';
import { ask, CHANNEL, PATH, scene } from '../support/history.ts';
import { post } from '../support/posts.ts';
import { TestServer } from '../support/running-server.ts';
import { within } from '../support/within.ts';

const PAGE = 'http://localhost:5173';

/** The status of an answer; `fetch` would not let the Host be chosen. */
function statusFor(server: TestServer, path: string, headers: Record<string, string>): Promise<number> {
  const answered = new Promise<number>((resolve, reject) => {
    const asking = request(`${server.address}${path}`, { headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asking.on('error', reject).end();
  });
  return within('an answer', answered);
}

describe('a page of an allowed origin', () => {
  test('may read the answer, its tag, and when to come back', async () => {
    await using server = await TestServer.start();
    for (const path of ['/api/channels/c/messages', '/api/channels/c', '/api/nothing', '/api/channels/%20']) {
      const { headers } = await ask(server, {}, { path, headers: { Origin: PAGE } });
      assert.equal(headers.get('access-control-allow-origin'), PAGE, path);
      assert.match(headers.get('access-control-expose-headers') ?? '', /ETag, Retry-After/);
      assert.match(headers.get('vary') ?? '', /Origin/);
    }
  });

  test('is told what it may send before it sends it', async () => {
    await using server = await TestServer.start();
    const headers = { Origin: PAGE, 'Access-Control-Request-Method': 'GET' };
    for (const path of ['/api/channels/c/messages', '/api/channels/c']) {
      const answer = await ask(server, {}, { method: 'OPTIONS', path, headers });
      assert.deepEqual([answer.status, answer.text], [204, '']);
      assert.equal(answer.headers.get('access-control-allow-origin'), PAGE);
      const methods = answer.headers.get('access-control-allow-methods') ?? '';
      for (const method of ['GET', 'POST', 'DELETE']) assert.ok(methods.includes(method), method);
      const allowed = answer.headers.get('access-control-allow-headers') ?? '';
      for (const name of ['Accept', 'Authorization', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID']) {
        assert.ok(allowed.includes(name), name);
      }
      assert.match(answer.headers.get('access-control-max-age') ?? '', /^\d+$/);
    }
  });
});

describe('a page of any other origin', () => {
  test('is refused with 403, before and while it asks, and reads nothing', async () => {
    await using server = await TestServer.start();
    for (const method of ['GET', 'OPTIONS']) {
      for (const path of ['/api/channels/c/messages', '/api/channels/c', '/%61pi/channels/c', '/api/x']) {
        const answer = await ask(server, {}, { method, path, headers: { Origin: 'https://evil.io' } });
        // An OPTIONS to a path that is none is no preflight.
        const status = method === 'OPTIONS' && path.startsWith('/%61') ? [403, 404] : [403];
        assert.ok(status.includes(answer.status), `${method} ${path}: ${answer.status}`);
        assert.equal(answer.headers.get('access-control-allow-origin'), null);
      }
    }
  });

  test('publishes and removes nothing, though its browser sends such a request without asking first', async () => {
    await using s = await scene(1);
    const methods = [
      ['POST', PATH],
      ['POST', '/%61pi/channels/local-q/messages'],
      ['DELETE', `${PATH}?before=latest`],
    ] as const;
    const foreign = [{ Origin: 'https://evil.io' }, { Origin: 'null' }, { Host: 'evil.io:3000' }];
    for (const [method, path] of methods) {
      for (const headers of foreign) {
        const answer = await post(s, 'hi', { method, path, headers });
        assert.deepEqual([answer.status, answer.body.code], [403, 'forbidden'], `${method} ${path}`);
      }
    }
    assert.equal(s.log.count('append'), 0);
    assert.equal((await s.log.bounds(CHANNEL)).length, 1);
    const answer = await post(s, 'hi', { headers: { Origin: PAGE, 'Content-Type': 'text/plain' } });
    assert.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [201, PAGE]);
  });

  test('is refused by a list that does not name it', async () => {
    await using server = await TestServer.start({ ALLOWED_ORIGINS: 'https://*.example.com' });
    const allowed = await ask(server, {}, { headers: { Origin: 'https://a.example.com' } });
    assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://a.example.com');
    assert.equal((await ask(server, {}, { headers: { Origin: PAGE } })).status, 403);
  });
});

describe('a program, and a page of the same origin, send no Origin', () => {
  test('and get no headers about it, but caches are told that it matters', async () => {
    await using server = await TestServer.start();
    const { status, headers } = await ask(server);
    assert.deepEqual([status, headers.get('access-control-allow-origin')], [200, null]);
    assert.match(headers.get('vary') ?? '', /Origin/);
  });
});

const HOSTS: readonly (readonly [host: string | undefined, allowed: boolean])[] = [
  [undefined, true],
  ['localhost', true],
  ['localhost:3000', true],
  ['LOCALHOST:3000', true],
  ['app.localhost:3000', true],
  ['127.0.0.1:3000', true],
  ['[::1]:3000', true],
  ['192.168.1.5', true],
  ['a.example.com', true],
  ['a.example.com:3000', true],
  ['exact.example.org', true],
  ['evil.io', false],
  ['evil.io:3000', false],
  ['example.com', false],
  ['aexample.com', false],
  ['a.exact.example.org', false],
  ['127.0.0.1.evil.io', false],
  ['localhost.evil.io', false],
  ['localhost@evil.io', false],
  ['localhost\\.evil.io', false],
  ['', false],
  [':3000', false],
];

describe('on a server meant for one machine', () => {
  const policy = {
    allowedOrigins: ['https://*.example.com', 'https://exact.example.org:8443'],
    isReachedByAnyName: false,
  };
  for (const [host, allowed] of HOSTS) {
    test(`a request for ${host} is ${allowed ? 'answered' : 'refused'}`, () => {
      assert.equal(isHostAllowed(host, policy), allowed);
    });
  }

  test('a name that was made to resolve here is refused at the API, and nowhere else', async () => {
    await using server = await TestServer.start();
    for (const path of ['/api/channels/c', '/api/channels/c/messages', '/%61pi/channels/c', '/api/x']) {
      assert.equal(await statusFor(server, path, { Host: 'evil.io:3000' }), 403, path);
    }
    assert.equal(await statusFor(server, '/healthz', { Host: 'evil.io:3000' }), 200);
    assert.equal(await statusFor(server, '/api/channels/c', { Host: 'localhost:3000' }), 200);
  });
});

test('on a server meant for others any name will do', async () => {
  assert.equal(isHostAllowed('evil.io', { allowedOrigins: [], isReachedByAnyName: true }), true);
  assert.equal(isHostAllowed('evil.io', { allowedOrigins: ['*'], isReachedByAnyName: false }), true);
  await using server = await TestServer.start({ ALLOW_ANONYMOUS: 'true' });
  assert.equal(await statusFor(server, '/api/channels/c', { Host: 'any.name' }), 200);
});
