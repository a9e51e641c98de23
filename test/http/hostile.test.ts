/** Clients that break the rules, flood, or vanish: each costs its own connection and nobody else's. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import {
  clientFrame,
  clientHeader,
  closeOf,
  type Frame,
  handshake,
  OPCODE,
  RawSocket,
} from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until } from '../support/within.ts';

/** After whatever was done to it, the server serves others and has forgotten the culprit. */
async function isWell(server: TestServer): Promise<void> {
  await until('the connection is forgotten', () => server.stats.connections === 0);
  await using subscriber = await server.subscriber();
  await using publisher = await server.publisher();
  publisher.send('still here');
  assert.equal(await subscriber.text(), 'still here');
}

async function closeAfter(server: TestServer, path: string, ...frames: readonly Buffer[]): Promise<number> {
  await using socket = await RawSocket.open(server.address, path);
  socket.write(Buffer.concat(frames));
  const answers = await socket.frames();
  return closeOf(answers.at(-1) as Frame).code;
}

describe('frames that break the protocol', () => {
  const BROKEN: readonly (readonly [what: string, code: number, frames: readonly Buffer[]])[] = [
    ['an unmasked frame', 1002, [clientFrame(OPCODE.text, 'x', { masked: false })]],
    ['a reserved bit', 1002, [clientFrame(OPCODE.text, 'x', { rsv: 4 })]],
    ['a reserved opcode', 1002, [clientFrame(5, 'x')]],
    ['a fragmented ping', 1002, [clientFrame(OPCODE.ping, '', { fin: false })]],
    ['a ping of 126 bytes', 1002, [clientFrame(OPCODE.ping, 'x'.repeat(126))]],
    ['a continuation of nothing', 1002, [clientFrame(OPCODE.continuation, 'x')]],
    [
      'a message inside a message',
      1002,
      [clientFrame(OPCODE.text, 'x', { fin: false }), clientFrame(OPCODE.text, 'y')],
    ],
    ['text that is not UTF-8', 1007, [clientFrame(OPCODE.text, Buffer.from([0xc3, 0x28]))]],
    ['a character cut by the end', 1007, [clientFrame(OPCODE.text, Buffer.from([0xf0, 0x9f]))]],
    ['a close code that is none', 1002, [clientFrame(OPCODE.close, Buffer.from([0x03, 0xed]))]],
    ['a length of 2^63', 1009, [clientHeaderOf('ffffffffffffffff')]],
    ['a length of 2^53', 1009, [clientHeaderOf('0020000000000000')]],
  ];

  test('end the connection with the code of the RFC, at both doors', async () => {
    await using server = await TestServer.start();
    for (const [what, code, frames] of BROKEN) {
      for (const path of ['/ws/manager', '/ws/broadcast']) {
        assert.equal(await closeAfter(server, path, ...frames), code, `${what} at ${path}`);
      }
    }
    await isWell(server);
  });

  function clientHeaderOf(length: string): Buffer {
    return Buffer.concat([Buffer.from(`82ff${length}`, 'hex'), Buffer.alloc(4)]);
  }

  test('a message cut into 1-byte pieces, and a character cut in two, are put together', async () => {
    await using server = await TestServer.start();
    await using subscriber = await server.subscriber();
    await using socket = await RawSocket.open(server.address, '/ws/manager');
    const [first, second] = [Buffer.from('ü').subarray(0, 1), Buffer.from('ü').subarray(1)];
    socket.write(clientFrame(OPCODE.text, first, { fin: false }));
    socket.write(clientFrame(OPCODE.ping, 'in between'));
    socket.write(clientFrame(OPCODE.continuation, second));
    assert.equal(await subscriber.text(), 'ü');
    assert.equal((await socket.frame()).payload.toString(), 'in between');
    for (const byte of clientFrame(OPCODE.text, 'byte by byte')) socket.write(Buffer.from([byte]));
    assert.equal(await subscriber.text(), 'byte by byte');
  });
});

