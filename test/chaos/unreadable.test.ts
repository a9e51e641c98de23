/** Servers that say what nobody can read: each client of chaos accuses them, and goes on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { Book } from '../../chaos/book.ts';
import type { DoorName } from '../../chaos/doors.ts';
import { HttpPublisher } from '../../chaos/http-publisher.ts';
import { Publisher, type PublisherOptions } from '../../chaos/publisher.ts';
import { Random } from '../../chaos/random.ts';
import { Subscriber } from '../../chaos/subscriber.ts';
import { Tally } from '../../chaos/tally.ts';
import type { Violation } from '../../chaos/violation.ts';
import { until } from '../support/within.ts';

/** What it does with whoever comes. */
interface Manners {
  readonly request?: (response: ServerResponse) => void;
  /** A body with which it refuses WebSockets. */
  readonly refusal?: string;
  readonly connection?: (webSocket: WebSocket, socket: Socket) => void;
}

class Scene {
  readonly tally = new Tally();
  readonly violations: Violation[] = [];
  readonly address: (scheme: 'ws' | 'http') => string;
  /** How often somebody came. */
  visits = 0;

  private constructor(port: number) {
    this.address = (scheme) => `${scheme}://127.0.0.1:${port}`;
  }

  static async open(t: TestContext, { request, refusal, connection }: Manners): Promise<Scene> {
    const server = createServer();
    const doors = new WebSocketServer({ noServer: true });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const scene = new Scene((server.address() as AddressInfo).port);
    server.on('request', (_request, response) => {
      scene.visits += 1;
      request?.(response);
    });
    server.on('upgrade', (asked, socket: Socket, head) => {
      scene.visits += 1;
      // Whoever is refused may reset it.
      socket.on('error', () => socket.destroy());
      if (refusal !== undefined) socket.end(refusalOf(refusal));
      else doors.handleUpgrade(asked, socket, head, (webSocket) => connection?.(webSocket, socket));
    });
    t.after(() => {
      for (const webSocket of doors.clients) webSocket.terminate();
      server.close();
      server.closeAllConnections();
    });
    return scene;
  }

  publisher(): PublisherOptions {
    const { tally, address } = this;
    const common = { number: 1, book: new Book('c', false), rate: 200, random: new Random('1'), tally };
    return { ...common, window: 4, manager: address, onViolation: (found) => this.violations.push(found) };
  }

  subscriber(t: TestContext, door: DoorName): void {
    const habit = { name: 'stays', leavesOneOf: null, awayMs: 0, stallsOneOf: null, comesAfterMs: 0 };
    const books = [new Book('c', false)];
    const common = { name: 'somebody', door, books, habit, random: new Random('1'), tally: this.tally };
    const subscriber = new Subscriber({
      ...common,
      broadcaster: this.address,
      mayForgetEpoch: false,
      onViolation: (found) => this.violations.push(found),
    });
    t.after(() => subscriber.end());
  }

  /** That it was accused of this and of nothing else, and that whoever accused it came again. */
  async isAccused(what: string): Promise<void> {
    await until('whoever was told so comes again', () => this.violations.length > 0 && this.visits > 1);
    const [first] = this.violations;
    assert.equal(first?.fault, 'misbehaved');
    assert.ok(first?.account.includes('what it can not read') && first.account.includes(what), first.account);
  }
}

/** Not JSON, not a frame, not one of a publisher's, and one without what it must have. */
const NO_FRAMES = ['{"type":', '[]', '{"type":"cursor"}', '{"type":"ack","ref":"1-0","id":"7"}'];

describe('a publisher over v1 accuses a server', () => {
  for (const text of NO_FRAMES) {
    test(`that answers ${text}`, async (t) => {
      const scene = await Scene.open(t, { connection: (webSocket) => webSocket.send(text) });
      const publisher = new Publisher(scene.publisher());
      t.after(() => publisher.end());
      await scene.isAccused(text);
    });
  }

  test('that sends what is no WebSocket frame', async (t) => {
    const scene = await Scene.open(t, { connection: sendBrokenFrame });
    const publisher = new Publisher(scene.publisher());
    t.after(() => publisher.end());
    await scene.isAccused('invalid opcode');
  });
});

