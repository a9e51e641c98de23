/** The console, by a person in a real browser: what they see, what it asks for, and what it must never do. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TestBrowser } from '../support/browser.ts';
import { ConsolePage, PHONE } from '../support/console-page.ts';
import { type AsyncApi, documentOf, type OpenApi } from '../support/contract.ts';
import { TestServer } from '../support/running-server.ts';
import { REQUIRED, token } from '../support/tokens.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';

/** As markup it would run, or ask for something; as a text it is seen. */
const HOSTILE = `<img src=x onerror="document.title='pwned'"><script>document.title='pwned'</script>`;
const MANY = 1000;
/** And what is seen there once they know. */
const VIEWS = [
  ['channels', 'local-q'],
  ['subscribers', '127.0.0.1'],
  ['server', 'answers'],
] as const;

/** What is squeezed to nothing, or sticks out of what it stands in, and so can not be seen whole. */
const CUT = `[...document.querySelectorAll('main :is(button, input, select, textarea, .numbers)')]
  .filter((one) => one.checkVisibility())
  .filter((one) => {
    const { width, right } = one.getBoundingClientRect();
    const isSqueezed = width < (one.matches('input, textarea') ? 80 : 8);
    return isSqueezed || right > one.closest('.card, .bar').getBoundingClientRect().right;
  })
  .map((one) => one.outerHTML)`;

/** Of what was asked for, what neither the page has nor the documents of the server name. */
async function undocumented(server: TestServer, requests: readonly string[]): Promise<string[]> {
  const { paths } = await documentOf<OpenApi>(server.address, 'openapi');
  const { channels } = await documentOf<AsyncApi>(server.address, 'asyncapi');
  const known = [...Object.keys(paths), ...Object.values(channels).map(({ address }) => address)]
    .map((path) => path.replace(/\{[^}]*\}/g, '[^/]+'))
    .concat('/', '/console/[\\w.-]+');
  const pattern = new RegExp(`^(?:${known.join('|')})$`);
  const { host } = new URL(server.address);
  return requests.filter((url) => new URL(url).host !== host || !pattern.test(new URL(url).pathname));
}

