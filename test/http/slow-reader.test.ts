/** Subscribers that do not read: bounded in memory, told where to resume, and no burden to the others. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { clientFrame, closeOf, type Frame, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { cursorOf, type WebSocketClient } from '../support/websocket-client.ts';
import { until } from '../support/within.ts';

const SLOW = {
  SLOW_AFTER_MS: '200',
  SLOW_ENTRIES: '50',
  LINGER_MS: '20s',
  HEARTBEAT_MS: '400',
  IDLE_TIMEOUT_MS: '20s',
};

/** 16 KiB each, beginning with its number. */
function message(n: number): string {
  return `${n}.`.padEnd(16 * 1024, '.');
}

async function publish(publisher: WebSocketClient, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) await publisher.flushed(message(n));
}

function numbers(frames: readonly Frame[]): number[] {
  return frames
    .filter(({ opcode }) => opcode === OPCODE.text)
    .map(({ payload }) => Number.parseInt(payload.toString(), 10));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

describe('a subscriber that stopped reading', () => {
  test('is closed with 4408 once it is too far behind; what it was sent is whole, and it resumes without a hole', async () => {
    await using server = await TestServer.start(SLOW);
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    await publish(publisher, 0, 1000);
    await until('it is closed', () => server.stats.subscribers === 0);
    socket.readOn();
    const frames = [await socket.frame()];
    while (frames.at(-1)?.opcode !== OPCODE.close) frames.push(await socket.frame());
    const closed = closeOf(frames.at(-1) as Frame);
    assert.equal(closed.code, 4408);
    const seen = numbers(frames);
    assert.deepEqual(seen, range(0, seen.length));
    for (const { payload } of frames.slice(0, -1)) assert.equal(payload.length, 16 * 1024);
    await using resumed = await server.subscriber(`?after=${encodeURIComponent(cursorOf(closed))}`);
    const rest = await resumed.take(1000 - seen.length);
    assert.deepEqual(
      rest.map(({ data }) => Number.parseInt(data.toString(), 10)),
      range(seen.length, 1000),
    );
  });

  test('is closed also when it sends pings and pongs all the time: to be alive is not to read', async () => {
    await using server = await TestServer.start(SLOW);
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    const alive = setInterval(() => {
      socket.write(Buffer.concat([clientFrame(OPCODE.ping, 'here'), clientFrame(OPCODE.pong, 'here')]));
    }, 20);
    await publish(publisher, 0, 1000);
    await until('it is closed', () => server.stats.subscribers === 0);
    clearInterval(alive);
    socket.readOn();
    const frames = [await socket.frame()];
    while (frames.at(-1)?.opcode !== OPCODE.close) frames.push(await socket.frame());
    assert.equal(closeOf(frames.at(-1) as Frame).code, 4408);
  });

  test('and reads on in time gets everything, from the log where the ring has moved on', async () => {
    await using server = await TestServer.start({ RING_BYTES: '64kib', WRITE_BYTES: '64kib' });
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    await publish(publisher, 0, 1000);
    await until('it is stalled', () => server.stats.stalled === 1);
    socket.readOn();
    for (let n = 0; n < 1000; n++) {
      const { opcode, payload } = await socket.frame();
      assert.deepEqual([opcode, Number.parseInt(payload.toString(), 10)], [OPCODE.text, n]);
    }
    assert.ok((server.stats.catchUpReads ?? 0) > 0);
  });

  test('in a quiet channel is left alone, however long it takes', async () => {
    await using server = await TestServer.start({ ...SLOW, SLOW_ENTRIES: '100000' });
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    await publish(publisher, 0, 800);
    await until('it is stalled', () => server.stats.stalled === 1);
    await delay(500);
    assert.equal(server.stats.subscribers, 1);
    socket.readOn();
    for (let n = 0; n < 800; n++)
      assert.equal(Number.parseInt((await socket.frame()).payload.toString(), 10), n);
  });

  test('and never reads again is cut when the linger is over', async () => {
    await using server = await TestServer.start({ ...SLOW, LINGER_MS: '100ms' });
    await using publisher = await server.publisher();
    await using socket = await RawSocket.open(server.address, '/ws/broadcast');
    socket.stopReading();
    await publish(publisher, 0, 1000);
    await until('it is gone', () => server.stats.connections === 1);
    assert.deepEqual([server.stats.subscribers, server.stats.stalledBytes], [0, 0]);
  });
});

describe('many that never read', () => {
  test('do not keep the others from anything, and their memory is bounded', async () => {
    await using server = await TestServer.start({
      STALLED_BYTES: '1mib',
      WRITE_BYTES: '64kib',
      RING_BYTES: '1mib',
    });
    await using publisher = await server.publisher();
    await using reader = await server.subscriber();
    const dead = await Promise.all(
      Array.from({ length: 30 }, () => RawSocket.open(server.address, '/ws/broadcast')),
    );
    for (const socket of dead) socket.stopReading();
    let most = 0;
    for (let n = 0; n < 1000; n++) {
      await publisher.flushed(message(n));
      most = Math.max(most, server.stats.stalledBytes ?? 0);
    }
    const received = await reader.take(1000);
    assert.deepEqual(
      received.map(({ data }) => Number.parseInt(data.toString(), 10)),
      range(0, 1000),
    );
    assert.ok(most <= 1024 * 1024 + 64 * 1024, `${most} bytes pending`);
    assert.ok((server.stats.ringBytes ?? 0) <= 2 * 1024 * 1024);
    await until(
      'all are stalled or gone',
      () => (server.stats.stalled ?? 0) === (server.stats.subscribers ?? 0) - 1,
    );
    for (const socket of dead) {
      socket.readOn();
      socket.reset();
    }
    await until('they are gone', () => server.stats.subscribers === 1);
    assert.deepEqual([server.stats.stalled, server.stats.stalledBytes], [0, 0]);
  });
});
