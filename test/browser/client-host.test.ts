/** What a page is told by its browser: that the network is gone or back, that it is looked at again, that it goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { TestBrowser } from '../support/browser.ts';
import { BrowserPage } from '../support/browser-page.ts';
import { TestServer } from '../support/running-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/within.ts';

const browser = TestBrowser.shared();

const PAGE = `
  import { connect, stored } from './src/client/index.ts';
  Object.assign(globalThis, { seen: [], states: [], store: stored });
  globalThis.listen = (url, after) => {
    const onState = (state) => states.push(state);
    connect(url).subscribe('c', { after, onState, onMessage: ({ data }) => seen.push(data) });
  };
`;

/** A page that follows a channel; from then on no timer of it is ever due, unless the test lets time pass. */
async function following(site: BrowserPage, proxy: TcpProxy): Promise<Page> {
  const page = await browser.blank();
  await page.clock.install();
  await page.goto(site.address);
  await page.evaluate(`listen('http://127.0.0.1:${proxy.port}')`);
  await becomes(page, 'live');
  await page.clock.pauseAt(Date.now() + 60_000);
  return page;
}

async function lose(page: Page, proxy: TcpProxy): Promise<void> {
  proxy.cut();
  await becomes(page, 'connecting');
}

function becomes(page: Page, state: string): Promise<void> {
  return until(`it is ${state}`, async () => (await page.evaluate('states.at(-1)')) === state);
}

test('a page that is looked at again, and a network that is back, are worth a try at once', async () => {
  await using server = await TestServer.start();
  await using proxy = await TcpProxy.start(Number(new URL(server.address).port));
  await using site = await BrowserPage.serve(PAGE);
  const page = await following(site, proxy);
  const isBack = (count: number): Promise<void> =>
    until('it is back', () => proxy.accepted === count && server.stats.subscriptions === 1);
  assert.equal(proxy.accepted, 1);

  await lose(page, proxy);
  const look = (state: string): Promise<unknown> =>
    page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true });
      document.dispatchEvent(new Event('visibilitychange'))`);
  await look('hidden');
  assert.equal(proxy.accepted, 1);
  await look('visible');
  await isBack(2);

  await lose(page, proxy);
  await page.context().setOffline(true);
  assert.equal(proxy.accepted, 2);
  await page.context().setOffline(false);
  await isBack(3);
});

test('a machine that does not say that its network is back is tried now and then', async () => {
  await using server = await TestServer.start();
  await using proxy = await TcpProxy.start(Number(new URL(server.address).port));
  await using site = await BrowserPage.serve(PAGE);
  const page = await following(site, proxy);
  await lose(page, proxy);
  await page.evaluate(`dispatchEvent(new Event('offline'))`);
  await page.clock.fastForward(14_000);
  assert.equal(proxy.accepted, 1);
  await page.clock.fastForward(16_000);
  await until('it is back', () => proxy.accepted === 2 && server.stats.subscriptions === 1);
});

test('a page that goes has kept the cursor of its last message', async () => {
  await using server = await TestServer.start();
  await using site = await BrowserPage.serve(PAGE);
  const page = await browser.blank();
  await page.clock.install();
  await page.goto(site.address);
  await page.evaluate(`listen('${server.address}', store('place'))`);
  const place = (): Promise<string | null> => page.evaluate(`localStorage.getItem('place')`);
  await until('its place is kept', async () => (await place()) !== null);
  const first = await place();
  await page.clock.pauseAt(Date.now() + 60_000);
  const published = await fetch(`${server.address}/api/channels/c/messages`, { method: 'POST', body: 'x' });
  const { id } = (await published.json()) as { readonly id: string };
  await until('it came', async () => (await page.evaluate('seen.length')) === 1);
  assert.equal(await place(), first);
  await page.reload();
  assert.match((await place()) ?? '', new RegExp(`^${id}@`));
});

test('a line on which bytes are seen to leave is not taken for a dead one', async () => {
  await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '32mib', MAX_FRAGMENTS: '1000' });
  await using proxy = await TcpProxy.start(Number(new URL(server.address).port));
  await using site = await BrowserPage.serve(`
    import { Link } from './src/client/link.ts';
    Object.assign(globalThis, { answers: [], states: [] });
    globalThis.say = (url, size) => {
      const link = new Link({
        url,
        opened: () => link.send({ type: 'publish', channel: 'c', data: 'x'.repeat(size), ref: 1 }),
        frame: (frame) => answers.push(frame.type),
        changed: (state) => states.push(state),
        isAwaiting: () => answers.length === 0,
        patienceMs: () => 2000,
      });
      link.need();
    };
  `);
  const page = await browser.page(site.address);
  // The whole of it takes three seconds, what the machine holds of it one.
  proxy.throttle(6_500_000);
  await page.evaluate(`say('ws://127.0.0.1:${proxy.port}/ws/manager', 20_000_000)`);
  await until('it is answered', async () => (await page.evaluate('answers.length')) === 1);
  assert.deepEqual(await page.evaluate('[answers, states]'), [['ack'], ['connecting', 'open']]);
  assert.equal(proxy.accepted, 1);
});
