/** Rivercast inside of somebody else's server: both answer what is theirs, and neither is in the other's way. */
import assert from 'node:assert/strict';
import { createServer as createHttp, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import Fastify, { type FastifyInstance } from 'fastify';
import { WebSocketServer } from 'ws';
import { ConfigError } from '../../src/config.ts';
import { type AttachedServer, createServer } from '../../src/create-server.ts';
import { documentOf } from '../support/contract.ts';
import { EventStream } from '../support/event-stream.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { within } from '../support/within.ts';

const SETTINGS = { store: 'memory', logLevel: 'silent', drainSeconds: 0, drainTimeoutMs: '2s' };

interface Scene {
  readonly river: AttachedServer;
  /** `http://127.0.0.1:1234/live` */
  readonly base: string;
  readonly origin: string;
}

async function listening(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function river(t: TestContext, settings: object = {}): Promise<AttachedServer> {
  const created = await createServer({ ...SETTINGS, ...settings });
  t.after(() => created.close());
  return created;
}

function host(): Server {
  return createHttp((request, response) => {
    response.writeHead(request.url?.startsWith('/own') === true ? 200 : 404).end(`the host: ${request.url}`);
  });
}

/** A host of node:http that answers below /own, and by a WebSocket of its own at /own-socket. */
async function scene(t: TestContext, prefix = '/live'): Promise<Scene> {
  const server = host();
  const sockets = new WebSocketServer({ server, path: '/own-socket' });
  sockets.on('connection', (socket) => socket.send('the host'));
  const origin = await listening(t, server);
  const created = await river(t);
  created.attach(server, { prefix });
  return { river: created, base: `${origin}${prefix}`, origin };
}

async function fastifyScene(t: TestContext, prefix = '/live'): Promise<Scene & { app: FastifyInstance }> {
  const app = Fastify({ forceCloseConnections: true });
  app.get('/own', async () => 'the host: /own');
  app.post<{ Body: { home: number } }>('/own', async ({ body }) => `the host: ${body.home}`);
  const created = await river(t);
  await app.register(created.plugin, prefix === '' ? {} : { prefix });
  const origin = await app.listen({ port: 0, host: '127.0.0.1' });
  t.after(() => app.close());
  return { river: created, base: `${origin}${prefix}`, origin, app };
}

function ws(base: string, path: string): string {
  return `${base.replace('http', 'ws')}${path}`;
}

async function post(base: string, body: string): Promise<Response> {
  return fetch(`${base}/api/channels/scores/messages`, { method: 'POST', body });
}

/** By each door in, and out by each. */
async function passMessages({ base, river: created }: Scene): Promise<void> {
  await using subscriber = await WebSocketClient.connect(ws(base, '/ws/broadcast?channel=scores'));
  await using events = await EventStream.open(`${base}/sse?channel=scores`);
  await using publisher = await WebSocketClient.connect(ws(base, '/ws/manager?channel=scores'));
  publisher.send('one');
  assert.equal(await subscriber.text(), 'one');
  assert.equal((await post(base, 'two')).status, 201);
  const { id, duplicate } = await created.publish('scores', { three: 3 }, { key: 'third' });
  assert.equal(duplicate, false);
  assert.deepEqual(await created.publish('scores', 'again', { key: 'third' }), { id, duplicate: true });
  await created.publish('scores', new Uint8Array([1, 2, 3]));
  assert.deepEqual(await subscriber.texts(3), ['two', '{"three":3}', '\u0001\u0002\u0003']);
  assert.deepEqual(await events.data(4), ['one', 'two', '{"three":3}', 'AQID']);
  const page = (await (await fetch(`${base}/api/channels/scores/messages`)).json()) as {
    messages: unknown[];
  };
  assert.equal(page.messages.length, 4);
}

async function keepsItsOwn({ origin }: Scene): Promise<void> {
  const own = await fetch(`${origin}/own`);
  assert.equal(await own.text(), 'the host: /own');
  assert.equal((await fetch(`${origin}/livestock`)).status, 404);
  assert.equal((await fetch(`${origin}/healthz`)).status, 404);
}

describe('in a server of node:http', () => {
  test('messages pass by all doors below the prefix, and the host keeps its routes and its WebSocket', async (t) => {
    const there = await scene(t);
    await passMessages(there);
    await keepsItsOwn(there);
    await using own = await WebSocketClient.connect(ws(there.origin, '/own-socket'));
    assert.equal(await own.text(), 'the host');
    await assert.rejects(WebSocketClient.connect(ws(there.origin, '/nobodys')), /400/);
    assert.equal((await fetch(`${there.base}/healthz`)).status, 200);
    assert.equal((await fetch(`${there.base}/nothing`)).status, 404);
    assert.ok(there.river.stats().connections >= 0);
  });

  test('without a prefix it has the doors, and nothing else', async (t) => {
    const there = await scene(t, '');
    await passMessages(there);
    await keepsItsOwn(there);
    assert.equal((await fetch(`${there.base}/api/stats`)).status, 404);
    assert.equal((await fetch(`${there.base}/api/channels`)).status, 200);
  });

  test('its documents name the prefix', async (t) => {
    const { base } = await scene(t);
    const document = await documentOf<{ servers: { url: string }[] }>(base, 'openapi');
    assert.equal(document.servers[0]?.url, base);
    const asyncApi = await documentOf<{ servers: Record<string, { pathname: string }> }>(base, 'asyncapi');
    assert.equal(asyncApi.servers['sockets']?.pathname, '/live');
  });

  test('an upgrade to something else is read as a request, whoever it is for', async (t) => {
    const server = host();
    const origin = await listening(t, server);
    (await river(t)).attach(server, { prefix: '/live' });
    for (const [path, answer] of [
      ['/own', 'the host: /own'],
      ['/live/healthz', '{"status":"ok"}'],
    ] as const) {
      await using raw = await RawSocket.connect(origin);
      raw.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`);
      const text = await raw.until(answer);
      assert.match(text, /^HTTP\/1.1 200/);
    }
  });

  test('a request with more headers than the host keeps is refused, as an Origin may be among those left out', async (t) => {
    const server = host();
    server.maxHeadersCount = 20;
    const origin = await listening(t, server);
    (await river(t)).attach(server);
    const headers = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x-${i}`, '']));
    assert.equal((await fetch(`${origin}/api/channels`, { headers })).status, 431);
    assert.equal((await fetch(`${origin}/own`, { headers })).status, 200);
    assert.equal((await fetch(`${origin}/api/channels`)).status, 200);
  });

  test('an upgrade behind a request that the host has not answered is no upgrade', async (t) => {
    const server = createHttp(() => undefined);
    const origin = await listening(t, server);
    (await river(t)).attach(server);
    await using raw = await RawSocket.connect(origin);
    const upgrade = [
      ...['GET /ws/broadcast HTTP/1.1', 'Host: 127.0.0.1', 'Connection: Upgrade', 'Upgrade: websocket'],
      ...['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', ''],
    ];
    raw.write(`GET /own HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n${upgrade.join('\r\n')}`);
    await within('the end of the connection', raw.closed);
  });

  test('a close tells subscribers where to resume, ends what is ours, and gives the paths back', async (t) => {
    const there = await scene(t);
    await using subscriber = await WebSocketClient.connect(ws(there.base, '/ws/broadcast?channel=scores'));
    await using own = await WebSocketClient.connect(ws(there.origin, '/own-socket'));
    await there.river.publish('scores', 'last');
    assert.equal(await there.river.close(), true);
    assert.equal(await subscriber.text(), 'last');
    const { code, reason } = await within('the close', subscriber.closed);
    assert.equal(code, 1012);
    assert.match(reason, /^cursor=/);
    assert.equal(await own.text(), 'the host');
    assert.ok(own.isOpen);
    assert.equal(await (await fetch(`${there.base}/healthz`)).text(), 'the host: /live/healthz');
    await assert.rejects(there.river.publish('scores', 'later'), { name: 'RivercastError' });
  });

  test('two of them live beside each other', async (t) => {
    const server = host();
    const origin = await listening(t, server);
    const [one, other] = [await river(t), await river(t)];
    one.attach(server, { prefix: '/one' });
    other.attach(server, { prefix: '/other' });
    await one.publish('scores', 'in one');
    const lengths = async (): Promise<string[]> =>
      Promise.all(
        ['/one', '/other'].map(async (prefix) =>
          (await fetch(`${origin}${prefix}/api/channels/scores`)).text(),
        ),
      );
    const [first = '', second = ''] = await lengths();
    assert.match(first, /"length":1/);
    assert.match(second, /"length":0/);
    await one.close();
    assert.deepEqual(await lengths(), ['the host: /one/api/channels/scores', second]);
  });
});

