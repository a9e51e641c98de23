/** The console by its keys alone, in a real browser, as docs/console.md has them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { TestBrowser } from '../support/browser.ts';
import { ConsolePage } from '../support/console-page.ts';
import { TestServer } from '../support/running-server.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { until } from '../support/within.ts';

const MANY = 200;
const ROW_PX = 24;

/** Waits until this is what the keys go to. */
async function focused(page: Page, name: string): Promise<void> {
  let seen = '';
  const isThere = async (): Promise<boolean> => {
    seen = await page.evaluate<string>(
      `(({ ariaLabel, textContent, labels }) => ariaLabel ?? labels?.[0]?.textContent ?? textContent)(document.activeElement)`,
    );
    return seen.trim() === name;
  };
  await until(`the focus is on ${name}`, isThere).catch(() => assert.equal(seen, name));
}

describe('by keys alone', () => {
  const browser = TestBrowser.shared();

  test('the list of messages is gone through, held, and left', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    for (let i = 1; i <= MANY; i += 1) publisher.publish(`message ${i}`);
    await publisher.take(MANY);
    const shown = await ConsolePage.open(browser, `${server.address}/#/messages/local-q`);
    const { page } = shown;
    await page.getByLabel('Where to start').selectOption('earliest');
    await page.getByRole('button', { name: 'Follow', exact: true }).click();
    await page.getByText(`message ${MANY}`).waitFor();
    const list = page.getByRole('listbox', { name: 'Messages, the newest last' });
    const content = page.getByLabel('Content of the message');
    await list.focus();
    const fits = Math.ceil(
      (await page.evaluate<number>(`document.querySelector('.list').clientHeight`)) / ROW_PX,
    );
    for (const [key, at] of [
      ['ArrowUp', MANY],
      ['ArrowUp', MANY - 1],
      ['Home', 1],
      ['ArrowUp', 1],
      ['ArrowDown', 2],
      ['PageDown', 2 + fits],
      ['PageDown', 2 + 2 * fits],
      ['PageUp', 2 + fits],
      ['End', MANY],
      ['ArrowDown', MANY],
    ] as const) {
      await page.keyboard.press(key);
      await content.getByText(`message ${at}`, { exact: true }).waitFor();
      const active = page.locator('.row[aria-selected="true"]');
      assert.equal(await active.locator('.text').textContent(), `message ${at}`);
      assert.equal(await list.getAttribute('aria-activedescendant'), await active.getAttribute('id'), key);
      const [box, row] = [await list.boundingBox(), await active.boundingBox()];
      assert.ok(box !== null && row !== null);
      assert.ok(row.y >= box.y && row.y + row.height <= box.y + box.height + 1, `${key} shows the row`);
    }
    await publisher.published('one more');
    await page.getByRole('button', { name: 'Resume, 1 new' }).waitFor();
    await page.keyboard.press('Escape');
    await content.waitFor({ state: 'detached' });
    await focused(page, 'Messages, the newest last');
    await page.keyboard.press('Space');
    await page.getByText('one more').waitFor();
    await page.keyboard.press('Space');
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    await page.keyboard.press('/');
    await focused(page, 'Filter messages');
    await page.keyboard.type('1/');
    assert.equal(await page.getByLabel('Filter messages').inputValue(), '1/');
    assert.deepEqual(shown.complaints, []);
  });

  test('the views are changed, the bar is skipped, and what stands in the form is published', async () => {
    await using server = await TestServer.start();
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    await page.getByText('Live').first().waitFor();
    await page.keyboard.press('Tab');
    await focused(page, 'Skip to the content');
    await page.keyboard.press('Enter');
    await focused(page, 'Channel');
    assert.equal(new URL(page.url()).hash, '');
    await page.getByLabel('Content', { exact: true }).fill('by keys');
    await page.keyboard.press('Control+Enter');
    await shown.has('by keys');
    await page.getByText('Stored as').waitFor();
    await page.reload();
    for (const name of ['Skip to the content', 'Messages', 'Channels']) {
      await page.getByRole('link', { name }).waitFor({ state: 'attached' });
      await page.keyboard.press('Tab');
      await focused(page, name);
    }
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Channels' }).waitFor();
    await until('the title says so', async () => (await page.title()) === 'Channels · Rivercast');
    await page.keyboard.press('/');
    await focused(page, 'Filter channels by name');
    await page.keyboard.type('no such');
    await page.getByText('No channel has that in its name').waitFor();
    await page.getByRole('link', { name: 'Server' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Health' }).waitFor();
    await page.getByRole('link', { name: 'Messages' }).focus();
    await page.keyboard.press('Enter');
    // It went on while others were looked at.
    await shown.has('by keys');
    assert.deepEqual(shown.complaints, []);
  });
});
