/** A real browser offers compression by itself, and reads what is sent compressed as any other message. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { TestBrowser } from '../support/browser.ts';
import { TestServer } from '../support/running-server.ts';

const KIB = 1024;

const BY_SIZE = [0, 1, 1023, 1024, 30_000, 65_536, 1024 * KIB].flatMap((size) => [
  '{"team":"home é"}'.repeat(size / 16).slice(0, size - size / 16),
  Buffer.alloc(size, 'abc'),
  randomBytes(size),
]);

/** Begins compressed and goes on in stored pieces. */
const MIXED = Buffer.concat([Buffer.alloc(100 * KIB, 'abc'), randomBytes(200 * KIB)]);
const PAYLOADS: readonly (string | Buffer)[] = [...BY_SIZE, MIXED];

test('a browser is sent compressed messages, raw and v1, the same as were published', async () => {
  await using server = await TestServer.start({ COMPRESSION: 'on' });
  await using publisher = await server.publisher();
  for (const payload of PAYLOADS) publisher.send(payload);
  await publisher.close();
  await using browser = await TestBrowser.start();
  const page = await browser.page(`${server.address}/healthz`);
  const count = PAYLOADS.length;
  // A text: it is the browser's code, not ours.
  const seen = await page.evaluate(`(async () => {
    const hash = async (data) => {
      const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      return typeof data + ' ' + Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    };
    const collect = (protocols, take) => new Promise((resolve, reject) => {
      const socket = new WebSocket('${server.url('/ws/broadcast?after=earliest')}', protocols);
      socket.binaryType = 'arraybuffer';
      const messages = [];
      socket.onmessage = ({ data }) => {
        messages.push(...take(data));
        // What it says goes compressed, too.
        if (messages.length === 5) socket.send('x'.repeat(5000));
        if (messages.length < ${count}) return;
        resolve({ extensions: socket.extensions, messages });
        socket.close();
      };
      socket.onclose = ({ code, reason }) => reject(new Error(code + ' ' + reason));
    });
    const bytesOf = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const read = (text) => (JSON.parse(text).messages ?? [])
      .map(({ data, data64 }) => data64 === undefined ? data : bytesOf(data64));
    const raw = await collect([], (data) => [data]);
    const v1 = await collect(['rivercast.v1'], read);
    const hashes = ({ messages }) => Promise.all(messages.map(hash));
    return { extensions: [raw.extensions, v1.extensions], raw: await hashes(raw), v1: await hashes(v1) };
  })()`);
  const expected = PAYLOADS.map((payload) => {
    const digest = createHash('sha256').update(payload).digest('hex');
    return `${typeof payload} ${digest}`;
  });
  const { extensions, raw, v1 } = seen as { extensions: string[]; raw: string[]; v1: string[] };
  for (const extension of extensions) assert.match(extension, /^permessage-deflate/);
  assert.deepEqual(raw, expected);
  assert.deepEqual(v1, expected);
});
