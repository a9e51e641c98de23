/** `EventSource` in a real browser, which nobody can teach anything: it must work with what it does by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { TestBrowser } from '../support/browser.ts';
import { ServerProcess } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { until } from '../support/within.ts';

const browser = TestBrowser.shared();

/** Opens an EventSource that keeps what it gets in `window.seen`. A text: it is the browser's code, not ours. */
async function listen(page: Page, query: string): Promise<void> {
  await page.evaluate(`
    window.seen = [];
    window.opened = 0;
    const source = new EventSource('/sse${query}');
    const keep = ({ type, data }) => seen.push(type === 'message' ? data : type + ' ' + data);
    for (const type of ['message', 'binary', 'gap']) source.addEventListener(type, keep);
    source.addEventListener('open', () => { opened += 1; });
  `);
}

function seen(page: Page): Promise<string[]> {
  return page.evaluate('seen');
}

function opened(page: Page): Promise<number> {
  return page.evaluate('opened');
}

async function publish(server: ServerProcess, messages: readonly (string | Buffer)[]): Promise<void> {
  await using publisher = await WebSocketClient.connect(server.url('/ws/manager'));
  for (const message of messages) await publisher.flushed(message);
  await publisher.close();
}

async function untilSeen(page: Page, count: number): Promise<void> {
  // No `waitForFunction`: a page of the server runs no text as code.
  await until(`${count} are seen`, async () => (await seen(page)).length >= count);
}

test('a browser resumes by itself after a restart and a kill, and misses and repeats nothing', async (t) => {
  const server = await ServerProcess.start(t, { DATA_DIR: await tempDir(t) });
  const page = await browser.page(`${server.address}/healthz`);
  await listen(page, '?after=earliest');
  const sent: string[] = [];
  for (const signal of ['SIGTERM', 'SIGKILL', null] as const) {
    const round = Array.from({ length: 200 }, (_, n) => `${sent.length + n}\nline é🙂`);
    await publish(server, round);
    sent.push(...round);
    await untilSeen(page, sent.length);
    if (signal === null) break;
    await server.end(signal);
    await server.restart();
    // While the browser waits to come back, more is stored.
    await publish(server, ['meanwhile']);
    sent.push('meanwhile');
  }
  assert.deepEqual(await seen(page), sent);
  assert.equal(await opened(page), 3);
});

test('a browser shows line breaks, empty and binary messages as what they are', async (t) => {
  const server = await ServerProcess.start(t, { STORE: 'memory' });
  const page = await browser.page(`${server.address}/healthz`);
  await listen(page, '?after=earliest');
  await publish(server, ['a\nb', 'a\r\nb', 'a\rb', '', ' ', 'data: x', '\ufeffé', Buffer.from([0, 255])]);
  await untilSeen(page, 8);
  assert.deepEqual(await seen(page), ['a\nb', 'a\nb', 'a\nb', '', ' ', 'data: x', '\ufeffé', 'binary AP8=']);
});
