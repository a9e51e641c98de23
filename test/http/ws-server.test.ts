/**
 * What the server takes from `ws` beyond its documented API. When a later version of `ws` does these things in
 * another way, this is where it shows, before a subscriber sees it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import * as ws from 'ws';
import { Inflater } from '../../src/http/ws/deflate.ts';
import { type Agreed, type ReasonedSocket, WsServer } from '../../src/http/ws/ws-server.ts';
import { Refusals } from '../../src/refusals.ts';
import { clientFrame, closeOf, OPCODE } from '../support/raw-socket.ts';
import { type UpgradedPair, upgradedPair } from '../support/upgraded-pair.ts';
import { within } from '../support/within.ts';

const PLAIN: Agreed = { protocol: null, deflate: false };
const NOTHING = Buffer.alloc(0);
const MAX_BYTES = 1000;

function makeServer(): WsServer {
  return new WsServer(MAX_BYTES, 5000, new Refusals());
}

interface Open extends UpgradedPair {
  readonly ws: ReasonedSocket;
}

/** A pair with the handshake done, and a socket of `ws` at the server's end. */
async function open(inflater: Inflater | null = null): Promise<Open> {
  const pair = await upgradedPair();
  const server = makeServer();
  server.accept(pair, PLAIN, () => undefined);
  await pair.client.head();
  const made = server.socket(pair.socket, NOTHING, inflater);
  made.on('error', () => undefined);
  return { ...pair, ws: made };
}

describe('the handshake by ws', () => {
  test('calls back in the same turn, with the bytes behind the request, and leaves no listener', async () => {
    const behind = clientFrame(OPCODE.text, 'early');
    await using pair = await upgradedPair([], behind);
    const names = ['data', 'end', 'error', 'close', 'drain', 'timeout'];
    const count = (): number[] => names.map((name) => pair.socket.listenerCount(name));
    const before = count();
    let head: Buffer | null = null;
    makeServer().accept(pair, PLAIN, (bytes) => {
      head = bytes;
    });
    assert.deepEqual(head, behind);
    assert.deepEqual(count(), before);
    const answer = await pair.client.head();
    assert.match(answer, /^HTTP\/1\.1 101 /);
    assert.match(answer, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
    assert.doesNotMatch(answer, /extensions|protocol:/i);
  });

  test('says the protocol and the extension that were decided for this request', async () => {
    await using pair = await upgradedPair(['Sec-WebSocket-Protocol: a, b']);
    makeServer().accept(pair, { protocol: 'b', deflate: true }, () => undefined);
    const answer = await pair.client.head();
    assert.match(answer, /\r\nsec-websocket-protocol: b\r\n/i);
    const extension = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
    assert.match(answer, new RegExp(`\\r\\nsec-websocket-extensions: ${extension}\\r\\n`, 'i'));
  });

  test('that is wrong is refused as everything else is, and calls nobody back', async () => {
    await using pair = await upgradedPair(['Sec-WebSocket-Key: short']);
    let called = false;
    makeServer().accept(pair, PLAIN, () => {
      called = true;
    });
    assert.match(await pair.client.until('bad_request'), /^HTTP\/1\.1 400 /);
    assert.equal(called, false);
  });
});

describe('a socket of ws made later', () => {
  test('has what is used of it', () => {
    const members = ws.WebSocket.prototype as unknown as Record<string, unknown>;
    assert.equal(typeof members['setSocket'], 'function', 'WebSocket#setSocket is gone');
    const { extension } = ws as unknown as { readonly extension?: { readonly parse?: unknown } };
    assert.equal(typeof extension?.parse, 'function', 'extension.parse is gone');
  });

  test('is open, and reads what was received before and after', async () => {
    await using pair = await upgradedPair();
    const server = makeServer();
    server.accept(pair, PLAIN, () => undefined);
    const made = server.socket(pair.socket, clientFrame(OPCODE.text, 'before'), null);
    assert.equal(made.readyState, ws.WebSocket.OPEN);
    const texts: string[] = [];
    const both = new Promise<void>((resolve) => {
      made.on('message', (data: Buffer) => {
        texts.push(data.toString());
        if (texts.length === 2) resolve();
      });
    });
    pair.client.write(clientFrame(OPCODE.text, 'after'));
    await within('two messages', both);
    assert.deepEqual(texts, ['before', 'after']);
  });

  test('does not answer pings by itself', async () => {
    await using pair = await open();
    const pinged = once(pair.ws, 'ping');
    pair.client.write(clientFrame(OPCODE.ping, 'x'));
    await within('the ping', pinged);
    pair.ws.close(1000);
    assert.equal((await pair.client.frame()).opcode, OPCODE.close);
  });

  test('keeps the bounds it is given, and says why when it closes by itself', async () => {
    const fragments = Array.from({ length: 129 }, () => clientFrame(OPCODE.continuation, '', { fin: false }));
    const broken: readonly (readonly [code: number, bytes: Buffer])[] = [
      [1009, clientFrame(OPCODE.text, 'x'.repeat(MAX_BYTES + 1))],
      [1008, Buffer.concat([clientFrame(OPCODE.text, 'x', { fin: false }), ...fragments])],
      [1002, clientFrame(OPCODE.text, 'x', { masked: false })],
      [1002, clientFrame(OPCODE.text, 'x', { rsv: 4 })],
    ];
    for (const [code, bytes] of broken) {
      await using pair = await open();
      pair.ws.reason = () => 'why';
      pair.client.write(bytes);
      assert.deepEqual(closeOf(await pair.client.frame()), { code, reason: 'why' });
    }
  });

  test('echoes the code and the reason of a close, and says nothing of its own', async () => {
    await using pair = await open();
    pair.ws.reason = () => 'why';
    pair.client.write(
      clientFrame(OPCODE.close, Buffer.concat([Buffer.from([0x0f, 0xa1]), Buffer.from('bye')])),
    );
    assert.deepEqual(closeOf(await pair.client.frame()), { code: 4001, reason: 'bye' });
    await within('the end', pair.client.closed);
  });

  test('asks the inflater for compressed messages, and cleans it up', async () => {
    let cleaned = 0;
    class Watched extends Inflater {
      override cleanup(): void {
        cleaned += 1;
        super.cleanup();
      }
    }
    await using pair = await open(new Watched(MAX_BYTES, () => undefined));
    const message = once(pair.ws, 'message');
    const flushed = deflateRawSync('hello hello', { finishFlush: 2 });
    pair.client.write(clientFrame(OPCODE.text, flushed.subarray(0, -4), { rsv: 4 }));
    const [data] = (await within('the message', message)) as [Buffer];
    assert.equal(data.toString(), 'hello hello');
    const closed = once(pair.ws, 'close');
    pair.client.reset();
    await within('the close', closed);
    assert.equal(cleaned, 1);
  });
});
