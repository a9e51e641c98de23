/** Compression between real ends: the same messages as without, and nothing that a hostile client gains by it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import { Inflater } from '../../src/http/ws/deflate.ts';
import { turn } from '../support/followed-log.ts';
import { GatedLog } from '../support/gated-log.ts';
import { clientFrame, closeOf, handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import type { Received, WebSocketClient } from '../support/websocket-client.ts';
import { until, within } from '../support/within.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const ON = { COMPRESSION: 'on' };
const DEFLATE = { deflate: true };
const RSV1 = 4;

const SIZES = [0, 1, 125, 1023, 1024, 1025, 5000, 65_535, 65_536, 65_537, 200_000, MIB];

/** Of every size one that shrinks and one that does not, as text or as binary. */
const BY_SIZE = SIZES.flatMap((size) => [
  'score é '.repeat(Math.ceil(size / 9)).slice(0, size - Math.floor(size / 9)),
  Buffer.alloc(size, 'abc'),
  randomBytes(size),
  randomBytes(size).toString('base64').slice(0, size),
]);

/** Begins compressed and goes on in stored pieces. */
const MIXED = Buffer.concat([Buffer.alloc(100 * KIB, 'abc'), randomBytes(200 * KIB)]);
const PAYLOADS: readonly (string | Buffer)[] = [...BY_SIZE, MIXED];

function digest(received: readonly Received[]): string[] {
  return received.map(({ type, data }) => `${type} ${data.length} ${data.toString('base64').slice(0, 200)}`);
}

/** All payloads, and an entry that is JSON. */
async function publish(server: TestServer, log: GatedLog): Promise<void> {
  await using publisher = await server.publisher();
  for (const payload of PAYLOADS) publisher.send(payload);
  await publisher.close();
  const data = Buffer.from(JSON.stringify(Array.from({ length: 500 }, (_, n) => ({ n, team: 'home' }))));
  while ((await log.inner.bounds('local-q')).tipOrdinal < PAYLOADS.length) await turn();
  await log.append('local-q', [{ type: 'json', data }]);
}

const COUNT = PAYLOADS.length + 1;

/** A client's compressed message; `level` 9 makes a bomb as small as it gets. */
function deflated(data: Buffer | string): Buffer {
  const flushed = deflateRawSync(data, { level: 9, finishFlush: constants.Z_SYNC_FLUSH });
  return flushed.subarray(0, -4);
}

async function agreed(server: TestServer, path = '/ws/broadcast', ...lines: string[]): Promise<RawSocket> {
  const socket = await RawSocket.connect(server.address);
  socket.write(handshake(path, 'Sec-WebSocket-Extensions: permessage-deflate', ...lines));
  assert.match(await socket.head(), /permessage-deflate/);
  return socket;
}

