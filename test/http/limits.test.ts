/** What a client may cost, limit by limit: who crosses one is told so, is counted, and harms nobody else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LimitName } from '../../src/http/limits/limit-counter.ts';
import { clientFrame, closeOf, type Frame, handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';

const DOORS = ['/ws/manager', '/ws/broadcast'];

/** That it was counted once for each, and that others are served. */
async function isCounted(server: TestServer, limit: LimitName, times: number): Promise<void> {
  await until('it is counted', () => server.stats.limits[limit] === times);
  await until(
    'all are forgotten',
    () => server.stats.connections === 0 && server.stats.incompleteBytes === 0,
  );
  await using subscriber = await server.subscriber();
  await using publisher = await server.publisher();
  publisher.send('still here');
  assert.equal(await subscriber.text(), 'still here');
}

/** How the connection is closed after these bytes, and that nothing keeps it open. */
async function closedAfter(
  server: TestServer,
  path: string,
  bytes: Buffer,
): Promise<ReturnType<typeof closeOf>> {
  await using socket = await RawSocket.open(server.address, path);
  socket.write(bytes);
  const frames = await socket.frames();
  return closeOf(frames.find(({ opcode }) => opcode === OPCODE.close) as Frame);
}

function times(count: number, frame: Buffer): Buffer {
  return Buffer.concat(Array.from<Buffer>({ length: count }).fill(frame));
}

describe('control frames', { concurrency: true }, () => {
  for (const opcode of [OPCODE.ping, OPCODE.pong]) {
    test(`a flood of opcode ${opcode} is closed with 1008, also where nothing was said before`, async () => {
      await using server = await TestServer.start({ MAX_CONTROL_FRAMES_PER_SECOND: '20' });
      for (const path of DOORS) {
        const { code, reason } = await closedAfter(server, path, times(10_000, clientFrame(opcode, 'x')));
        assert.equal(code, 1008);
        assert.match(reason, path === '/ws/manager' ? /^too many pings/ : /^cursor=/);
      }
      await isCounted(server, 'control_frames', 2);
    });
  }

  test('a flood that goes on is not read, and its connection is cut', async () => {
    await using server = await TestServer.start({ MAX_CONTROL_FRAMES_PER_SECOND: '20' });
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    const flood = times(10_000, clientFrame(OPCODE.ping));
    socket.socket.on('error', () => undefined);
    const started = performance.now();
    const writing = setInterval(() => socket.write(flood), 1);
    await within('the cut', socket.closed);
    clearInterval(writing);
    assert.ok(performance.now() - started < 3000);
    await isCounted(server, 'control_frames', 1);
  });

  test('as many a second as are allowed go on for ever', async () => {
    await using server = await TestServer.start({ MAX_CONTROL_FRAMES_PER_SECOND: '20' });
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    for (let i = 0; i < 24; i++) {
      for (let n = 0; n < 2; n++) socket.write(clientFrame(OPCODE.ping, `${i} ${n}`));
      await sleep(110);
    }
    for (let payload = ''; payload !== '23 1'; ) {
      const frame = await socket.frame();
      assert.equal(frame.opcode, OPCODE.pong);
      payload = frame.payload.toString();
    }
  });
});

describe('what subscribers say', () => {
  test('more messages, or fragments, a second than are allowed close with 1008; publishers may', async () => {
    await using server = await TestServer.start({
      MAX_SUBSCRIBER_FRAMES_PER_SECOND: '20',
      MAX_FRAGMENTS: '10000',
    });
    const messages = times(1000, clientFrame(OPCODE.text, 'x'));
    const fragments = Buffer.concat([
      clientFrame(OPCODE.text, 'x', { fin: false }),
      times(1000, clientFrame(OPCODE.continuation, 'x', { fin: false })),
      clientFrame(OPCODE.continuation, 'x'),
    ]);
    for (const bytes of [messages, fragments]) {
      const { code, reason } = await closedAfter(server, '/ws/broadcast', bytes);
      assert.equal(code, 1008);
      assert.match(reason, /^cursor=/);
    }
    await using subscriber = await server.subscriber();
    await using socket = await RawSocket.open(server.address, '/ws/manager');
    socket.write(Buffer.concat([messages, fragments]));
    assert.equal((await subscriber.take(1001)).at(-1)?.data.length, 1002);
    await subscriber.close();
    socket.reset();
    await isCounted(server, 'subscriber_frames', 2);
  });
});

describe('fragments', () => {
  test('more in a message than are allowed close with 1008', async () => {
    await using server = await TestServer.start({ MAX_FRAGMENTS: '4' });
    const fragments = Buffer.concat([
      clientFrame(OPCODE.text, 'x', { fin: false }),
      times(4, clientFrame(OPCODE.continuation, 'x', { fin: false })),
    ]);
    for (const path of DOORS) assert.equal((await closedAfter(server, path, fragments)).code, 1008);
    await isCounted(server, 'fragments', 2);
  });
});

