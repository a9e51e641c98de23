/** The proxies that docs/proxies.md recommends, with the files it recommends: everything works through them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { EventParser, EventStream, type StreamEvent } from '../support/event-stream.ts';
import { BATCH_HEAD, chunk, LAST_CHUNK, post } from '../support/posts.ts';
import { handshake, RawSocket } from '../support/raw-socket.ts';
import { RedisServer } from '../support/redis-server.ts';
import { PROXIES, type ReverseProxy } from '../support/reverse-proxy.ts';
import { TestServer } from '../support/running-server.ts';
import { trusted } from '../support/secure.ts';
import { tlsFiles } from '../support/tls-server.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { until, within } from '../support/within.ts';

/** An event that waits for a buffer to fill would wait for ever. */
const AT_ONCE_MS = 2000;
const PER_ADDRESS = 3;
const PATH = '/api/channels/local-q/messages';

class Scene implements AsyncDisposable {
  readonly proxy: ReverseProxy;
  readonly broadcasters: readonly [TestServer, TestServer];
  readonly #ends: readonly AsyncDisposable[];

  private constructor(proxy: ReverseProxy, broadcasters: [TestServer, TestServer], ends: AsyncDisposable[]) {
    this.proxy = proxy;
    this.broadcasters = broadcasters;
    this.#ends = ends;
  }

  static async open(t: TestContext, name: keyof typeof PROXIES, more: object = {}): Promise<Scene> {
    const [files, redis] = await Promise.all([tlsFiles(t), RedisServer.start()]);
    const common = {
      REDIS_URL: redis.url,
      STORE: '',
      HEARTBEAT_MS: '500',
      IDLE_TIMEOUT_MS: '3s',
      TRUST_PROXY: '127.0.0.1',
      ALLOWED_ORIGINS: 'https://app.example.com',
      ...more,
    };
    const start = (ROLE: string): Promise<TestServer> => TestServer.start({ ...common, ROLE });
    const [manager, ...both] = await Promise.all([
      start('manager'),
      start('broadcaster'),
      start('broadcaster'),
    ]);
    const behind = { manager: manager.address, broadcasters: [both[0].address, both[1].address] } as const;
    const proxy = await PROXIES[name](t, files, behind);
    return new Scene(proxy, both, [...both, manager, redis]);
  }

  get address(): string {
    return this.proxy.address;
  }

  socket(path: string, protocols: readonly string[] = []): Promise<WebSocketClient> {
    return WebSocketClient.connect(`${this.address.replace('http', 'ws')}${path}`, { protocols });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#ends) await one[Symbol.asyncDispose]();
  }
}

/** Asks for an upgrade from this address; `said`: what the client claims to be. */
async function knock(
  address: string,
  from: string,
  path: string,
  said?: string,
): Promise<[TLSSocket, string]> {
  const options = {
    host: '127.0.0.1',
    port: Number(new URL(address).port),
    localAddress: from,
    ...trusted(),
  };
  const socket = connect(options);
  socket.on('error', () => undefined);
  await within('a handshake', once(socket, 'secureConnect'));
  socket.write(handshake(path, ...(said === undefined ? [] : [`X-Forwarded-For: ${said}`])));
  const [head] = (await within('an answer', once(socket, 'data'))) as [Buffer];
  return [socket, /^HTTP\/1\.1 (\d+)/.exec(head.toString())?.[1] ?? ''];
}