describe('a compressed subscriber', () => {
  test('receives what a plain one does, live, from the log and from the middle of it', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start(ON, log);
    await using plain = await server.subscriber();
    await using live = await server.subscriber('', DEFLATE);
    assert.deepEqual([plain.extensions, live.extensions], ['', 'permessage-deflate']);
    await publish(server, log);
    const expected = await plain.take(COUNT);
    assert.deepEqual(
      expected.slice(0, -1).map(({ data }) => data),
      PAYLOADS.map((payload) => Buffer.from(payload)),
    );
    assert.deepEqual(await live.take(COUNT), expected);
    await using late = await server.subscriber('?after=earliest', DEFLATE);
    assert.deepEqual(digest(await late.take(COUNT)), digest(expected));
    await using middle = await server.subscriber('?after=last:20', DEFLATE);
    assert.deepEqual(digest(await middle.take(20)), digest(expected.slice(-20)));
  });

  test('of v1 receives the same frames, and resumes at any message of one', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start(ON, log);
    await publish(server, log);
    await using plain = await V1Client.open(server, '?after=earliest');
    await using compressed = await V1Client.open(server, '?after=earliest', DEFLATE);
    assert.equal(compressed.socket.extensions, 'permessage-deflate');
    await plain.expect('subscribed');
    await compressed.expect('subscribed');
    const expected = await plain.messages('local-q', COUNT);
    assert.deepEqual(await compressed.messages('local-q', COUNT), expected);
    for (const at of [0, 1, 7, 20]) {
      const query = `?after=${expected[at]?.id}`;
      await using resumed = await V1Client.open(server, query, DEFLATE);
      await resumed.expect('subscribed');
      assert.deepEqual(await resumed.messages('local-q', COUNT - at - 1), expected.slice(at + 1));
      await using raw = await server.subscriber(query, DEFLATE);
      assert.equal((await raw.take(COUNT - at - 1)).length, COUNT - at - 1);
    }
  });

  test('is sent a fraction of the bytes, and the plain ones beside it all of them', async () => {
    await using server = await TestServer.start(ON);
    await using compressed = await agreed(server);
    await using plain = await RawSocket.open(server.address, '/ws/broadcast');
    await using watching: WebSocketClient = await server.subscriber('', DEFLATE);
    await using publisher = await server.publisher();
    const text = '{"team":"home","score":1}'.repeat(4000);
    for (let n = 0; n < 20; n++) publisher.send(text);
    await watching.take(20);
    for (let n = 0; n < 20; n++) assert.equal((await plain.frame()).payload.toString(), text);
    for (let n = 0; n < 20; n++) await compressed.frame();
    assert.ok(compressed.socket.bytesRead * 20 < plain.socket.bytesRead);
  });
});

