/** The numbers of the console behind a proxy that asks one process now and another then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestBrowser } from '../support/browser.ts';
import { ConsolePage } from '../support/console-page.ts';
import { RedisServer } from '../support/redis-server.ts';
import { RoundRobin } from '../support/round-robin.ts';
import { ServerProcess, TestServer } from '../support/running-server.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { until } from '../support/within.ts';

const PER_SECOND = 200;
/** Of a reading, since timers and answers may be late. */
const TOLERANCE = 0.25;
/** What one of them delivered before, so that its counts are far from those of the other. */
const BEFORE = 2000;

/** Notes all that the tiles ever say. */
const NOTE = `
  globalThis.said = { Out: [], 'Delivered within': [] };
  new MutationObserver(() => {
    for (const tile of document.querySelectorAll('.tile')) {
      said[tile.querySelector('dt').textContent]?.push(tile.querySelector('b').textContent);
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
`;

test('two broadcasters by turns: each has its own rates, and those of one are shown at a time', async (t) => {
  await using redis = await RedisServer.start();
  const shared = { STORE: 'redis', REDIS_URL: redis.url };
  await using manager = await TestServer.start({ ...shared, ROLE: 'manager' });
  await using one = await TestServer.start({ ...shared, ROLE: 'broadcaster' });
  const other = await ServerProcess.start(t, { ...shared, ROLE: 'broadcaster' });
  await using publisher = await V1PublisherClient.open(manager);
  const first = await one.subscriber('?channel=before');
  for (let n = 0; n < BEFORE; n++) publisher.publish(n, { channel: 'before', ref: n });
  await first.take(BEFORE);
  for (let n = 0; n < 3; n++) await one.subscriber('?channel=load');
  await using _ = await WebSocketClient.connect(other.url('/ws/broadcast?channel=load'));
  publisher.publishSteadily(t, 'load', PER_SECOND);

  await using proxy = await RoundRobin.start(one.address, other.address);
  await using browser = await TestBrowser.start();
  const { page } = await ConsolePage.open(browser, `${proxy.address}/#/server`);
  await page.evaluate(NOTE);
  const out = page.locator('.tile:has(dt:text-is("Out")) b');
  const isAbout = async (value: number): Promise<boolean> =>
    Math.abs(Number((await out.textContent())?.replaceAll(',', '')) - value) < value * TOLERANCE;
  const choice = page.getByLabel('2 processes answered');
  const tells = async ({ address }: { readonly address: string }, followers: number): Promise<void> => {
    await choice.selectOption(await idOf(address));
    await until(`the rate of ${followers} followers is told`, () => isAbout(followers * PER_SECOND));
  };
  await tells(one, 3);
  await tells(other, 1);
  const early = await page.evaluate<Said>('said');
  await page.evaluate(`for (const list of Object.values(said)) list.length = 0`);
  await tells(one, 3);
  const late = await page.evaluate<Said>('said');
  assert.deepEqual(
    [...early.Out, ...late.Out].filter((text) => !isRate(text)),
    [],
    'no rate is the difference of two processes',
  );
  assert.ok(!late['Delivered within'].includes('–'), 'what was measured is not thrown away');
});

type Said = Readonly<Record<'Out' | 'Delivered within', readonly string[]>>;

/** Nothing yet, or what may go out here, with what is late. */
function isRate(text: string): boolean {
  const value = Number(text.replaceAll(',', ''));
  return text === '–' || (value >= 0 && value <= 2 * 3 * PER_SECOND);
}

async function idOf(address: string): Promise<string> {
  const answer = await fetch(`${address}/api/stats`);
  return ((await answer.json()) as { process: { id: string } }).process.id;
}