describe('a message', () => {
  test('that is too large is closed with 1009, or refused with 413, and counted', async () => {
    await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '1kib' });
    const large = clientFrame(OPCODE.binary, Buffer.alloc(1025));
    assert.equal((await closedAfter(server, '/ws/manager', large)).code, 1009);
    const url = `${server.address}/api/channels/a/messages`;
    assert.equal((await fetch(url, { method: 'POST', body: 'x'.repeat(1025) })).status, 413);
    const lines = `${JSON.stringify({ data: 'x'.repeat(20_000) })}\n`;
    const headers = { 'Content-Type': 'application/x-ndjson' };
    const batch = await fetch(url, { method: 'POST', headers, body: lines });
    assert.match(await batch.text(), /"too_large"/);
    await isCounted(server, 'message_bytes', 3);
  });
});

describe('what is not whole', () => {
  test('above the bound for all the one whose bytes do not fit is closed with 1013, and the others go on', async () => {
    await using server = await TestServer.start({ INCOMPLETE_BYTES: '1mib' });
    await using first = await RawSocket.open(server.address, '/ws/manager');
    await using second = await RawSocket.open(server.address, '/ws/broadcast');
    const part = (bytes: number): Buffer => clientFrame(OPCODE.binary, Buffer.alloc(bytes), { fin: false });
    first.write(part(100_000));
    first.write(clientFrame(OPCODE.continuation, Buffer.alloc(100_000), { fin: false }));
    second.write(part(60_000));
    await until('both are held', () => server.stats.incompleteBytes > 260_000);
    const { code, reason } = await closedAfter(server, '/ws/manager', part(900_000));
    assert.equal(code, 1013);
    assert.match(reason, /unfinished/);
    await using subscriber = await server.subscriber();
    first.write(clientFrame(OPCODE.continuation, 'end'));
    assert.equal((await subscriber.next()).data.length, 200_003);
    await subscriber.close();
    second.reset();
    first.reset();
    await isCounted(server, 'incomplete_bytes', 1);
  });
});

describe('requests', () => {
  test('half a head, and silence, are closed when their time is up; a connection that is upgraded is not', async () => {
    await using server = await TestServer.start({ HANDSHAKE_TIMEOUT_MS: '300' });
    await using upgraded = await RawSocket.open(server.address, '/ws/broadcast');
    await using silent = await RawSocket.connect(server.address);
    await using slow = await RawSocket.connect(server.address);
    let at = 0;
    const request = handshake('/ws/broadcast');
    const writing = setInterval(() => slow.write(request[at++] as string), 20);
    assert.match(await slow.head(), /^HTTP\/1\.1 408 /);
    await within('the end', Promise.all([slow.closed, silent.closed]));
    clearInterval(writing);
    assert.equal(upgraded.socket.destroyed, false);
    upgraded.reset();
    await isCounted(server, 'handshake_time', 2);
  });

  test('half a body is refused when its time is up', async () => {
    await using server = await TestServer.start({ HANDSHAKE_TIMEOUT_MS: '100', REQUEST_TIMEOUT_MS: '300' });
    await using raw = await RawSocket.connect(server.address);
    raw.write('POST /api/channels/a/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf');
    assert.match(await raw.head(), /^HTTP\/1\.1 408 /);
    await within('the end', raw.closed);
    await isCounted(server, 'request_time', 1);
  });

  test('too many headers, and too large ones, are refused with 431', async () => {
    await using server = await TestServer.start({ MAX_HEADERS: '12', MAX_HEADER_BYTES: '2kib' });
    const many = Array.from({ length: 12 }, (_, i) => `X-${i}: a`);
    for (const [path, more] of [
      ['/ws/broadcast', many],
      ['/healthz', many],
      ['/healthz', [`X: ${'x'.repeat(3000)}`]],
    ] as const) {
      await using raw = await RawSocket.connect(server.address);
      const head = handshake(path, ...more);
      raw.write(
        path === '/healthz' ? head.replace('Upgrade: websocket\r\nConnection: Upgrade\r\n', '') : head,
      );
      assert.match(await raw.head(), /^HTTP\/1\.1 431 /);
      await within('the end', raw.closed);
    }
    await isCounted(server, 'headers', 3);
  });
});

describe('sockets', () => {
  test('above the bound are closed at once, and there is room again when others are gone', async () => {
    await using server = await TestServer.start({ MAX_SOCKETS: '3' });
    const open = await Promise.all(Array.from({ length: 3 }, () => RawSocket.connect(server.address)));
    await until('they are here', async () => {
      await using raw = await RawSocket.connect(server.address);
      const outcome = await Promise.race([raw.closed.then(() => 'closed'), sleep(200, 'open')]);
      return outcome === 'closed' && raw.socket.bytesRead === 0;
    });
    const { sockets } = server.stats.limits;
    assert.ok(sockets > 0);
    for (const raw of open) raw.reset();
    await until('there is room', async () => {
      await using raw = await RawSocket.connect(server.address);
      raw.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
      const head = await raw.head().catch(() => '');
      return head.startsWith('HTTP/1.1 200 ');
    });
    await isCounted(server, 'sockets', server.stats.limits.sockets);
  });
});