describe('what a compressed subscriber says', () => {
  const ASK = '{"type":"subscribe","channel":"a"}';

  test('is inflated, whole, in fragments, with pings in between, with a final block or none', async () => {
    await using server = await TestServer.start(ON);
    const bytes = deflated(ASK);
    const final = Buffer.concat([deflateRawSync(ASK), Buffer.from([0])]);
    const cases: readonly (readonly Buffer[])[] = [
      [clientFrame(OPCODE.text, bytes, { rsv: RSV1 })],
      [clientFrame(OPCODE.text, final, { rsv: RSV1 })],
      [clientFrame(OPCODE.text, ASK)],
      [
        clientFrame(OPCODE.text, bytes.subarray(0, 5), { rsv: RSV1, fin: false }),
        clientFrame(OPCODE.ping, 'x'),
        clientFrame(OPCODE.continuation, '', { fin: false }),
        clientFrame(OPCODE.continuation, bytes.subarray(5)),
      ],
      [...clientFrame(OPCODE.text, bytes, { rsv: RSV1 })].map((byte) => Buffer.from([byte])),
    ];
    for (const [i, chunks] of cases.entries()) {
      await using socket = await agreed(
        server,
        '/ws/broadcast?channel=b',
        'Sec-WebSocket-Protocol: rivercast.v1',
      );
      for (const chunk of chunks) socket.write(chunk);
      assert.match(await socket.until('"channel":"a"'), /"type":"subscribed","channel":"a"/, `case ${i}`);
    }
  });

  test('is discarded at 64 KiB, and so is what follows it; order is kept', async () => {
    await using server = await TestServer.start(ON);
    await using socket = await agreed(server);
    socket.write(
      Buffer.concat([
        clientFrame(OPCODE.binary, deflated(Buffer.alloc(64 * KIB)), { rsv: RSV1 }),
        clientFrame(OPCODE.text, deflated(''), { rsv: RSV1 }),
        clientFrame(OPCODE.text, '', { rsv: RSV1 }),
        clientFrame(OPCODE.text, 'plain'),
        clientFrame(OPCODE.ping, 'done'),
      ]),
    );
    assert.equal((await socket.frame()).payload.toString(), 'done');
  });

  const TOO_LARGE = Buffer.alloc(64 * KIB + 1);
  const bomb = deflated(Buffer.alloc(40 * MIB));
  const BROKEN: readonly (readonly [what: string, code: number, frames: readonly Buffer[]])[] = [
    ['a bomb', 1009, [clientFrame(OPCODE.binary, bomb, { rsv: RSV1 })]],
    ['one byte above the bound', 1009, [clientFrame(OPCODE.binary, deflated(TOO_LARGE), { rsv: RSV1 })]],
    [
      'a bomb in fragments',
      1009,
      [
        clientFrame(OPCODE.binary, bomb.subarray(0, 100), { rsv: RSV1, fin: false }),
        clientFrame(OPCODE.continuation, bomb.subarray(100)),
      ],
    ],
    ['no deflate at all', 1007, [clientFrame(OPCODE.text, Buffer.alloc(50, 0xff), { rsv: RSV1 })]],
    [
      'a reference before the beginning',
      1007,
      [clientFrame(OPCODE.text, Buffer.from('02130000', 'hex'), { rsv: RSV1 })],
    ],
    [
      'inflated text that is not UTF-8',
      1007,
      [clientFrame(OPCODE.text, deflated(Buffer.from([0xc3, 0x28])), { rsv: RSV1 })],
    ],
    [
      'a compressed continuation',
      1002,
      [clientFrame(OPCODE.text, 'x', { fin: false }), clientFrame(OPCODE.continuation, 'x', { rsv: RSV1 })],
    ],
    ['a compressed ping', 1002, [clientFrame(OPCODE.ping, 'x', { rsv: RSV1 })]],
  ];

  test('and breaks the rules ends its connection with the right code, and where to resume', async () => {
    await using server = await TestServer.start(ON);
    for (const [what, code, frames] of BROKEN) {
      await using socket = await agreed(server);
      socket.write(Buffer.concat(frames));
      const closed = closeOf(await socket.frame());
      assert.equal(closed.code, code, what);
      assert.match(closed.reason, /^cursor=\S+$/, what);
      await within('the end', socket.closed);
    }
    await until('all are forgotten', () => server.stats.connections === 0);
  });

  test('without an agreement, or by a publisher, is a broken frame', async () => {
    await using server = await TestServer.start(ON);
    for (const path of ['/ws/broadcast', '/ws/manager']) {
      await using socket = await RawSocket.open(server.address, path);
      socket.write(clientFrame(OPCODE.text, deflated('hello'), { rsv: RSV1 }));
      assert.equal(closeOf(await socket.frame()).code, 1002);
    }
  });

  test('as ten thousand bombs costs bounded memory', async () => {
    let failed = 0;
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 10_000; i++) {
      const inflater = new Inflater(64 * KIB, () => {
        failed += 1;
      });
      await new Promise<void>((resolve) => inflater.decompress(bomb, true, () => resolve()));
    }
    assert.equal(failed, 10_000);
    const grown = process.memoryUsage.rss() - before;
    assert.ok(grown < 150 * MIB, `${Math.round(grown / MIB)} MiB`);
  });

  test('as a packet of small messages that inflate to the bound lets others have their turn', async () => {
    await using server = await TestServer.start({ ...ON, MAX_SUBSCRIBER_FRAMES_PER_SECOND: '2000' });
    await using socket = await agreed(server, '/ws/broadcast?channel=b');
    await using other = await server.subscriber();
    await using publisher = await server.publisher();
    const small = clientFrame(OPCODE.binary, deflated(Buffer.alloc(64 * KIB)), { rsv: RSV1 });
    const FLOOD = 2000;
    let done = false;
    socket.write(
      Buffer.concat([...Array.from<Buffer>({ length: FLOOD }).fill(small), clientFrame(OPCODE.ping, 'done')]),
    );
    const pong = socket.frame().then(() => {
      done = true;
    });
    publisher.send('meanwhile');
    assert.equal(await other.text(), 'meanwhile');
    assert.equal(done, false, 'the flood went first');
    await pong;
  });
});
