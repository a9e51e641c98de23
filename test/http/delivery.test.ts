/** Publishers and subscribers over real sockets: what goes in comes out, from wherever one starts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TestServer } from '../support/running-server.ts';
import { type Received, WebSocketClient } from '../support/websocket-client.ts';

const PAYLOADS: readonly (string | Buffer)[] = [
  'plain text',
  '',
  Buffer.alloc(0),
  '{"json": [1, 2.50, "ü"]}',
  '👩‍🚀 \u0000 line\nbreak\r\n',
  Buffer.from([0, 1, 2, 0xff, 0xfe, 0x80]),
  'x'.repeat(125),
  'x'.repeat(126),
  Buffer.alloc(65_535, 1),
  Buffer.alloc(65_536, 2),
  'y'.repeat(1024 * 1024),
];

function asReceived(payload: string | Buffer): Received {
  return { type: typeof payload === 'string' ? 'text' : 'binary', data: Buffer.from(payload) };
}

describe('what is sent', () => {
  test('arrives whole, with text and binary and empty messages kept apart', async () => {
    await using server = await TestServer.start();
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    for (const payload of PAYLOADS) publisher.send(payload);
    assert.deepEqual(await subscriber.take(PAYLOADS.length), PAYLOADS.map(asReceived));
  });

  test('arrives at every subscriber in the same order, and in the order of each publisher', async () => {
    await using server = await TestServer.start();
    await using first = await server.subscriber();
    await using second = await server.subscriber();
    await using late = await server.subscriber('?after=earliest');
    const publishers = await Promise.all(Array.from({ length: 5 }, () => server.publisher()));
    for (let n = 0; n < 400; n++) {
      for (const [i, publisher] of publishers.entries()) publisher.send(`${i}:${n}`);
    }
    const texts = await first.texts(2000);
    assert.deepEqual(await second.texts(2000), texts);
    assert.deepEqual(await late.texts(2000), texts);
    for (let i = 0; i < 5; i++) {
      const own = texts.filter((text) => text.startsWith(`${i}:`));
      assert.deepEqual(
        own,
        Array.from({ length: 400 }, (_, n) => `${i}:${n}`),
      );
    }
    for (const publisher of publishers) publisher.terminate();
  });

  test('stays in its channel', async () => {
    await using server = await TestServer.start({ STREAM: 'main' });
    await using a = await server.subscriber('?channel=a');
    await using main = await server.subscriber('?channel=main');
    await using unnamed = await server.subscriber();
    await using toA = await server.publisher('?channel=a');
    await using toMain = await server.publisher();
    toA.send('for a');
    toMain.send('for all');
    assert.equal(await a.text(), 'for a');
    assert.equal(await main.text(), 'for all');
    assert.equal(await unnamed.text(), 'for all');
    toMain.send('end');
    toA.send('end');
    assert.deepEqual([await a.text(), await main.text()], ['end', 'end']);
  });

  test('arrives at the other name of the door, too', async () => {
    await using server = await TestServer.start();
    await using subscriber = await WebSocketClient.connect(server.url('/ws/broadcaster'));
    await using publisher = await server.publisher();
    publisher.send('hello');
    assert.equal(await subscriber.text(), 'hello');
  });

  test('by a subscriber goes nowhere, and does it no harm', async () => {
    await using server = await TestServer.start();
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    subscriber.send('I am no publisher');
    subscriber.send(Buffer.from('nor this'));
    publisher.send('first');
    assert.equal(await subscriber.text(), 'first');
    await using all = await server.subscriber('?after=earliest');
    assert.equal(await all.text(), 'first');
  });

  test('is answered with nothing', async () => {
    await using server = await TestServer.start();
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    publisher.send('hello');
    await subscriber.next();
    assert.equal((await publisher.close()).code, 1000);
    assert.equal(publisher.receivedCount, 0);
  });
});

describe('starting', () => {
  /** Entries 0 to 9, published before anybody subscribes. */
  async function withTen(server: TestServer): Promise<WebSocketClient> {
    await using watching = await server.subscriber();
    const publisher = await server.publisher();
    for (let n = 0; n < 10; n++) publisher.send(String(n));
    await watching.take(10);
    return publisher;
  }

  const FORMS: readonly (readonly [query: string, first: number])[] = [
    ['', 10],
    ['?after=latest', 10],
    ['?after=earliest', 0],
    ['?after=last:0', 10],
    ['?after=last:3', 7],
    ['?after=last:500', 0],
    ['?after=0-0', 0],
    ['?after=-5m', 0],
    ['?after=-1d', 0],
    ['?after=2020-01-01', 0],
    ['?after=2020-01-01T00:00:00%2B02:00', 0],
    ['?after=2999-01-01T00:00:00Z', 10],
  ];

  test('every form of after begins where it says, and goes on live', async () => {
    await using server = await TestServer.start();
    await using publisher = await withTen(server);
    const clients = await Promise.all(FORMS.map(([query]) => server.subscriber(query)));
    publisher.send('10');
    for (const [i, [query, first]] of FORMS.entries()) {
      const client = clients[i] as WebSocketClient;
      const expected = Array.from({ length: 11 - first }, (_, n) => String(first + n));
      assert.deepEqual(await client.texts(expected.length), expected, query);
    }
    for (const client of clients) client.terminate();
  });

  test('in a channel that nobody published to waits for the first entry', async () => {
    await using server = await TestServer.start();
    const queries = ['', '&after=earliest', '&after=last:5', '&after=0-0', '&after=-5m'];
    const clients = await Promise.all(queries.map((query) => server.subscriber(`?channel=new${query}`)));
    await using publisher = await server.publisher('?channel=new');
    publisher.send('first');
    for (const client of clients) assert.equal(await client.text(), 'first');
    for (const client of clients) client.terminate();
  });

  test('with the subprotocol rivercast.raw is the same as with none', async () => {
    await using server = await TestServer.start();
    const options = { protocols: ['rivercast.raw'] };
    await using subscriber = await server.subscriber('', options);
    await using publisher = await server.publisher('', options);
    assert.deepEqual([subscriber.protocol, publisher.protocol], ['rivercast.raw', 'rivercast.raw']);
    publisher.send('hello');
    assert.equal(await subscriber.text(), 'hello');
  });

  test('among other subprotocols, rivercast.raw is chosen and a token is never echoed', async () => {
    await using server = await TestServer.start();
    await using subscriber = await server.subscriber('', {
      protocols: ['access_token.a.b.c', 'rivercast.raw'],
    });
    assert.equal(subscriber.protocol, 'rivercast.raw');
  });
});