describe('everything works', { concurrency: 2 }, () => {
  for (const name of ['nginx', 'haproxy'] as const) {
    describe(`through ${name}`, () => {
      test('messages go both ways, raw and in v1, large ones too, and refusals come as they are', async (t) => {
        await using scene = await Scene.open(t, name);
        await using raw = await scene.socket('/ws/broadcast');
        await using v1 = await scene.socket('/ws/broadcast', ['rivercast.v1']);
        await using publisher = await scene.socket('/ws/manager', ['rivercast.v1']);
        assert.equal(JSON.parse(await publisher.text()).type, 'hello');
        publisher.send('{"type":"publish","ref":1,"data":"one"}');
        assert.equal(JSON.parse(await publisher.text()).type, 'ack');
        assert.equal(await raw.text(), 'one');
        await using plain = await scene.socket('/ws/manager');
        const large = Buffer.alloc(1000 * 1024, 120);
        plain.send(large);
        assert.ok((await raw.next()).data.equals(large));
        const posted = await post(scene, large, { headers: { 'Content-Type': 'application/octet-stream' } });
        assert.equal(posted.status, 201);
        assert.ok((await raw.next()).data.equals(large));
        const types = new Set<string>();
        while (!types.has('messages')) types.add((JSON.parse(await v1.text()) as { type: string }).type);
        types.delete('cursor');
        assert.deepEqual([...types], ['hello', 'subscribed', 'messages']);
        for (const path of ['/metrics', '/api/stats', '/api/subscribers']) {
          assert.equal((await post(scene, '', { method: 'GET', path })).status, 404, path);
        }
        const tooLarge = await post(scene, Buffer.alloc(1100 * 1024));
        assert.deepEqual([tooLarge.status, tooLarge.body.code], [413, 'too_large']);

        const other = PATH.replace('local-q', 'other');
        const ids: string[] = [];
        for (let n = 0; n < 3; n++) ids.push((await post(scene, 'x', { path: other })).body.id ?? '');
        const removed = await post(scene, '', { method: 'DELETE', path: `${other}?before=${ids[2]}` });
        assert.equal(removed.status, 200);
        const gone = await WebSocketClient.refused(
          `${scene.address.replace('http', 'ws')}/ws/broadcast?channel=other&after=${ids[0]}`,
        );
        assert.deepEqual([gone.status, gone.body['code']], [410, 'gap']);
        assert.equal(gone.headers['x-content-type-options'], 'nosniff');
      });

      test('events come at once, in HTTP/1.1 and HTTP/2, and so does each answer to a line of a batch', async (t) => {
        await using scene = await Scene.open(t, name);
        await using stream = await EventStream.open(`${scene.address}/sse`, {
          headers: { Origin: 'https://app.example.com' },
        });
        assert.equal(stream.headers['access-control-allow-origin'], 'https://app.example.com');
        const multiplexed = connectHttp2(scene.address, trusted());
        const seen: StreamEvent[] = [];
        const parser = new EventParser((event) => seen.push(event));
        const asked = multiplexed.request({ ':path': '/sse' });
        asked.setEncoding('utf8').on('data', (text: string) => parser.push(text));
        await until('the stream begins', () => parser.retryMs !== null);
        await using batch = await RawSocket.connect(scene.address);
        batch.write(BATCH_HEAD);
        for (let n = 0; n < 5; n++) {
          batch.write(chunk(`{"data":"${n}"}\n`));
          const [[event]] = await Promise.all([
            within('an event', stream.take(1), AT_ONCE_MS),
            until('an event in HTTP/2', () => seen.length === n + 1, AT_ONCE_MS),
            within('an answer', batch.until('"duplicate":false}'), AT_ONCE_MS),
          ]);
          assert.deepEqual([event?.data, seen[n]?.data], [String(n), String(n)]);
        }
        batch.write(LAST_CHUNK);
        multiplexed.destroy();
      });

      test('an idle connection stays, and over a reload too', async (t) => {
        await using scene = await Scene.open(t, name);
        await using subscriber = await scene.socket('/ws/broadcast');
        await using publisher = await scene.socket('/ws/manager');
        await using stream = await EventStream.open(`${scene.address}/sse`);
        scene.proxy.reload();
        // Longer than the proxy waits for a connection that says nothing.
        await delay(2500);
        await using late = await scene.socket('/ws/broadcast');
        publisher.send('still here');
        assert.deepEqual(await Promise.all([subscriber.text(), late.text()]), ['still here', 'still here']);
        assert.deepEqual(await stream.data(1), ['still here']);
      });

      test('a client is known by its address, whatever it says it is', async (t) => {
        await using scene = await Scene.open(t, name, { MAX_CONNECTIONS_PER_IP: String(PER_ADDRESS) });
        const statuses: string[] = [];
        const sockets: TLSSocket[] = [];
        const come = async (from: string, said?: string): Promise<void> => {
          const [socket, status] = await knock(scene.address, from, '/ws/broadcast', said);
          sockets.push(socket);
          statuses.push(status);
        };
        // To each broadcaster as many as it takes from one, by turns, and then some.
        for (let n = 0; n < 2 * PER_ADDRESS; n++) await come('127.0.0.2', `9.9.9.${n}`);
        await come('127.0.0.2', '9.9.9.9');
        await come('127.0.0.3');
        assert.deepEqual(statuses, [...Array.from({ length: 2 * PER_ADDRESS }, () => '101'), '429', '101']);
        for (const socket of sockets) socket.destroy();
      });

      test('subscribers are spread, and those of a broadcaster that stops find the other', async (t) => {
        await using scene = await Scene.open(t, name);
        const [first, second] = scene.broadcasters;
        const subscribers = [];
        for (let n = 0; n < 4; n++) subscribers.push(await scene.socket('/ws/broadcast'));
        assert.deepEqual([first.stats.subscribers, second.stats.subscribers], [2, 2]);
        await first.stop();
        const closes = await Promise.all(
          subscribers.map((one) => Promise.race([one.closed, delay(500).then(() => null)])),
        );
        assert.equal(closes.filter((close) => close?.code === 1012).length, 2);
        for (let n = 0; n < 4; n++) subscribers.push(await scene.socket('/ws/broadcast'));
        assert.equal(second.stats.subscribers, 6);
        await Promise.all(subscribers.map((one) => one[Symbol.asyncDispose]()));
      });
    });
  }
});
