/** The console of a process that is one half of a server, and of all of them behind a proxy, below a path. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestBrowser } from '../support/browser.ts';
import { ConsolePage } from '../support/console-page.ts';
import { RedisServer } from '../support/redis-server.ts';
import { PROXIES } from '../support/reverse-proxy.ts';
import { TestServer } from '../support/running-server.ts';
import { tlsFiles } from '../support/tls-server.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';

const ELSEWHERE = { manager: 'Nothing is delivered here', broadcaster: 'Nothing is published here' };

describe('one half of a server', () => {
  const browser = TestBrowser.shared();
  let redis: RedisServer;
  before(async () => {
    redis = await RedisServer.start();
  });
  after(() => redis[Symbol.asyncDispose]());
  const start = (ROLE: string, more: object = {}): Promise<TestServer> =>
    TestServer.start({ STORE: 'redis', REDIS_URL: redis.url, ROLE, ...more });

  test('a manager takes in, and says that following is elsewhere', async () => {
    await using server = await start('manager');
    await using broadcaster = await start('broadcaster');
    await using follower = await broadcaster.subscriber('?channel=halves');
    const shown = await ConsolePage.open(browser, `${server.address}/#/messages/halves`);
    const { page } = shown;
    await page.getByText(ELSEWHERE.manager).waitFor();
    assert.deepEqual(await page.getByRole('navigation').getByRole('link').allTextContents(), [
      ...['Publish', 'Channels', 'Server'],
    ]);
    assert.equal(await page.title(), 'Publish · Rivercast');
    assert.equal(await page.getByText('Connecting').count(), 0);
    assert.equal(await page.getByLabel('To channel').inputValue(), 'halves');
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
    await page.getByText('Stored as').waitFor();
    assert.equal(await follower.text(), '{"hello":"river"}');
    assert.deepEqual(await shown.violations(), []);
    await page.getByRole('link', { name: 'Channels' }).click();
    await page.getByRole('link', { name: 'halves' }).waitFor();
    assert.equal(await page.getByRole('columnheader', { name: 'Subscribers' }).count(), 0);
    await page.getByRole('link', { name: 'Server' }).click();
    await page.getByText('manager', { exact: true }).waitFor();
    assert.deepEqual(await page.locator('.chart h2').allTextContents(), [
      ...['Messages a second', 'Connections', 'Storing time', 'Event loop delay'],
    ]);
    assert.deepEqual(await page.locator('.tile dt').allTextContents(), ['In', 'Publishers']);
    assert.deepEqual(await shown.violations(), []);
    // Nobody asks for what is not there, but once whether a proxy has it.
    const sockets = shown.requests
      .map((url) => new URL(url))
      .filter(({ pathname }) => pathname.startsWith('/ws/'));
    assert.deepEqual(
      sockets.map(({ protocol, pathname }) => protocol + pathname),
      ['http:/ws/broadcast', 'ws:/ws/manager'],
    );
    assert.equal(shown.requests.filter((url) => url.endsWith('/sse')).length, 0);
    await page.close();
  });

  test('a broadcaster delivers, and says that publishing is elsewhere', async () => {
    await using server = await start('broadcaster');
    await using manager = await start('manager');
    await using publisher = await V1PublisherClient.open(manager);
    await publisher.published('from elsewhere', { channel: 'local-q' });
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    await page.getByText(ELSEWHERE.broadcaster).waitFor();
    await shown.has('from elsewhere');
    assert.equal(await page.getByLabel('To channel').count(), 0);
    assert.deepEqual(await shown.violations(), []);
    assert.equal(await page.getByRole('navigation').getByRole('link').count(), 4);
    await page.getByRole('link', { name: 'Server' }).click();
    await page.getByText('broadcaster', { exact: true }).waitFor();
    assert.deepEqual(await page.locator('.chart h2').allTextContents(), [
      ...['Messages a second', 'Connections', 'Delivery time', 'Furthest behind', 'Event loop delay'],
    ]);
    assert.deepEqual(await page.locator('.tile dt').allTextContents(), [
      ...['Out', 'Subscribers', 'Furthest behind', 'Delivered within'],
    ]);
    await page.close();
  });

  for (const name of ['nginx', 'haproxy'] as const) {
    test(`all of them behind ${name}, below a path, are one server`, async (t) => {
      const open = { ALLOW_ANONYMOUS: 'true', TRUST_PROXY: '127.0.0.1' };
      await using manager = await start('manager', open);
      await using one = await start('broadcaster', open);
      await using other = await start('broadcaster', open);
      const behind = { manager: manager.address, broadcasters: [one.address, other.address] } as const;
      const proxy = await PROXIES[name](t, await tlsFiles(t), { ...behind, path: '/river' });
      const shown = await ConsolePage.open(browser, `${proxy.address}/river/#/messages/${name}`);
      const { page } = shown;
      await page.getByRole('button', { name: 'Publish', exact: true }).click();
      await page.getByText('Stored as').waitFor();
      await shown.has('{"hello":"river"}');
      for (const text of Object.values(ELSEWHERE)) assert.equal(await page.getByText(text).count(), 0);
      await page.getByRole('link', { name: 'Channels' }).click();
      await page.getByRole('link', { name }).waitFor();
      const outside = shown.requests.filter((url) => !new URL(url).pathname.startsWith('/river/'));
      assert.deepEqual(outside, []);
      await page.close();
    });
  }
});
