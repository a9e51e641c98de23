/** The messages of a channel, as somebody looks at them in a real browser: held, looked through, opened, begun elsewhere. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TestBrowser } from '../support/browser.ts';
import { ConsolePage } from '../support/console-page.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';

const HOUR_MS = 3_600_000;

describe('the messages of a channel', () => {
  const browser = TestBrowser.shared();

  test('pause holds the list, what comes meanwhile is counted, and resume shows it', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    await publisher.published('one');
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    await shown.has('one');
    await page.getByRole('button', { name: 'Pause' }).click();
    const resume = page.getByRole('button', { name: 'Resume' });
    await resume.waitFor();
    await publisher.published('two');
    await publisher.published('three');
    await page.getByRole('button', { name: 'Resume, 2 new' }).waitFor();
    await shown.has('one');
    await resume.click();
    await shown.has('one', 'two', 'three');
    await publisher.published('four');
    await shown.has('one', 'two', 'three', 'four');
  });

  test('what is cleared is gone from the list, and what comes after it is there', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    await publisher.published('one');
    const shown = await ConsolePage.open(browser, server.address);
    await shown.has('one');
    await shown.page.locator('.row').click();
    await shown.page.getByRole('button', { name: 'Clear' }).click();
    await shown.has();
    await shown.page.getByText('Nothing came yet').waitFor();
    assert.equal(await shown.page.getByLabel('The selected message').count(), 0);
    await publisher.published('two');
    await shown.has('two');
  });

  test('the filter shows what has a text in it, of what is held and of what comes, paused or not', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    for (const text of ['an apple', 'a pear', 'Apples']) await publisher.published(text);
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    await shown.has('an apple', 'a pear', 'Apples');
    const filter = page.getByLabel('Filter messages');
    await filter.fill('APPLE');
    await shown.has('an apple', 'Apples');
    await publisher.published('a plum');
    await publisher.published('pineapple');
    await shown.has('an apple', 'Apples', 'pineapple');
    await page.getByText('3 of 5').waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await publisher.published('apple pie');
    await page.getByRole('button', { name: 'Resume, 1 new' }).waitFor();
    await filter.fill('p');
    await shown.has('an apple', 'a pear', 'Apples', 'a plum', 'pineapple');
    await filter.fill('quince');
    await page.getByText('Nothing that is held has this text').waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await filter.fill('');
    await shown.has('an apple', 'a pear', 'Apples', 'a plum', 'pineapple', 'apple pie');
  });

  test('an opened message is shown whole: JSON on lines of its own, text as it is, bytes as digits', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    const data = { name: 'a "quoted" one', of: [1, -2.5e3, true, null], in: { '<b>': '\u00e9\n' } };
    await publisher.published(data);
    await publisher.published('{"name": "text that looks like it"}');
    publisher.send({ type: 'publish', data64: 'AP8Q' });
    await publisher.expect('ack');
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    const content = page.getByLabel('Content of the message');
    for (const [at, text, kind] of [
      [0, JSON.stringify(data, null, 2), 'json'],
      [1, '{"name": "text that looks like it"}', 'text'],
      [2, '00 ff 10', 'binary'],
    ] as const) {
      await page.locator('.row').nth(at).click();
      await page.getByLabel('The selected message').getByText(`${kind}, `).waitFor();
      assert.equal(await content.textContent(), text);
    }
    await page.getByRole('button', { name: 'Close the message' }).click();
    assert.equal(await content.count(), 0);
    assert.deepEqual(shown.complaints, []);
  });

  test('its id, its cursor and its content can be copied, and followed from', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    const id = await publisher.published({ first: 1 });
    await publisher.published('second');
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    await page.locator('.row').first().click();
    const copied: Record<string, string> = {};
    for (const what of ['id', 'cursor', 'content']) {
      const button = page.getByRole('button', { name: `Copy ${what}` });
      await button.click();
      await page.getByRole('button', { name: 'Copied' }).first().waitFor();
      copied[what] = await page.evaluate<string>('navigator.clipboard.readText()');
    }
    const { epoch } = (await (await fetch(`${server.address}/api/channels/local-q`)).json()) as {
      epoch: string;
    };
    assert.deepEqual(copied, { id, cursor: `${id}@${epoch}`, content: '{"first":1}' });
    await page.getByRole('button', { name: 'Follow from here' }).click();
    await shown.has('second');
    assert.equal(await page.getByLabel('The cursor').inputValue(), `${id}@${epoch}`);
  });

  test('one can begin at a time, in the zone of who looks, with the last ones, or at the earliest', async () => {
    await using redis = await RedisServer.start();
    const second = Math.floor(Date.now() / 60_000) * 60_000 - 2 * HOUR_MS + 7000;
    for (const [ms, text] of [
      [second - 1, 'before'],
      [second, 'at'],
      [second + 1, 'after'],
    ] as const) {
      await redis.cli('XADD', 'local-q', `${ms}-0`, 'message', text);
    }
    await using server = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url });
    const shown = await ConsolePage.open(browser, server.address, {
      timezoneId: 'Asia/Kolkata',
    });
    const { page } = shown;
    await shown.has('before', 'at', 'after');
    const there = new Date(second + 5.5 * HOUR_MS).toISOString().slice(0, 19);
    const follow = page.getByRole('button', { name: 'Follow', exact: true });
    await page.getByLabel('Where to start').selectOption('time');
    await page.getByLabel('The time').fill(there);
    await follow.click();
    await shown.has('at', 'after');
    assert.equal(await page.locator('.row .time').first().textContent(), `${there.slice(11)}.000`);
    await page.getByLabel('Where to start').selectOption('last');
    await page.getByLabel('How many messages').fill('1');
    await follow.click();
    await shown.has('after');
    await page.getByLabel('Where to start').selectOption('earliest');
    await follow.click();
    await shown.has('before', 'at', 'after');
  });

  test('a start that is none is told beside its field, and nothing else happens', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    const id = await publisher.published('one');
    await publisher.published('two');
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    await shown.has('one', 'two');
    const follow = page.getByRole('button', { name: 'Follow', exact: true });
    const alert = page.getByRole('form', { name: 'What to follow' }).getByRole('alert');
    for (const [kind, label, values, said] of [
      ['cursor', 'The cursor', ['abc', '', '17', `${id}@`, '-5m', '2026-11-22T10:00:00Z'], /^A cursor is/],
      ['last', 'How many messages', ['0', '', '1.5', '-3', '1000001'], /^A whole number/],
      ['time', 'The time', ['', '1969-12-31T00:00:01'], /^A date and a time/],
    ] as const) {
      await page.getByLabel('Where to start').selectOption(kind);
      const field = page.getByLabel(label);
      for (const value of values) {
        await field.fill(value);
        assert.equal(await alert.count(), 0, `${kind} ${value}`);
        await follow.click();
        assert.match((await alert.textContent()) ?? '', said, `${kind} ${value}`);
        assert.equal(await field.getAttribute('aria-invalid'), 'true');
        assert.equal(await field.getAttribute('aria-describedby'), await alert.getAttribute('id'));
        assert.equal(await page.evaluate('document.activeElement.ariaLabel'), label);
        // What was said is about what was there.
        await field.fill(kind === 'time' ? '2026-01-01T00:00:01' : `${value}1`);
      }
    }
    assert.deepEqual(await shown.violations(), []);
    await page.getByLabel('Where to start').selectOption('latest');
    await page.getByLabel('Channel', { exact: true }).fill(' ');
    await follow.click();
    await page.getByText('A channel has a name').waitFor();
    await shown.has('one', 'two');
    await page.getByLabel('Channel', { exact: true }).fill('local-q');
    await page.getByLabel('Where to start').selectOption('cursor');
    await page.getByLabel('The cursor').fill(` ${id} `);
    await follow.click();
    await shown.has('two');
    assert.equal(await alert.count(), 0);
    assert.deepEqual(shown.complaints, []);
  });

  test('a channel that was trimmed beneath its reader shows what is gone, where it is', async () => {
    // Each is more than is kept in memory: what is trimmed is gone.
    const long = (word: string): string => word.padEnd(70_000, '.');
    const row = (word: string): string => long(word).slice(0, 500);
    await using server = await TestServer.start({ RING_BYTES: '64kib' });
    await using publisher = await V1PublisherClient.open(server);
    for (const [channel, seen, told, missing] of [
      // A message names its place, and the server, where nothing came yet, how many there were before it.
      ['some', ['one'], 'messages that nobody counted', 'some are missing'],
      ['none', [], '2 messages', '2 missing'],
    ] as const) {
      for (const word of seen) await publisher.published(word, { channel });
      const shown = await ConsolePage.open(browser, `${server.address}/#/messages/${channel}`);
      const { page } = shown;
      await page.getByText('Live').first().waitFor();
      await shown.has(...seen);
      await page.getByRole('button', { name: 'Cut the connection' }).click();
      const ids: string[] = [];
      for (const word of ['two', 'three', 'four', 'five']) {
        ids.push(await publisher.published(long(word), { channel }));
      }
      const path = `${server.address}/api/channels/${channel}/messages?before=${ids[2]}`;
      assert.equal((await fetch(path, { method: 'DELETE' })).status, 200);
      await page.getByRole('button', { name: 'Mend the connection' }).click();
      const gap = `${told} can not be had any more (trimmed)`;
      await shown.has(...seen, gap, row('four'), row('five'));
      const journal = page.getByLabel('Connection', { exact: true });
      await journal.getByText(`Gap: ${gap}`).waitFor();
      await journal.getByText(`Caught up: 2 messages that were stored meanwhile, ${missing}`).waitFor();
      await page.locator('.row.gap').click();
      const opened = page.getByLabel('The selected message');
      await opened.getByText(gap).waitFor();
      assert.equal(await opened.getByRole('button', { name: 'Copy id' }).count(), 0);
      assert.deepEqual(await shown.violations(), []);
      await opened.getByRole('button', { name: 'Follow from here' }).click();
      await shown.has(row('four'), row('five'));
      assert.deepEqual(shown.complaints, []);
      await page.close();
    }
  });

  test('what is held is seen although nothing comes, and after another view was', async () => {
    await using server = await TestServer.start();
    await using publisher = await V1PublisherClient.open(server);
    for (let i = 1; i <= 100; i += 1) publisher.publish(`message ${i}`);
    await publisher.take(100);
    const shown = await ConsolePage.open(browser, server.address);
    const { page } = shown;
    const last = page.locator('.row').getByText('message 100');
    const isSeen = async (): Promise<void> => {
      await last.waitFor();
      const [list, row] = [await page.locator('.list').boundingBox(), await last.boundingBox()];
      assert.ok(list !== null && row !== null && row.y >= list.y && row.y < list.y + list.height);
    };
    await isSeen();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    await isSeen();
    await page.getByRole('link', { name: 'Channels' }).click();
    await page.getByRole('heading', { name: 'Channels' }).waitFor();
    await page.getByRole('link', { name: 'Messages' }).click();
    await isSeen();
    await page.locator('.list').hover();
    await page.mouse.wheel(0, -100_000);
    await page.locator('.row').getByText('message 1', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await isSeen();
  });
});