describe('a page that somebody opens', () => {
  const browser = TestBrowser.shared();

  test('publishes and shows what came, asks for nothing else, and has no faults in either theme', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    await publisher.published(HOSTILE, { channel: 'local-q' });
    for (const scheme of ['light', 'dark'] as const) {
      const shown = await ConsolePage.open(browser, server.address, { scheme });
      const { page } = shown;
      await page.getByText(HOSTILE).waitFor();
      await page.getByLabel('Content', { exact: true }).fill(`{"theme": "${scheme}", "of": [1, null]}`);
      await page.getByRole('button', { name: 'Publish', exact: true }).click();
      await page.getByText('Stored as').waitFor();
      await page
        .getByRole('option')
        .filter({ hasText: `{"theme":"${scheme}"` })
        .click();
      await page.getByText(`"theme": "${scheme}"`).first().waitFor();
      assert.deepEqual(await shown.violations(), [], `messages, ${scheme}`);
      for (const [view, text] of VIEWS) {
        await page.goto(`${server.address}/#/${view}`);
        await page
          .getByRole('link', { name: view, exact: false })
          .and(page.locator('[aria-current]'))
          .waitFor();
        await page.getByText(text).last().waitFor();
        assert.deepEqual(await shown.violations(), [], `${view}, ${scheme}`);
      }
      assert.equal(await page.evaluate('document.documentElement.dataset.theme'), scheme);
      assert.equal(await page.title(), 'Server · Rivercast');
      assert.deepEqual(shown.complaints, []);
      assert.deepEqual(await undocumented(server, shown.requests), []);
      await page.close();
    }
  });

  test('has no faults at the width of a phone, and is no wider', async () => {
    for (const scheme of ['light', 'dark'] as const) {
      await using server = await TestServer.start();
      await using publisher = await V1PublisherClient.open(server);
      await publisher.published({ text: 'long '.repeat(100) }, { channel: `channel-${'x'.repeat(100)}` });
      await publisher.published({ text: 'long '.repeat(100), word: 'x'.repeat(1000) });
      const shown = await ConsolePage.open(browser, server.address, { scheme, ...PHONE });
      const { page } = shown;
      const isFit = async (what: string): Promise<void> => {
        assert.deepEqual(await shown.violations(), [], `${what}, ${scheme}`);
        assert.equal(await page.evaluate('document.documentElement.scrollWidth'), PHONE.width, what);
        assert.equal(await page.evaluate(`document.querySelector('main').scrollWidth`), PHONE.width, what);
        assert.deepEqual(await page.evaluate(CUT), [], what);
      };
      await page.getByRole('button', { name: 'Publish', exact: true }).click();
      await page.getByText('Stored as').waitFor();
      await isFit('messages');
      await page.locator('.row').first().click();
      await page.getByLabel('Content of the message').waitFor();
      await isFit('a message');
      for (let i = 0; i < MANY; i += 1) publisher.publish(i, { channel: 'local-q' });
      await publisher.take(MANY);
      await page.getByRole('button', { name: 'Resume, 1,000 new' }).waitFor();
      await isFit('held');
      for (const [view, text] of VIEWS) {
        await page.getByRole('navigation').getByRole('link', { name: view, exact: false }).click();
        await page.getByText(text).last().waitFor();
        await isFit(view);
      }
      await page.close();
    }
  });

  test('shows a resume and a gap: nothing is missed by a cut, and what is gone is told', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    const first = await publisher.published('before', { channel: 'cut' });
    const { page, complaints } = await ConsolePage.open(browser, `${server.address}/#/messages/cut`, {
      scheme: 'light',
    });
    await page.getByRole('option').filter({ hasText: 'before' }).waitFor();
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await page.getByText('Cut after').waitFor();
    for (let i = 0; i < 20; i += 1) await publisher.published(`meanwhile ${i}`, { channel: 'cut' });
    assert.equal(await page.getByText('meanwhile 19').count(), 0);
    await page.getByRole('button', { name: 'Mend the connection' }).click();
    await page.getByText('Caught up: 20 messages that were stored meanwhile, none missing').waitFor();
    await page.getByLabel('Where to start').selectOption('cursor');
    await page.getByLabel('The cursor').fill(`${first}@another.7`);
    await page.getByRole('button', { name: 'Follow', exact: true }).click();
    await page.getByRole('option').filter({ hasText: 'can not be had any more (reset)' }).waitFor();
    await page.getByRole('option').filter({ hasText: 'meanwhile 19' }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test('is asked for a token where one is needed, and shows what that may see', async () => {
    await using server = await TestServer.start(REQUIRED);
    const admin = await token({ sub: 'ann', publish: ['*'], subscribe: ['*'], admin: ['*'] });
    const reader = await token({ sub: 'bob', subscribe: ['local-q'] });
    for (const [shown, tabs] of [
      [admin, 4],
      [reader, 2],
    ] as const) {
      const { page } = await ConsolePage.open(browser, server.address);
      await page.getByLabel('Token').fill('no token');
      await page.getByRole('button', { name: 'Enter' }).click();
      await page.getByRole('alert').waitFor();
      await page.getByLabel('Token').fill(shown);
      await page.getByRole('button', { name: 'Enter' }).click();
      await page.getByText('Live').first().waitFor();
      assert.equal(await page.getByRole('navigation').getByRole('link').count(), tabs);
      assert.equal(await page.evaluate('localStorage.length'), 0);
      await page.close();
    }
  });

  test('has no faults at the door, before and after a wrong token, in either theme, large and small', async () => {
    await using server = await TestServer.start(REQUIRED);
    for (const scheme of ['light', 'dark'] as const) {
      for (const size of [{}, PHONE]) {
        const shown = await ConsolePage.open(browser, server.address, { scheme, ...size });
        const { page } = shown;
        await page.locator('#token:focus').waitFor();
        assert.deepEqual(await shown.violations(), [], scheme);
        await page.keyboard.type('no token');
        await page.keyboard.press('Enter');
        await page.getByRole('alert').waitFor();
        assert.deepEqual(await shown.violations(), [], `${scheme}, refused`);
        await page.close();
      }
    }
  });
});
