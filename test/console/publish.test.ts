/** The form that publishes, in a real browser: what is stored by it, what it says, and what it remembers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TestBrowser } from '../support/browser.ts';
import { ConsolePage } from '../support/console-page.ts';
import { TestServer } from '../support/running-server.ts';
import { until } from '../support/within.ts';

interface Kept {
  readonly messages: readonly { readonly id: string; readonly data: unknown }[];
}

async function kept(server: TestServer, channel: string): Promise<unknown[]> {
  const answer = await fetch(`${server.address}/api/channels/${channel}/messages`);
  return ((await answer.json()) as Kept).messages.map(({ data }) => data);
}

describe('the form', () => {
  const browser = TestBrowser.shared();

  test('stores JSON as JSON and text as text, in the channel that it names, and says under which id', async () => {
    await using server = await TestServer.start();
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    const form = page.getByLabel('Publish', { exact: true });
    const publish = async (text: string, kind: string): Promise<void> => {
      await form.getByLabel('Content').fill(text);
      await form.getByText(kind, { exact: true }).waitFor();
      await form.getByRole('button', { name: 'Publish' }).click();
      await form.getByText('Stored as').waitFor();
    };
    await publish('{"n": 1}', 'as JSON');
    await publish('{"n": ', 'as text');
    await publish('"quoted"', 'as text');
    await shown.has('{"n":1}', '{"n": ', '"quoted"');
    assert.deepEqual(await kept(server, 'local-q'), [{ n: 1 }, '{"n": ', '"quoted"']);
    const said = (await form.getByRole('status').textContent()) ?? '';
    assert.match(said, /^Stored as \d+-\d+ within (<1|\d+) ms$/);
    await page.locator('.row').nth(2).click();
    assert.ok(
      said.includes((await page.getByLabel('The selected message').locator('.mono').textContent()) ?? '?'),
    );
    await form.getByLabel('To channel').fill('another');
    await publish('elsewhere', 'as text');
    assert.deepEqual(await kept(server, 'another'), ['elsewhere']);
    await form.getByLabel('To channel').fill('no channel');
    await form.getByRole('button', { name: 'Publish' }).click();
    await form.getByText('1 to 128 characters').waitFor();
    assert.deepEqual(shown.complaints, []);
  });

  test('remembers what it published in this tab, to publish it again', async () => {
    await using server = await TestServer.start();
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    const form = page.getByLabel('Publish', { exact: true });
    const before = form.locator('.before .text');
    for (const [channel, text] of [
      ['local-q', '{"n": 1}'],
      ['another', 'two'],
      ['local-q', '{"n": 1}'],
    ] as const) {
      await form.getByLabel('To channel').fill(channel);
      await form.getByLabel('Content').fill(text);
      await form.getByRole('button', { name: 'Publish' }).click();
      await form.getByText('Stored as').waitFor();
      await before.first().getByText(text).waitFor();
    }
    await page.reload();
    await before.first().waitFor();
    assert.deepEqual(await before.allTextContents(), ['{"n": 1}', 'two']);
    await before.nth(1).click();
    assert.equal(await form.getByLabel('To channel').inputValue(), 'another');
    assert.equal(await form.getByLabel('Content').inputValue(), 'two');
    await form.getByRole('button', { name: 'Publish' }).click();
    await form.getByText('Stored as').waitFor();
    assert.deepEqual(await kept(server, 'another'), ['two', 'two']);
    // Whoever goes to look at a channel publishes there.
    await page.goto(`${server.address}/#/messages/third`);
    const target = form.getByLabel('To channel');
    await until('the form goes there, too', async () => (await target.inputValue()) === 'third');
    const other = await ConsolePage.open(browser, server.address);
    await other.page.getByRole('button', { name: 'Publish', exact: true }).waitFor();
    assert.equal(await other.page.locator('.before').count(), 0);
    await other.page.close();
  });

  test('waits while the connection is cut, and what it has is stored once', async () => {
    await using server = await TestServer.start();
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    const form = page.getByLabel('Publish', { exact: true });
    await form.getByRole('button', { name: 'Publish' }).click();
    await form.getByText('Stored as').waitFor();
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await form.getByLabel('Content').fill('cut');
    await form.getByRole('button', { name: 'Publish' }).click();
    await form.getByText('On its way…').waitFor();
    await page.getByRole('button', { name: 'Mend the connection' }).click();
    await form.getByText('Stored as').waitFor();
    assert.deepEqual(await kept(server, 'local-q'), [{ hello: 'river' }, 'cut']);
    await shown.has('{"hello":"river"}', 'cut');
  });
});
