/** What a write to a socket comes to, where it is encrypted: told at the end of the turn, and rightly. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { type Outflow, watch, writeShared } from '../../src/http/connections/outflow.ts';
import { trusted } from '../support/secure.ts';
import { tlsFiles } from '../support/tls-server.ts';
import { until, within } from '../support/within.ts';

/** Of 256 KiB each: far above what the kernel keeps for one who does not read. */
const MOST_WRITES = 200;

class Watched implements Outflow {
  readonly socket: Socket;
  readonly isOpen = true;
  flow: Outflow['flow'] = 'clear';
  readonly told: (number | 'flushed')[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
  }

  flushed(): void {
    this.told.push('flushed');
  }

  stuck(bytes: number): void {
    this.told.push(bytes);
  }
}

/** Both ends of an encrypted connection. */
async function pair(t: TestContext): Promise<{ readonly near: Watched; readonly far: TLSSocket }> {
  const { cert, key } = await tlsFiles(t);
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ...trusted() });
  const [near] = (await within('a connection', once(server, 'secureConnection'))) as [TLSSocket];
  t.after(() => {
    for (const socket of [near, far]) socket.destroy();
    server.close();
  });
  near.on('error', () => undefined);
  await turn();
  return { near: new Watched(near), far };
}

test('what the kernel takes is flushed when the turn is over, however large it is', async (t) => {
  const { near, far } = await pair(t);
  far.resume();
  for (const bytes of [1, 16_384, 262_144]) {
    assert.equal(writeShared(near, Buffer.alloc(bytes)), 'underway');
    assert.equal(near.flow, 'underway');
    await until('it is flushed', () => near.flow === 'clear');
  }
  assert.deepEqual(near.told, ['flushed', 'flushed', 'flushed']);
});

test('several writes of one turn are told of once', async (t) => {
  const { near, far } = await pair(t);
  far.resume();
  for (let n = 0; n < 5; n++) assert.equal(writeShared(near, Buffer.from('x')), 'underway');
  watch(near);
  await until('it is flushed', () => near.flow === 'clear');
  assert.equal(near.told.at(-1), 'flushed');
  assert.equal(near.told.filter((told) => told === 'flushed').length, 1);
});

test('what it does not take is told with its size, and then when it is gone', async (t) => {
  const { near, far } = await pair(t);
  const bytes = Buffer.alloc(256 * 1024);
  let writes = 0;
  while (!near.told.some((told) => typeof told === 'number')) {
    assert.ok(writes < MOST_WRITES, 'the buffers of the kernel hold no more');
    assert.equal(writeShared(near, bytes), 'underway');
    writes += 1;
    await turn();
    await turn();
  }
  assert.deepEqual([near.told.at(-1), near.flow], [bytes.length, 'draining']);
  assert.equal(writeShared(near, Buffer.from('x')), 'pending');
  let received = 0;
  far.on('data', (chunk: Buffer) => (received += chunk.length));
  await until('it is gone', () => near.told.at(-1) === 'flushed' && near.flow === 'clear');
  await until('it came', () => received === writes * bytes.length + 1);
});

test('a connection that is gone is told nothing', async (t) => {
  const { near } = await pair(t);
  assert.equal(writeShared(near, Buffer.from('x')), 'underway');
  near.socket.destroy();
  await turn();
  await turn();
  assert.deepEqual(near.told, []);
  assert.equal(writeShared(near, Buffer.from('x')), 'closed');
});