describe('messages that are too much', () => {
  test('a message above the bound is refused by its header, before it comes', async () => {
    await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '100kib' });
    const header = clientHeader(0x82, 100 * 1024 + 1);
    assert.equal(await closeAfter(server, '/ws/manager', header), 1009);
    assert.equal(await closeAfter(server, '/ws/broadcast', clientHeader(0x82, 64 * 1024 + 1)), 1009);
    await isWell(server);
  });

  test('a message of exactly the bound is stored', async () => {
    await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '100kib' });
    await using subscriber = await server.subscriber();
    await using publisher = await server.publisher();
    publisher.send(Buffer.alloc(100 * 1024, 7));
    assert.equal((await subscriber.next()).data.length, 100 * 1024);
  });

  test('fragments that together are above the bound are refused', async () => {
    await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '1kib' });
    const half = clientFrame(OPCODE.binary, Buffer.alloc(600), { fin: false });
    const rest = clientFrame(OPCODE.continuation, Buffer.alloc(600));
    assert.equal(await closeAfter(server, '/ws/manager', half, rest), 1009);
  });

  test('a message of 128 fragments is stored, one of 129 is refused', async () => {
    await using server = await TestServer.start();
    await using subscriber = await server.subscriber();
    const fragments = (count: number): Buffer[] => [
      clientFrame(OPCODE.text, 'a', { fin: false }),
      ...Array.from({ length: count - 2 }, () => clientFrame(OPCODE.continuation, 'b', { fin: false })),
      clientFrame(OPCODE.continuation, 'c'),
    ];
    await using socket = await RawSocket.open(server.address, '/ws/manager');
    socket.write(Buffer.concat(fragments(128)));
    assert.equal((await subscriber.text()).length, 128);
    assert.equal(await closeAfter(server, '/ws/manager', ...fragments(129)), 1008);
  });

  test('a large message in the pieces of a slow network is stored', async () => {
    await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '4mib' });
    await using subscriber = await server.subscriber();
    await using socket = await RawSocket.open(server.address, '/ws/manager');
    const bytes = clientFrame(OPCODE.binary, Buffer.alloc(2 * 1024 * 1024, 1));
    for (let at = 0; at < bytes.length; at += 1400) {
      socket.write(bytes.subarray(at, at + 1400));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await subscriber.next()).data.length, 2 * 1024 * 1024);
  });
});

