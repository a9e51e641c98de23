/** The opening handshake of RFC 6455 by its sections, each request at both doors, whole and byte by byte. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';
import { frame } from './case.ts';
import { HANDSHAKES, type HandshakeCase } from './handshakes.ts';

const DOORS = ['/ws/manager', '/ws/broadcast'];
/** Of a longer request only so many bytes come one by one. */
const SINGLE_BYTES = 500;
const OPCODE_PING = 9;

describe('the opening handshake', { concurrency: 8 }, () => {
  let server: TestServer;
  before(async () => {
    server = await TestServer.start({ COMPRESSION: 'on' });
  });
  after(async () => {
    await until('nothing is left', () => server.stats.connections === 0);
    await server.stop();
  });

  async function knock(path: string, given: HandshakeCase, isDribbled: boolean): Promise<void> {
    await using socket = await RawSocket.connect(server.address);
    const request = given.request(path);
    const single = isDribbled ? Math.min(SINGLE_BYTES, request.length) : 0;
    for (let at = 0; at < single && socket.socket.writable; at++) {
      socket.write(Buffer.from(request.slice(at, at + 1), 'latin1'));
      await nextTurn();
    }
    if (socket.socket.writable) socket.write(Buffer.from(request.slice(single), 'latin1'));
    const head = (await socket.head()).toLowerCase();
    assert.match(head, new RegExp(`^http/1\\.1 ${given.status} `));
    for (const line of given.has ?? [])
      assert.ok(head.includes(`\r\n${line.toLowerCase()}\r\n`), `${line} in ${head}`);
    for (const text of given.hasNot ?? []) assert.ok(!head.includes(text), `no ${text} in ${head}`);
    if (given.status === 101) {
      socket.write(frame(OPCODE_PING, 'open'));
      while ((await socket.frame()).payload.toString() !== 'open');
    } else if (given.status === 400 || head.includes('\r\nconnection: close')) {
      await within('the end of what was refused', socket.closed);
    }
  }

  for (const each of HANDSHAKES) {
    test(each.name, async () => {
      for (const path of DOORS) {
        await Promise.all([knock(path, each, false), knock(path, each, true)]);
      }
    });
  }
});

test('the requests have names of their own', () => {
  assert.equal(new Set(HANDSHAKES.map(({ name }) => name)).size, HANDSHAKES.length);
});