describe('in an application of Fastify', () => {
  test('messages pass by all doors below the prefix, and the host keeps its routes', async (t) => {
    const there = await fastifyScene(t);
    await passMessages(there);
    await keepsItsOwn(there);
    const body = await fetch(`${there.origin}/own`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{"home":1}',
    });
    assert.equal(await body.text(), 'the host: 1');
  });

  test('without a prefix it has the doors, and nothing else', async (t) => {
    const there = await fastifyScene(t, '');
    await passMessages(there);
    await keepsItsOwn(there);
  });

  test('closing the application closes it first, and does not wait for WebSockets', async (t) => {
    const { base, app } = await fastifyScene(t);
    await using subscriber = await WebSocketClient.connect(ws(base, '/ws/broadcast?channel=scores'));
    await within('the application to close', app.close());
    assert.equal((await within('the close', subscriber.closed)).code, 1012);
  });
});

describe('by hand', () => {
  test('a router of another kind passes on what it took the prefix from', async (t) => {
    const created = await river(t);
    const server = createHttp((request, response) => {
      request.url = request.url?.replace(/^\/mounted/, '') ?? '/';
      created.request(request, response);
    });
    server.on('upgrade', (request, socket, head) => created.upgrade(request, socket as never, head));
    const origin = await listening(t, server);
    assert.equal((await post(`${origin}/mounted`, 'one')).status, 201);
    await using subscriber = await WebSocketClient.connect(
      ws(origin, '/ws/broadcast?channel=scores&after=earliest'),
    );
    assert.equal(await subscriber.text(), 'one');
  });

  test('the console and the documents are where the router has them, which keeps the whole path', async (t) => {
    const created = await river(t);
    // As Express and Connect do.
    const server = createHttp((request: IncomingMessage & { originalUrl?: string }, response) => {
      request.originalUrl = request.url ?? '';
      const below = request.originalUrl.replace(/^\/mounted/, '');
      request.url = below.startsWith('/') ? below : `/${below}`;
      created.request(request, response);
    });
    const origin = await listening(t, server);
    for (const path of ['/mounted', '/mounted/', '/mounted?x=1']) {
      const page = await fetch(`${origin}${path}`, { headers: { Accept: 'text/html' } });
      assert.equal(new URL(page.url).pathname, '/mounted/');
      const assets = [...(await page.text()).matchAll(/"([^"]*\/console\/[^"]+)"/g)];
      assert.equal(assets.length, 3, path);
      for (const [, asset = ''] of assets) {
        assert.equal((await fetch(new URL(asset, page.url))).status, 200, asset);
      }
    }
    const document = await documentOf<{ servers: { url: string }[] }>(`${origin}/mounted`, 'openapi');
    assert.equal(document.servers[0]?.url, `${origin}/mounted`);
    const odd = await fetch(`${origin}/%22%3E%3Cb%3E/mounted`, { headers: { Accept: 'text/html' } });
    assert.doesNotMatch(await odd.text(), /<b>/);
  });
});