describe('what comes in the smallest of pieces', () => {
  test('a message in thousands of packets of one byte is one message, at both doors', async () => {
    await using server = await TestServer.start();
    await using subscriber = await server.subscriber();
    const bytes = clientFrame(OPCODE.binary, Buffer.alloc(5000, 7));
    for (const path of ['/ws/manager', '/ws/broadcast']) {
      await using socket = await RawSocket.open(server.address, path);
      for (let at = 0; at < bytes.length; at++) {
        socket.write(bytes.subarray(at, at + 1));
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.write(clientFrame(OPCODE.ping, 'still open'));
      while ((await socket.frame()).payload.toString() !== 'still open');
    }
    assert.deepEqual((await subscriber.next()).data, Buffer.alloc(5000, 7));
  });

  test('headers by the thousand, and spaces by the thousand, are answered soon', async () => {
    await using server = await TestServer.start();
    const requests = [
      handshake('/ws/manager', ...Array.from({ length: 2001 }, (_, i) => `X${i}: y`)),
      handshake('/ws/manager', `Sec-WebSocket-Protocol: a${' '.repeat(15_000)}b`),
      handshake('/ws/manager', `Sec-WebSocket-Extensions: a${' '.repeat(15_000)}b`),
      handshake('/ws/manager', `Sec-WebSocket-Extensions: ${'a;'.repeat(7000)}`),
      handshake(`/ws/manager?${'channel=a&'.repeat(1500)}`),
    ];
    const began = process.cpuUsage();
    for (let i = 0; i < 20; i++) {
      for (const request of requests) {
        await using socket = await RawSocket.connect(server.address);
        socket.write(request);
        assert.match(await socket.head(), /^HTTP\/1\.1 (101|400|431) /);
      }
    }
    const { user, system } = process.cpuUsage(began);
    // 5 ms for each on average, this client's part included; what looks back over all spaces takes a second.
    assert.ok((user + system) / 1000 < 5 * 20 * requests.length, `${user + system} µs`);
    await isWell(server);
  });
});

describe('pings', () => {
  const FLOOD = Buffer.concat(Array.from({ length: 100_000 }, (_, i) => clientFrame(OPCODE.ping, String(i))));

  test('a hundred thousand in one write are answered by few pongs, the last with the last payload', async () => {
    await using server = await TestServer.start({ MAX_CONTROL_FRAMES_PER_SECOND: '100000' });
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.write(FLOOD);
    let pongs = 0;
    for (let payload = ''; payload !== '99999'; pongs++) {
      const frame = await socket.frame();
      assert.equal(frame.opcode, OPCODE.pong);
      payload = frame.payload.toString();
    }
    assert.ok(pongs < 2000, `${pongs} pongs`);
  });

  test('one is answered with its payload, at both doors', async () => {
    await using server = await TestServer.start();
    for (const path of ['/ws/manager', '/ws/broadcast']) {
      await using socket = await RawSocket.open(server.address, path);
      socket.write(clientFrame(OPCODE.ping, 'are you there'));
      const { opcode, payload } = await socket.frame();
      assert.deepEqual([opcode, payload.toString()], [OPCODE.pong, 'are you there']);
    }
  });

  test('pongs do not pile up for a client that never reads, and never land inside a frame', async () => {
    await using server = await TestServer.start({ MAX_CONTROL_FRAMES_PER_SECOND: '1000000' });
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    await using publisher = await server.publisher();
    socket.stopReading();
    for (let i = 0; i < 100; i++) await publisher.flushed(Buffer.alloc(128 * 1024, i));
    await until('the socket pushes back', () => (server.stats.stalled ?? 0) === 1);
    const pending = server.stats.stalledBytes;
    for (let i = 0; i < 5; i++) socket.write(FLOOD);
    await until('the flood is sent', () => socket.socket.writableLength === 0);
    assert.equal(server.stats.stalledBytes, pending);
    socket.readOn();
    for (let received = 0; received < 100; ) {
      const { opcode, payload } = await socket.frame();
      if (opcode === OPCODE.pong) continue;
      assert.deepEqual([opcode, payload.length, payload[0]], [OPCODE.binary, 128 * 1024, received]);
      received += 1;
    }
  });
});

describe('resets', () => {
  test('at any byte of the handshake harm nobody', async () => {
    await using server = await TestServer.start();
    for (const path of ['/ws/broadcast', '/ws/manager', '/ws/broadcast?after=x', '/ws/nothing']) {
      const request = handshake(path);
      const lengths = Array.from({ length: request.length }, (_, i) => i + 1);
      await Promise.all(
        lengths.map(async (length) => {
          const socket = await RawSocket.connect(server.address);
          socket.write(request.slice(0, length));
          await new Promise((resolve) => setImmediate(resolve));
          socket.reset();
          await socket.closed;
        }),
      );
    }
    await isWell(server);
  });

  test('right after a refusal, read or not, harm nobody', async () => {
    await using server = await TestServer.start();
    const refused = [
      handshake('/ws/broadcast?after=x'),
      handshake('/ws/nothing'),
      handshake('/ws/manager', 'Origin: https://evil.io'),
      handshake('/ws/manager').replace('13', '8'),
      'NONSENSE\r\n\r\n',
      `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(300)}\r\n`,
    ];
    for (const request of refused) {
      for (const isRead of [true, false]) {
        const socket = await RawSocket.connect(server.address);
        if (!isRead) socket.stopReading();
        socket.write(request);
        if (isRead) await socket.head();
        else await new Promise((resolve) => setTimeout(resolve, 5));
        socket.reset();
        await socket.closed;
      }
    }
    await isWell(server);
  });

  test('while the log is asked where to start harm nobody', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.hold('locate');
    const sockets = await Promise.all(Array.from({ length: 20 }, () => RawSocket.connect(server.address)));
    for (const socket of sockets) socket.write(handshake('/ws/broadcast?after=earliest'));
    // As many as are looked up at a time.
    await until('the log is asked', () => log.running('locate') === 4);
    for (const socket of sockets) socket.reset();
    await Promise.all(sockets.map(({ closed }) => closed));
    log.release('locate');
    await isWell(server);
    assert.equal(server.stats.subscribers, 0);
  });

  test('right after the handshake and in the middle of delivery harm nobody', async () => {
    await using server = await TestServer.start();
    await using publisher = await server.publisher();
    for (let i = 0; i < 40; i++) publisher.send(Buffer.alloc(64 * 1024));
    for (let i = 0; i < 30; i++) {
      const socket = await RawSocket.open(server.address, '/ws/broadcast?after=earliest');
      if (i % 3 === 0) await socket.frame();
      if (i % 3 === 1) publisher.send('while it goes');
      socket.reset();
      await socket.closed;
    }
    publisher.terminate();
    await isWell(server);
    assert.deepEqual([server.stats.stalled, server.stats.stalledBytes], [0, 0]);
  });

  test('of a publisher lose nothing that was read whole, and store nothing of a half message', async () => {
    await using server = await TestServer.start();
    await using subscriber = await server.subscriber();
    await using socket = await RawSocket.open(server.address, '/ws/manager');
    socket.write(clientFrame(OPCODE.text, 'whole'));
    assert.equal(await subscriber.text(), 'whole');
    socket.write(clientFrame(OPCODE.text, 'half of it').subarray(0, 10));
    await new Promise((resolve) => setImmediate(resolve));
    socket.reset();
    await until('it is gone', () => server.stats.publishers === 0);
    await using publisher = await server.publisher();
    publisher.send('next');
    assert.equal(await subscriber.text(), 'next');
  });
});
