/** The opening handshake of RFC 6455 by its sections, each request at both doors, whole and byte by byte. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { until, within } from '../support/within.ts';
import { frame } from './case.ts';
import { HANDSHAKES, type HandshakeCase } from './handshakes.ts';

const DOORS = ['/ws/manager', '/ws/broadcast'];
/** Of a longer request only so many bytes come one by one. */
const SINGLE_BYTES = 500;

/** The first bytes one by one, the rest at once; nothing more once the server has ended the connection. */
async function send({ socket }: RawSocket, request: Buffer, single: number): Promise<void> {
  for (let at = 0; at < request.length && socket.writable; ) {
    const end = at < single ? at + 1 : request.length;
    socket.write(request.subarray(at, end));
    at = end;
    await nextTurn();
  }
}

function says(head: string, { status, has = [], hasNot = [] }: HandshakeCase): void {
  assert.match(head, new RegExp(`^http/1\\.1 ${status} `));
  for (const line of has) assert.ok(head.includes(`\r\n${line.toLowerCase()}\r\n`), `${line} in ${head}`);
  for (const text of hasNot) assert.ok(!head.includes(text), `no ${text} in ${head}`);
}

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
    await send(socket, Buffer.from(given.request(path), 'latin1'), isDribbled ? SINGLE_BYTES : 0);
    const head = (await socket.head()).toLowerCase();
    says(head, given);
    if (given.status === 101) {
      socket.write(frame(OPCODE.ping, 'open'));
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

test('the requests have names of their own, and are many', () => {
  assert.ok(HANDSHAKES.length > 90, `${HANDSHAKES.length} requests`);
  assert.equal(new Set(HANDSHAKES.map(({ name }) => name)).size, HANDSHAKES.length);
});
