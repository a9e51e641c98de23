/** What every plain HTTP answer tells a browser, whoever writes the answer. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { handshake, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { startTls } from '../support/tls-server.ts';

const ALWAYS: readonly string[] = [
  'X-Content-Type-Options: nosniff',
  'X-Frame-Options: DENY',
  "Content-Security-Policy: default-src 'none'; connect-src 'self'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy: same-origin',
  'Referrer-Policy: no-referrer',
];
const HSTS = 'Strict-Transport-Security: max-age=31536000';

function ask(line: string, ...headers: readonly string[]): string {
  return [`${line} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, '', ''].join('\r\n');
}

const ANSWERS: readonly (readonly [name: string, request: string, status: number])[] = [
  ['the banner', ask('GET /'), 200],
  ['health', ask('GET /healthz'), 200],
  ['a head', ask('HEAD /readyz'), 200],
  ['what is not there', ask('GET /nothing'), 404],
  ['a channel', ask('GET /api/channels/local-q'), 200],
  ['history', ask('GET /api/channels/local-q/messages'), 200],
  ['a post', `${ask('POST /api/channels/local-q/messages', 'Content-Length: 1')}x`, 201],
  ['a bad cursor', ask('GET /api/channels/local-q/messages?after=x'), 400],
  ['an allowed page', ask('GET /api/channels', 'Origin: http://127.0.0.1:5173'), 200],
  ['a foreign page', ask('GET /api/channels', 'Origin: https://evil.io'), 403],
  ['a preflight', ask('OPTIONS /api/channels', 'Origin: http://127.0.0.1:5173'), 204],
  ['a stream', ask('GET /sse'), 200],
  ['no WebSocket where one is expected', ask('GET /ws/broadcast'), 426],
  ['an address that is none', ask('GET /%zz'), 400],
  ['an upgrade that is refused', handshake('/ws/broadcast?after=x'), 400],
  ['an upgrade of a foreign page', handshake('/ws/broadcast', 'Origin: https://evil.io'), 403],
  ['a request that is none', 'HELLO\r\n\r\n', 400],
  ['too many headers', ask('GET /', ...Array.from({ length: 120 }, (_, i) => `X-${i}: 1`)), 431],
  ['headers that are too long', ask('GET /', `X: ${'x'.repeat(20_000)}`), 431],
];

async function headOf(server: TestServer, request: string): Promise<string[]> {
  await using socket = await RawSocket.connect(server.address);
  socket.write(request);
  return (await socket.head()).trimEnd().split('\r\n');
}

describe('each of these', () => {
  test('has them once, over TLS with one more', async (t) => {
    await using plain = await TestServer.start();
    await using secure = await startTls(t);
    for (const [name, request, status] of ANSWERS) {
      for (const [server, headers] of [
        [plain, ALWAYS],
        [secure, [...ALWAYS, HSTS]],
      ] as const) {
        const lines = (await headOf(server, request)).map((line) => line.toLowerCase());
        assert.ok(lines[0]?.startsWith(`http/1.1 ${status} `), `${name}: ${lines[0]}`);
        for (const header of [...ALWAYS, HSTS]) {
          const count = lines.filter((line) => line === header.toLowerCase()).length;
          assert.equal(count, headers.includes(header) ? 1 : 0, `${name}: ${header}`);
        }
      }
    }
  });
});

test('no browser is told to ask for TLS on its own machine, where other servers are', async (t) => {
  await using server = await startTls(t);
  for (const [host, isTold] of [
    ['localhost:3000', false],
    ['app.LOCALHOST', false],
    ['notlocalhost:3000', true],
    ['localhost.example.com', true],
  ] as const) {
    const lines = await headOf(server, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal(
      lines.some((line) => /^strict-transport-security:/i.test(line)),
      isTold,
      host,
    );
  }
});

test('over TLS the own origin of a page begins with https', async (t) => {
  await using server = await startTls(t, { ALLOW_ANONYMOUS: 'true' });
  const allowed = async (origin: string): Promise<boolean> => {
    await using socket = await RawSocket.connect(server.address);
    socket.write(
      handshake('/ws/broadcast', `Origin: ${origin}`).replace('Host: 127.0.0.1', 'Host: example.com'),
    );
    return (await socket.head()).startsWith('HTTP/1.1 101 ');
  };
  assert.deepEqual(
    [await allowed('https://example.com'), await allowed('http://example.com')],
    [true, false],
  );
});