describe('what is asked of it in the process', () => {
  test("a setting that is the host's, an unknown one, and a wrong prefix are refused", async (t) => {
    await assert.rejects(createServer({ ...SETTINGS, port: 3000 }), ConfigError);
    await assert.rejects(createServer({ ...SETTINGS, colour: 'blue' }), /"colour" is not a setting/);
    const created = await river(t);
    for (const prefix of ['live', '/live/', '/', '/a b']) {
      assert.throws(() => created.attach(host(), { prefix }), TypeError);
    }
  });

  test('the environment is read only where it is given', async (t) => {
    process.env['MAX_MESSAGE_BYTES'] = '10';
    t.after(() => delete process.env['MAX_MESSAGE_BYTES']);
    const created = await river(t);
    await created.publish('scores', 'longer than ten bytes');
    const told = await createServer(SETTINGS, { env: process.env });
    t.after(() => told.close());
    await assert.rejects(told.publish('scores', 'longer than ten bytes'), { code: 'too_large' });
  });

  test('what waits to be stored is bounded', async (t) => {
    const created = await river(t, { managerBufferBytes: 1 });
    const first = created.publish('scores', 'one');
    await assert.rejects(created.publish('scores', 'two'), { code: 'overloaded' });
    await first;
    await created.publish('scores', 'three');
  });

  test('what cannot be published is refused with its code', async (t) => {
    const created = await river(t, { maxMessageBytes: 10 });
    const wrong: readonly (readonly [unknown, string])[] = [
      ['longer than ten bytes', 'too_large'],
      [new Uint8Array(11), 'too_large'],
      ['\ud800', 'bad_request'],
      [undefined, 'bad_request'],
      [() => 1, 'bad_request'],
      [1n, 'bad_request'],
    ];
    for (const [data, code] of wrong) await assert.rejects(created.publish('scores', data), { code });
    await assert.rejects(created.publish('no channel', ''), { code: 'bad_channel' });
    await assert.rejects(created.publish('scores', '', { key: '' }), { code: 'bad_request' });
  });
});
