/**
 * `npm run console:shots -- [folder] [docs]`: every view of the console, light and dark, at the width of a desktop and of a phone, while
 * 5,000 messages a second come. Says how many frames a second there were, and what axe found. With `docs` only the two
 * pictures of docs/console.md.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TestBrowser } from '../support/browser.ts';
import { ConsolePage, PHONE, type Scheme } from '../support/console-page.ts';
import { TestServer } from '../support/running-server.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';

const CHANNEL = 'prices';
const PER_SECOND = 5000;
const EVERY_MS = 10;
const FRAMES_S = 5;
/** For the documentation: small. */
const DOCS = { width: 1100, height: 540 } as const;
const SIZES = { desktop: { width: 1280, height: 800 }, phone: PHONE } as const;
const OTHERS = ['chat:lobby', 'game:4711', 'local-q', 'news', 'orders.eu', 'sensors:hall-2'];
const NAMES = ['ACME', 'BOLT', 'CRUX', 'DYNE', 'EMBR', 'FLUX', 'GLYF', 'HALO'];

const folder = process.argv[2] ?? 'build/console-shots';
mkdirSync(folder, { recursive: true });
await using server = await TestServer.start({ RETENTION_MAX_ENTRIES: '200000' });
await using publisher = await V1PublisherClient.open(server);
for (const [at, channel] of OTHERS.entries()) {
  for (let i = 0; i < 3 ** at; i += 1)
    publisher.publish({ n: i, text: `message ${i} of ${channel}` }, { channel });
}
const follower = await server.subscriber(`?channel=${CHANNEL}`);
const began = performance.now();
let sent = 0;
const load = setInterval(() => publish(((performance.now() - began) / 1000) * PER_SECOND - sent), EVERY_MS);

await using browser = await TestBrowser.start();
const isForDocs = process.argv[3] === 'docs';
for (const scheme of isForDocs ? [] : (['light', 'dark'] as const)) {
  for (const size of ['desktop', 'phone'] as const) await tour(scheme, size);
}
for (const scheme of ['light', 'dark'] as const) await illustrate(scheme);
clearInterval(load);
await follower.close();
console.log(`pictures are in ${folder}`);

async function tour(scheme: Scheme, size: keyof typeof SIZES): Promise<void> {
  const shown = await ConsolePage.open(browser, `${server.address}/#/messages/${CHANNEL}`, {
    scheme,
    ...SIZES[size],
  });
  const { page } = shown;
  const shoot = async (name: string): Promise<void> => {
    await page.screenshot({ path: join(folder, `${name}-${size}-${scheme}.png`) });
    const found = await shown.violations();
    console.log(`${name} ${size} ${scheme}: axe ${found.length}${found.map((one) => `\n  ${one}`).join('')}`);
  };
  await page.waitForSelector('.row');
  await page.waitForTimeout(1500);
  console.log(`${size} ${scheme}: ${(await shown.framesPerSecond(FRAMES_S)).toFixed(1)} frames a second`);
  await shoot('messages');
  await page.getByRole('button', { name: 'Cut the connection' }).click();
  await page.waitForTimeout(2000);
  await page.getByRole('button', { name: 'Mend the connection' }).click();
  await page.getByText('Caught up').waitFor();
  await shoot('resumed');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.locator('.row').nth(10).click();
  await page.waitForTimeout(300);
  await shoot('message');
  for (const view of ['server', 'channels', 'subscribers'] as const) {
    await page.goto(`${server.address}/#/${view}`);
    await page.waitForTimeout(view === 'server' ? 12_000 : 1500);
    await shoot(view);
  }
  for (const complaint of shown.complaints) console.log(`  the browser says: ${complaint}`);
  await page.close();
}

async function illustrate(scheme: Scheme): Promise<void> {
  const view = scheme === 'light' ? `messages/${CHANNEL}` : 'server';
  const { page } = await ConsolePage.open(browser, `${server.address}/#/${view}`, { scheme, ...DOCS });
  await page.waitForTimeout(20_000);
  if (scheme === 'light') await page.locator('.row').nth(10).click();
  await page.screenshot({ path: join(folder, `console-${scheme}.png`) });
  await page.close();
}

/** By the time that has passed: timers are late. */
function publish(count: number): void {
  for (let i = 0; i < count; i += 1) {
    sent += 1;
    const symbol = NAMES[sent % NAMES.length];
    const price = Math.round(10_000 + 900 * Math.sin(sent / 700)) / 100;
    publisher.publish(
      { symbol, price, size: (sent * 37) % 900, side: sent % 3 === 0 ? 'sell' : 'buy' },
      { channel: CHANNEL, ref: sent },
    );
  }
}
