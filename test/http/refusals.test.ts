/** Who is turned away, and how it is told: over HTTP, or to a browser by the close. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import { GatedLog } from '../support/gated-log.ts';
import { handshake, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

const SAME_ORIGIN = 'http://localhost:5173';

type Row = readonly [path: string, status: number, code: string];

const REFUSED: readonly Row[] = [
  ['/ws/nothing', 404, 'not_found'],
  ['/', 404, 'not_found'],
  ['/ws/broadcast/', 404, 'not_found'],
  ['/ws/broadcast?channel=', 400, 'bad_channel'],
  ['/ws/broadcast?channel=a%20b', 400, 'bad_channel'],
  ['/ws/broadcast?channel=.', 400, 'bad_channel'],
  ['/ws/manager?channel=*', 400, 'bad_channel'],
  ['/ws/manager?channel=%2e%2E', 400, 'bad_channel'],
  ['/ws/manager?channel=a&channel=b', 400, 'bad_channel'],
  ['/ws/broadcast?after=', 400, 'bad_cursor'],
  ['/ws/broadcast?after=$', 400, 'bad_cursor'],
  ['/ws/broadcast?after=5-18446744073709551616', 400, 'bad_cursor'],
  ['/ws/broadcast?on_gap=maybe', 400, 'bad_request'],
  ['/ws/broadcast?after=5-0@foreign', 410, 'gap'],
];

describe('a program', () => {
  test('is told what is wrong as problem+json', async () => {
    await using server = await TestServer.start();
    for (const [path, status, code] of REFUSED) {
      const refused = await WebSocketClient.refused(server.url(path));
      assert.equal(refused.status, status, path);
      assert.equal(refused.headers['content-type'], 'application/problem+json', path);
      assert.deepEqual([refused.body['status'], refused.body['code']], [status, code], path);
      assert.ok(String(refused.body['detail']).length > 10, path);
    }
    assert.equal(server.stats.connections, 0);
  });

  test('that offers only unknown subprotocols is refused', async () => {
    await using server = await TestServer.start();
    for (const path of ['/ws/manager', '/ws/broadcast']) {
      const refused = await WebSocketClient.refused(server.url(path), { protocols: ['mqtt', 'stomp'] });
      assert.deepEqual([refused.status, refused.body['code']], [400, 'bad_request']);
      assert.match(String(refused.body['detail']), /rivercast\.raw/);
    }
  });

  test('is told to come back when the log does not answer, and nothing of a bug but that there is one', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.failNext('bounds', new RivercastError('log_unavailable', 'the log does not answer'));
    log.failNext('bounds', new Error('a bug'));
    const unavailable = await WebSocketClient.refused(server.url('/ws/broadcast'));
    assert.deepEqual([unavailable.status, unavailable.body['code']], [503, 'log_unavailable']);
    const refused = await WebSocketClient.refused(server.url('/ws/broadcast'));
    assert.deepEqual(
      [refused.status, refused.body['code'], refused.headers['retry-after']],
      [500, 'internal', '1'],
    );
    await using subscriber = await server.subscriber();
    assert.equal(subscriber.protocol, '');
  });
});

describe('a browser', () => {
  test('is let in and told by the close, since it cannot read a refusal', async () => {
    await using server = await TestServer.start();
    for (const [path, code] of [
      ['/ws/broadcast?after=', 4400],
      ['/ws/broadcast?channel=*', 4400],
      ['/ws/manager?channel=*', 4400],
      ['/ws/broadcast?on_gap=x', 4400],
      ['/ws/broadcast?after=5-0@foreign', 4410],
    ] as const) {
      await using client = await WebSocketClient.connect(server.url(path), { origin: SAME_ORIGIN });
      assert.equal((await client.closed).code, code, path);
    }
  });

  test('that offered a token before a name is answered with the name, never with the token', async () => {
    await using server = await TestServer.start();
    const protocols = ['access_token.a.b.c', 'mqtt'];
    await using client = await server.subscriber('', { origin: SAME_ORIGIN, protocols });
    assert.equal(client.protocol, 'mqtt');
    assert.equal((await client.closed).code, 4400);
  });

  test('is still told 404 for what is no door', async () => {
    await using server = await TestServer.start();
    const refused = await WebSocketClient.refused(server.url('/ws/nothing'), { origin: SAME_ORIGIN });
    assert.equal(refused.status, 404);
  });

  test('on a foreign page is always refused with 403', async () => {
    await using server = await TestServer.start();
    for (const origin of ['https://evil.io', 'null', 'https://localhost.evil.io', 'file://']) {
      for (const path of ['/ws/broadcast', '/ws/manager', '/ws/broadcast?after=']) {
        const refused = await WebSocketClient.refused(server.url(path), { origin });
        assert.deepEqual([refused.status, refused.body['code']], [403, 'forbidden'], `${origin} ${path}`);
      }
    }
  });

  test('on a page of the same origin, on loopback, or of the list may connect', async () => {
    await using server = await TestServer.start();
    for (const origin of [server.address, SAME_ORIGIN]) {
      await using client = await server.subscriber('', { origin });
      assert.equal(client.protocol, '');
    }
    await using listed = await TestServer.start({ ALLOWED_ORIGINS: 'https://*.example.com' });
    await using client = await listed.subscriber('', { origin: 'https://app.example.com' });
    assert.equal(client.protocol, '');
    const refused = await WebSocketClient.refused(listed.url('/ws/broadcast'), { origin: SAME_ORIGIN });
    assert.equal(refused.status, 403);
  });
});

describe('plain HTTP', () => {
  test('at a WebSocket door is told to upgrade', async () => {
    await using server = await TestServer.start();
    for (const path of ['/ws/manager', '/ws/broadcast', '/ws/broadcaster', '/ws/broadcast?after=x']) {
      const response = await fetch(`${server.address}${path}`);
      assert.equal(response.status, 426, path);
      assert.equal(response.headers.get('upgrade'), 'websocket');
      assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
      assert.equal(((await response.json()) as { code: string }).code, 'upgrade_required');
    }
  });

  test('elsewhere is told 404, and a malformed request 400', async () => {
    await using server = await TestServer.start();
    const response = await fetch(`${server.address}/nothing`);
    assert.equal(response.status, 404);
    assert.equal(((await response.json()) as { code: string }).code, 'not_found');
    await using socket = await RawSocket.connect(server.address);
    socket.write('NONSENSE\r\n\r\n');
    assert.match(await socket.head(), /^HTTP\/1\.1 400 /);
  });
});

describe('a broken handshake', () => {
  const BROKEN: readonly (readonly [what: string, request: string, status: RegExp])[] = [
    [
      'a key that is none',
      handshake('/ws/manager').replace('dGhlIHNhbXBsZSBub25jZQ==', 'short'),
      /^HTTP\/1\.1 400 /,
    ],
    ['no key', handshake('/ws/manager').replace(/Sec-WebSocket-Key.*\r\n/, ''), /^HTTP\/1\.1 400 /],
    ['version 99', handshake('/ws/manager').replace('Version: 13', 'Version: 99'), /^HTTP\/1\.1 (400|426) /],
    ['method POST', handshake('/ws/manager').replace('GET', 'POST'), /^HTTP\/1\.1 40(0|5) /],
    [
      'a subprotocol header that is none',
      handshake('/ws/manager', 'Sec-WebSocket-Protocol: a, a'),
      /^HTTP\/1\.1 400 /,
    ],
    [
      'a megabyte of spaces',
      handshake('/ws/manager', `Sec-WebSocket-Protocol: ${' '.repeat(1_000_000)}`),
      /^HTTP\/1\.1 4(00|31) /,
    ],
  ];

  for (const [what, request, status] of BROKEN) {
    test(`with ${what} is refused, and the connection ended`, async () => {
      await using server = await TestServer.start();
      await using socket = await RawSocket.connect(server.address);
      socket.write(request);
      assert.match(await socket.head(), status);
      await socket.closed;
      assert.equal(server.stats.connections, 0);
    });
  }

  test('with hostile extensions is accepted without any', async () => {
    await using server = await TestServer.start();
    await using socket = await RawSocket.connect(server.address);
    const extensions = 'constructor, __proto__; a=b, permessage-deflate; client_max_window_bits';
    socket.write(handshake('/ws/manager', `Sec-WebSocket-Extensions: ${extensions}`));
    const head = await socket.head();
    assert.match(head, /^HTTP\/1\.1 101 /);
    assert.doesNotMatch(head, /extensions/i);
  });
});