const STORED = '{"id":"7-0","duplicate":false}';

describe('a publisher over HTTP accuses a server', () => {
  const answers = [
    { status: 201, text: '{"id":' },
    { status: 201, text: '{"id":"7-0"}' },
    { status: 200, text: `${STORED}\n{"id":\n` },
    { status: 200, text: `${STORED}\n${STORED}` },
    { status: 200, text: `${STORED}\n`.repeat(3) },
    { status: 200, text: '{"error":{"code":"overloaded"}}\n' },
    { status: 503, text: 'busy' },
    { status: 503, text: '' },
    { status: 429, text: '{"code":"limit_reached"}' },
  ];
  for (const { status, text } of answers) {
    test(`that answers ${status} ${JSON.stringify(text)}`, async (t) => {
      const scene = await Scene.open(t, { request: (response) => response.writeHead(status).end(text) });
      const publisher = new HttpPublisher({ ...scene.publisher(), batch: status === 200 ? 2 : 1 });
      t.after(() => publisher.end());
      await scene.isAccused(`${status} ${text}`);
    });
  }

  test('and none whose answer was cut: it asks again', async (t) => {
    const cut = (response: ServerResponse): void => {
      response.writeHead(201, { 'content-length': STORED.length });
      response.write(STORED.slice(0, 9), () => response.destroy());
    };
    const scene = await Scene.open(t, { request: cut });
    const publisher = new HttpPublisher({ ...scene.publisher(), batch: 1 });
    t.after(() => publisher.end());
    await until('it asked again', () => scene.tally.of('retries') > 0);
    assert.ok(scene.tally.of('requests cut') > 0);
    assert.deepEqual(scene.violations, []);
  });
});

describe('a subscriber accuses a server', () => {
  const MESSAGE = '{"type":"messages","channel":"c","epoch":null,"messages":[{"data":"1-0:"}]}';
  const OTHER = '{"type":"cursor","channel":"other","cursor":"7-0"}';
  for (const text of ['{"type":', MESSAGE, OTHER]) {
    test(`over v1 that says ${text}`, async (t) => {
      const scene = await Scene.open(t, { connection: (webSocket) => webSocket.send(text) });
      scene.subscriber(t, 'v1');
      await scene.isAccused(text);
    });
  }

  for (const door of ['raw', 'v1'] as const) {
    test(`over ${door} that sends what is no WebSocket frame`, async (t) => {
      const scene = await Scene.open(t, { connection: sendBrokenFrame });
      scene.subscriber(t, door);
      await scene.isAccused('invalid opcode');
    });
  }

  test('over raw that closes with a cursor that is none', async (t) => {
    const close = (webSocket: WebSocket): void => webSocket.close(4410, 'cursor=nowhere');
    const scene = await Scene.open(t, { connection: close });
    scene.subscriber(t, 'raw');
    await scene.isAccused('cursor=nowhere');
  });

  for (const body of ['gone', '{"code":"gap","detail":"gone","reason":"trimmed","lost":1}']) {
    test(`over raw that refuses it with ${body}`, async (t) => {
      const scene = await Scene.open(t, { refusal: body });
      scene.subscriber(t, 'raw');
      await scene.isAccused(body);
    });
  }

  const events = [
    { text: 'id: nowhere\n\n', account: 'id: nowhere' },
    { text: 'id: 7-0\n\nid: nowhere\ndata: 1-0:\n\n', account: 'nowhere message 1-0:' },
    { text: 'id: 7-0\n\nid: 8-0\nevent: gap\ndata: {"lost":\n\n', account: '8-0 gap {"lost":' },
  ];
  for (const { text, account } of events) {
    test(`over SSE that says ${JSON.stringify(text)}`, async (t) => {
      const scene = await Scene.open(t, { request: (response) => response.writeHead(200).write(text) });
      scene.subscriber(t, 'sse');
      await scene.isAccused(account);
    });
  }
});

/** Opcode 3 is reserved. */
function sendBrokenFrame(_webSocket: WebSocket, socket: Socket): void {
  socket.write(Buffer.from([0x83, 0]));
}

function refusalOf(body: string): string {
  return `HTTP/1.1 410 Gone\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
