/** The client in a real browser where WebSockets are blocked: tokens, gaps and refusals by server-sent events. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { TestBrowser } from '../support/browser.ts';
import { BrowserPage } from '../support/browser-page.ts';
import { GatedLog } from '../support/gated-log.ts';
import { fill } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { REQUIRED, seconds, token } from '../support/tokens.ts';
import { until } from '../support/within.ts';

const browser = TestBrowser.shared();

const PAGE = `
  import { connect } from './src/client/index.ts';
  class WebSocket {
    constructor() { setTimeout(() => this.onclose?.({ code: 1006, reason: '' }), 5); }
    close() {}
    send() {}
  }
  Object.assign(globalThis, { seen: [], gaps: [], ended: [] });
  globalThis.listen = (url, channels, after) => {
    const token = globalThis.freshToken;
    const river = connect(url, { WebSocket, ...(token === undefined ? {} : { token }) });
    for (const channel of channels) {
      river.subscribe(channel, {
        after,
        onMessage: ({ data }) => seen.push(data),
        onGap: ({ reason, lost }) => gaps.push([reason, lost]),
        onState: (state, error) => { if (state === 'ended') ended.push([channel, error?.code, error?.message]); },
      });
    }
  };
`;

interface Scene extends AsyncDisposable {
  readonly log: GatedLog;
  readonly server: TestServer;
  readonly page: Page;
}

async function scene(settings: Record<string, string>, freshToken?: () => Promise<string>): Promise<Scene> {
  const log = new GatedLog();
  const server = await TestServer.start(settings, log);
  const site = await BrowserPage.serve(PAGE);
  const page = await browser.blank();
  if (freshToken !== undefined) await page.exposeFunction('freshToken', freshToken);
  await page.clock.install();
  await page.goto(site.address);
  const end = async (): Promise<void> => {
    await page.close();
    for (const part of [site, server]) await part[Symbol.asyncDispose]();
  };
  return { log, server, page, [Symbol.asyncDispose]: end };
}

/** Lets the time of the page pass until this holds: what it waits for takes it seconds. */
async function soon(page: Page, what: string, expression: string): Promise<void> {
  await until(what, async () => {
    await page.clock.fastForward(500);
    return page.evaluate<boolean>(expression);
  });
}

test('a token that is over is asked for anew, and nothing is missed meanwhile', async () => {
  let lifeS = -4;
  // Servers take tokens that are over by up to five seconds: one of these is good for another second.
  const freshToken = (): Promise<string> => token({ subscribe: ['*'], exp: seconds(lifeS) });
  await using stage = await scene(REQUIRED, freshToken);
  const { page, server, log } = stage;
  await fill(log, 2, String, 'c');
  await page.evaluate(`listen('${server.address}', ['c'], 'earliest')`);
  await soon(page, 'both came', 'seen.length === 2');
  await until('it is sent away', () => server.stats.subscriptions === 0);
  lifeS = 600;
  await fill(log, 2, (n) => String(n + 2), 'c');
  await soon(page, 'all came', 'seen.length === 4');
  assert.deepEqual(await page.evaluate('[seen, gaps, ended]'), [['0', '1', '2', '3'], [], []]);
});

test('a gap is told as it is, once', async () => {
  await using stage = await scene({});
  const { page, server, log } = stage;
  const [first] = await log.append('c', [{ type: 'text', data: Buffer.from('first') }]);
  await fill(log, 30, String, 'c');
  await log.trim('c', { maxEntries: 10 });
  await page.evaluate(`listen('${server.address}', ['c'], '${first?.id ?? ''}')`);
  await soon(page, 'all came', 'seen.length === 10');
  const [seen, gaps] = await page.evaluate<[string[], [string, number | null][]]>('[seen, gaps]');
  assert.deepEqual(
    seen,
    Array.from({ length: 10 }, (_, n) => String(n + 20)),
  );
  assert.deepEqual(
    gaps.map(([reason]) => reason),
    ['trimmed'],
  );
});

test('what a token does not allow ends with the reason, and the rest goes on', async () => {
  await using stage = await scene(REQUIRED, () => token({ subscribe: ['c'] }));
  const { page, server, log } = stage;
  await page.evaluate(`listen('${server.address}', ['c', 'd', 'no channel'], 'earliest')`);
  await soon(page, 'they are refused', 'ended.length === 2');
  const ended = await page.evaluate<string[][]>('ended.sort()');
  assert.deepEqual(
    ended.map(([channel, code]) => [channel, code]),
    [
      ['d', 'forbidden'],
      ['no channel', 'bad_channel'],
    ],
  );
  await fill(log, 1, String, 'c');
  await soon(page, 'it came', 'seen.length === 1');
});
