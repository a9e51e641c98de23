/** The files of the console, as the server gives them. */
import assert from 'node:assert/strict';
import { createServer as createHttp } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { createServer } from '../../src/create-server.ts';
import { TestServer } from '../support/running-server.ts';
import { REQUIRED } from '../support/tokens.ts';

const HTML = { Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const MAX_BYTES = 150 * 1024;
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
];

/** What the page names. */
async function assetsOf(server: TestServer): Promise<string[]> {
  const page = await (await fetch(server.address, { headers: HTML })).text();
  return [...page.matchAll(/(?:src|href)="\.(\/console\/[^"]+)"/g)].map(([, path]) => path as string);
}

describe('the front page', () => {
  test('is a page for browsers, and a text for everybody else', async () => {
    await using server = await TestServer.start({ STREAM: 'my-own' });
    for (const headers of [HTML, { Accept: 'text/html' }]) {
      const answer = await fetch(server.address, { headers });
      assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8');
      assert.equal(answer.headers.get('vary'), 'Accept, Accept-Encoding');
      assert.equal(answer.headers.get('cache-control'), 'no-cache');
      const policy = answer.headers.get('content-security-policy')?.split('; ') ?? [];
      assert.ok(!policy.join().includes('unsafe'));
      for (const rule of POLICY) assert.ok(policy.includes(rule), rule);
      assert.match(await answer.text(), /data-channel="my-own"/);
    }
    for (const headers of [{}, { Accept: '*/*' }, { Accept: 'text/plain' }, { Accept: 'application/json' }]) {
      const answer = await fetch(server.address, { headers });
      assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
      assert.match(await answer.text(), /^Rivercast\n/);
    }
  });

  test('is a text for all with CONSOLE=off, and then there are no files', async () => {
    await using on = await TestServer.start();
    const [asset = ''] = await assetsOf(on);
    await using off = await TestServer.start({ CONSOLE: 'off' });
    const answer = await fetch(off.address, { headers: HTML });
    assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.equal((await fetch(`${on.address}${asset}`)).status, 200);
    assert.equal((await fetch(`${off.address}${asset}`)).status, 404);
  });

  test('and its files are open where a token is needed', async () => {
    await using server = await TestServer.start(REQUIRED);
    const assets = await assetsOf(server);
    assert.equal(assets.length, 3);
    for (const path of ['/', ...assets]) {
      assert.equal((await fetch(`${server.address}${path}`, { headers: HTML })).status, 200);
    }
  });
});

test('below a path of another server all that it names is beside it', async (t) => {
  const host = createHttp();
  await new Promise<void>((resolve) => {
    host.listen(0, '127.0.0.1', resolve);
  });
  const river = await createServer({ store: 'memory', logLevel: 'silent', drainSeconds: 0 });
  t.after(async () => {
    await river.close();
    host.close();
    host.closeAllConnections();
  });
  river.attach(host, { prefix: '/live' });
  const origin = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
  for (const path of ['/live', '/live/', '/live?x=1']) {
    const answer = await fetch(`${origin}${path}`, { headers: HTML });
    assert.equal(answer.url, `${origin}/live/${path.slice(5).replace('/', '')}`);
    const assets = [...(await answer.text()).matchAll(/(?:src|href)="([^"]+)"/g)];
    assert.equal(assets.length, 3);
    for (const [, asset = ''] of assets) {
      const { href } = new URL(asset, answer.url);
      assert.ok(href.startsWith(`${origin}/live/`), href);
      assert.equal((await fetch(href)).status, 200);
    }
  }
  assert.match(await (await fetch(`${origin}/live`)).text(), /^Rivercast/);
});

describe('its files', () => {
  test('are small, kept for good, and not sent again to who has them', async () => {
    await using server = await TestServer.start();
    let bytes = 0;
    for (const path of ['/', ...(await assetsOf(server))]) {
      const url = `${server.address}${path}`;
      const zipped = await fetch(url, { headers: { ...HTML, 'Accept-Encoding': 'gzip' } });
      assert.equal(zipped.headers.get('content-encoding'), 'gzip');
      bytes += Number(zipped.headers.get('content-length'));
      const plain = await fetch(url, { headers: { ...HTML, 'Accept-Encoding': 'identity, gzip;q=0' } });
      assert.equal(plain.headers.get('content-encoding'), null);
      assert.equal(await plain.text(), await zipped.text());
      assert.notEqual(plain.headers.get('etag'), zipped.headers.get('etag'));
      if (path !== '/') {
        assert.equal(zipped.headers.get('cache-control'), 'public, max-age=31536000, immutable');
      }
      for (const answer of [zipped, plain]) {
        const tag = answer.headers.get('etag') ?? '';
        const encoding = answer === zipped ? 'gzip' : 'identity';
        const headers = { ...HTML, 'Accept-Encoding': encoding, 'If-None-Match': `"x", W/${tag}` };
        assert.equal((await fetch(url, { headers })).status, 304);
      }
    }
    assert.ok(bytes > 10_000 && bytes < MAX_BYTES, `${bytes} bytes gzipped`);
  });

  test('are those, and no others of the disk', async () => {
    await using server = await TestServer.start();
    for (const name of ['nothing.js', '..%2findex.html', '%2e%2e%2f%2e%2e%2fpackage.json', 'index.html']) {
      assert.equal((await fetch(`${server.address}/console/${name}`)).status, 404, name);
    }
  });
});
