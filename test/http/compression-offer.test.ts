/** Which offers of compression are agreed to, and what the handshake says of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { agreesToDeflate, DEFLATE_AGREED } from '../../src/http/ws/deflate.ts';
import { handshake, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';

const ON = { COMPRESSION: 'on' };

const OFFERS: readonly (readonly [offer: string, agreed: boolean])[] = [
  ['permessage-deflate', true],
  // Chromium, Firefox and `ws`.
  ['permessage-deflate; client_max_window_bits', true],
  ['permessage-deflate; client_max_window_bits=15', true],
  ['permessage-deflate; client_max_window_bits=8', true],
  ['permessage-deflate; client_max_window_bits="10"', true],
  ['permessage-deflate; server_no_context_takeover; client_no_context_takeover', true],
  ['permessage-deflate;client_no_context_takeover', true],
  ['x-other, permessage-deflate', true],
  ['permessage-deflate; server_max_window_bits=10, permessage-deflate', true],
  ['permessage-deflate; unknown, permessage-deflate; client_max_window_bits', true],
  ['permessage-deflate; server_max_window_bits=10', false],
  ['permessage-deflate; server_max_window_bits=15', false],
  ['permessage-deflate; server_max_window_bits', false],
  ['permessage-deflate; client_max_window_bits=7', false],
  ['permessage-deflate; client_max_window_bits=16', false],
  ['permessage-deflate; client_max_window_bits=015', false],
  ['permessage-deflate; client_max_window_bits=x', false],
  ['permessage-deflate; client_no_context_takeover=1', false],
  ['permessage-deflate; server_no_context_takeover=true', false],
  ['permessage-deflate; client_max_window_bits; client_max_window_bits', false],
  ['permessage-deflate; client_max_window_bits=9; client_max_window_bits=10', false],
  ['permessage-deflate; client_no_context_takeover; client_no_context_takeover', false],
  ['permessage-deflate; unknown', false],
  ['permessage-deflate; __proto__', false],
  ['permessage-deflate; constructor=1', false],
  ['Permessage-Deflate', false],
  ['x-webkit-deflate-frame', false],
  ['permessage-bzip2, x-other; a=1', false],
  ['__proto__', false],
  ['', false],
  [',', false],
  [';', false],
  ['permessage-deflate;', false],
  ['permessage-deflate; =1', false],
  ['permessage-deflate; client_max_window_bits=', false],
  ['permessage-deflate; client_max_window_bits="10', false],
  // Malformed: as if none had been made, even where a part of it could be agreed to.
  ['permessage-deflate, ;', false],
];

/** The line of the answer about extensions; null when there is none. */
async function extensionsOf(server: TestServer, path: string, ...lines: string[]): Promise<string | null> {
  await using socket = await RawSocket.connect(server.address);
  socket.write(handshake(path, ...lines));
  const head = await socket.head();
  assert.match(head, /^HTTP\/1\.1 101 /);
  return /\r\nsec-websocket-extensions: (.*)\r\n/i.exec(head)?.[1] ?? null;
}

function offerLine(offer: string): string {
  return `Sec-WebSocket-Extensions: ${offer}`;
}

describe('an offer of compression', () => {
  test('is agreed to when it asks for nothing else than can be given', () => {
    for (const [offer, agreed] of OFFERS) assert.equal(agreesToDeflate(offer), agreed, offer);
    assert.equal(agreesToDeflate(undefined), false);
  });

  test('is answered in the handshake, raw and v1; one that is not agreed to is let in without', async () => {
    await using server = await TestServer.start(ON);
    const paths = ['/ws/broadcast', '/ws/broadcaster?after=earliest'];
    for (const [i, [offer, agreed]] of OFFERS.entries()) {
      const answer = await extensionsOf(server, paths[i % 2] as string, offerLine(offer));
      assert.equal(answer, agreed ? DEFLATE_AGREED : null, offer);
    }
    const v1 = 'Sec-WebSocket-Protocol: rivercast.v1';
    assert.equal(
      await extensionsOf(server, '/ws/broadcast', v1, offerLine('permessage-deflate')),
      DEFLATE_AGREED,
    );
    assert.equal(await extensionsOf(server, '/ws/broadcast'), null);
  });

  test('may be made on two lines', async () => {
    await using server = await TestServer.start(ON);
    const lines = ['permessage-deflate; server_max_window_bits=9', 'permessage-deflate'].map(offerLine);
    assert.equal(await extensionsOf(server, '/ws/broadcast', ...lines), DEFLATE_AGREED);
  });

  test('is ignored when compression is off, which it is unless told otherwise', async () => {
    for (const settings of [{}, { COMPRESSION: 'off' }]) {
      await using server = await TestServer.start(settings);
      assert.equal(await extensionsOf(server, '/ws/broadcast', offerLine('permessage-deflate')), null);
    }
  });

  test('by a publisher is ignored', async () => {
    await using server = await TestServer.start(ON);
    assert.equal(await extensionsOf(server, '/ws/manager', offerLine('permessage-deflate')), null);
    await using publisher = await server.publisher('', { deflate: true });
    assert.equal(publisher.extensions, '');
  });

  test('by one who is only let in to be told why not is ignored', async () => {
    await using server = await TestServer.start(ON);
    const lines = [offerLine('permessage-deflate'), `Origin: ${server.address}`];
    assert.equal(await extensionsOf(server, '/ws/broadcast?after=nonsense', ...lines), null);
  });
});
