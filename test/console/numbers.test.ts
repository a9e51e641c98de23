/** The numbers of the console, in a real browser: they are those that `GET /api/stats` has, and are drawn. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { TestBrowser } from '../support/browser.ts';
import { ConsolePage } from '../support/console-page.ts';
import { GatedLog } from '../support/gated-log.ts';
import { TestServer } from '../support/running-server.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { until } from '../support/within.ts';

const PER_SECOND = 200;
/** Of a reading, since timers and answers may be late. */
const TOLERANCE = 0.2;

interface Stats {
  readonly connections: {
    readonly sockets: number;
    readonly kinds: readonly { role: string; count: number }[];
  };
  readonly broadcaster: { readonly channels: number };
  readonly lag: { readonly worstEntries: number };
}

/** What stands beside a label, as a number; NaN: nothing yet. */
async function numberAt(page: Page, place: string): Promise<number> {
  return Number((await page.locator(place).first().textContent())?.replaceAll(',', ''));
}

const tile = (label: string): string => `.tile:has(dt:text-is("${label}")) b`;
const legend = (title: string, label: string): string =>
  `.chart:has(h2:text-is("${title}")) li:has-text("${label}") b`;

describe('the view of the server', () => {
  const browser = TestBrowser.shared();

  test('has the counts of /api/stats, and goes on with them', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    for (const channel of ['one', 'two', 'three']) await publisher.published('x', { channel });
    await server.subscriber('?channel=one');
    await server.subscriber('?channel=two');
    const shown = await ConsolePage.open(browser, `${server.address}/#/server`);
    const { page } = shown;
    const agrees = async (): Promise<boolean> => {
      const stats = (await (await fetch(`${server.address}/api/stats`)).json()) as Stats;
      const countOf = (role: string): number =>
        stats.connections.kinds
          .filter((kind) => kind.role === role)
          .reduce((sum, { count }) => sum + count, 0);
      const expected = [countOf('subscriber'), countOf('publisher'), stats.lag.worstEntries];
      const places = [tile('Subscribers'), tile('Publishers'), tile('Furthest behind')];
      const seen = await Promise.all(places.map((place) => numberAt(page, place)));
      const drawn = await Promise.all([
        numberAt(page, legend('Connections', 'subscribers')),
        numberAt(page, legend('Connections', 'publishers')),
      ]);
      const channels = await page.getByText(`of ${stats.broadcaster.channels} channels`).count();
      return (
        expected.join() === seen.join() && expected.slice(0, 2).join() === drawn.join() && channels === 1
      );
    };
    // The page follows the default channel.
    await until('the page has what /api/stats has', agrees);
    assert.deepEqual(
      await Promise.all([numberAt(page, tile('Subscribers')), numberAt(page, tile('Publishers'))]),
      [3, 1],
    );
    await server.subscriber('?channel=three');
    await server.publisher();
    await until('the page has what changed', async () => (await numberAt(page, tile('Subscribers'))) === 4);
    await until('the page has what /api/stats has', agrees);
    assert.equal(await numberAt(page, tile('Publishers')), 2);
    assert.deepEqual(shown.complaints, []);
  });

  test('has what goes in and out each second, how long it takes, and draws it', async (t) => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    await server.subscriber('?channel=load');
    await server.subscriber('?channel=load');
    const shown = await ConsolePage.open(browser, `${server.address}/#/server`);
    const { page } = shown;
    const stop = publisher.publishSteadily(t, 'load', PER_SECOND);
    const isAbout = async (place: string, value: number): Promise<boolean> =>
      Math.abs((await numberAt(page, place)) - value) < value * TOLERANCE;
    await until('what goes in is told', () => isAbout(tile('In'), PER_SECOND));
    await until('what goes out is told', () => isAbout(tile('Out'), 2 * PER_SECOND));
    await until('the chart says so', () => isAbout(legend('Messages a second', 'in'), PER_SECOND));
    await until('the chart says so', () => isAbout(legend('Messages a second', 'out'), 2 * PER_SECOND));
    const plot = page.getByRole('img', {
      name: /^Messages a second, the last minutes; now: in \d+, out \d+$/,
    });
    await plot.waitFor();
    for (const [title, label] of [
      ['Delivery time', 'median'],
      ['Delivery time', 'p99'],
      ['Storing time', 'p99'],
      ['Event loop delay', 'longest'],
    ] as const) {
      assert.match((await page.locator(legend(title, label)).textContent()) ?? '', /^<?[\d.,]+ m?s$/, title);
    }
    assert.deepEqual(shown.complaints, []);
    // Of reading what was drawn the browser complains.
    for (const line of ['--line-1', '--line-2']) {
      await until(`${line} is drawn`, () => page.evaluate<boolean>(hasColour(line)));
    }
    stop();
    await until('what comes no more is told', async () => (await numberAt(page, tile('In'))) === 0);
  });

  test('says what was wrong with the log, and since when it is well again', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    const { page } = await ConsolePage.open(browser, `${server.address}/#/server`);
    await page.getByText('answers', { exact: true }).waitFor();
    assert.equal(await page.getByText('rouble').count(), 0);
    log.failNext('probe', new Error('the disk is full'));
    await page.getByText(/^answers, since \d\d:\d\d:\d\d$/).waitFor();
    await page.locator('div:has(> dt:text-is("Last trouble"))', { hasText: 'the disk is full' }).waitFor();
  });
});

/** Whether the first chart has points of the colour that a custom property names. */
function hasColour(property: string): string {
  return `(() => {
    const probe = document.createElement('i');
    document.body.append(probe);
    probe.style.color = 'var(${property})';
    const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
    const canvas = document.querySelector('.plot canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] > 200 && wanted.every((part, i) => Math.abs(data[at + i] - part) < 24)) return true;
    }
    return false;
  })()`;
}
