/** The programs and pages of `examples/` do what they say, and stay short. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { makeBin } from '../docs/run-shell.ts';
import { TestBrowser } from '../support/browser.ts';
import { writeModule } from '../support/own-package.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until, within } from '../support/within.ts';

const MAX_LINES = 80;
const CLIENT = fileURLToPath(new URL('../../src/client/', import.meta.url));
const hasWebsockets = spawnSync('python3', ['-c', 'import websockets']).status === 0;

interface Program {
  readonly child: ChildProcess;
  /** Each line of its standard output, so far. */
  readonly lines: readonly string[];
}

/** Ends with the test. */
function run(t: TestContext, command: string, ...args: string[]): Program {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => void lines.push(line));
  t.after(() => child.kill('SIGKILL'));
  return { child, lines };
}

async function runExample(t: TestContext, name: string, ...args: string[]): Promise<Program> {
  const path = await writeModule(name, readFileSync(join('examples', name), 'utf8'));
  return run(t, process.execPath, path, ...args);
}

async function kill({ child }: Program): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await within('it to end', exit);
}

test('each is short enough to be read at once', () => {
  for (const name of readdirSync('examples')) {
    const lines = readFileSync(join('examples', name), 'utf8').trimEnd().split('\n').length;
    assert.ok(lines < MAX_LINES, `${name} has ${lines} lines`);
  }
});

describe('the examples', { concurrency: 3 }, () => {
  let server: TestServer;
  let browser: TestBrowser;

  before(async () => {
    [server, browser] = await Promise.all([TestServer.start(), TestBrowser.start()]);
  });

  after(async () => {
    await browser[Symbol.asyncDispose]();
    await server.stop();
  });

  /** Resolves with the id of the last one. */
  async function publish(channel: string, ...messages: unknown[]): Promise<string> {
    let id = '';
    for (const message of messages) {
      const answer = await fetch(`${server.address}/api/channels/${channel}/messages`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(message),
      });
      assert.equal(answer.status, 201);
      ({ id } = (await answer.json()) as { id: string });
    }
    return id;
  }

  /** Of the server that `serve.js` is. */
  async function pages(t: TestContext): Promise<string> {
    const { lines } = run(t, process.execPath, 'examples/serve.js', '0', CLIENT);
    await until('the pages are served', () => lines.length > 0);
    return lines[0] as string;
  }

  async function open(address: string): Promise<Page> {
    const page = await browser.blank();
    await page.goto(address);
    return page;
  }

  async function show(page: Page, text: string): Promise<void> {
    await page.waitForFunction(`document.body.innerText.includes(${JSON.stringify(text)})`, undefined, {
      timeout: 20_000,
      polling: 20,
    });
  }

  test('the chat shows what each says to both, as text, and to whoever comes later', async (t) => {
    const address = `${await pages(t)}chat.html?server=${server.address}`;
    const [ann, bob] = await Promise.all([open(address), open(address)]);
    await ann.fill('[name=name]', 'ann');
    await ann.fill('[name=text]', '<img src=x onerror="alert(1)">');
    await ann.click('button');
    await show(bob, 'ann: <img src=x onerror="alert(1)">');
    await bob.fill('[name=name]', 'bob');
    await bob.fill('[name=text]', 'hello ann');
    await bob.click('button');
    await show(ann, 'bob: hello ann');
    await ann.reload();
    await show(ann, 'bob: hello ann');
    assert.equal(await ann.locator('li').count(), 2);
    assert.equal(await ann.locator('img').count(), 0);
  });

  test('the ticker shows the newest price of each', async (t) => {
    const page = await open(`${await pages(t)}ticker.html?server=${server.address}`);
    await runExample(t, 'prices.js', server.address);
    await show(page, 'CHARLIE');
    const prices = 'document.querySelector("#rows").innerText';
    const first = await page.evaluate(prices);
    await page.waitForFunction(`${prices} !== ${JSON.stringify(first)}`);
    assert.equal(await page.locator('tr').count(), 3);
  });

  test('the dashboard counts each order once, those that came while it was away among them', async (t) => {
    const page = await open(`${await pages(t)}dashboard.html?server=${server.address}`);
    await publish('orders', { amount: 1 }, { amount: 2.5 });
    await show(page, '3.50');
    await page.reload();
    await show(page, 'live');
    await publish('orders', { amount: 4 });
    await show(page, '7.50');
    const url = page.url();
    await page.goto('about:blank');
    await publish('orders', { amount: 8 }, { amount: 16 });
    await page.goto(url);
    await show(page, '31.50');
    assert.equal(await page.textContent('#count'), '5');
  });

  test('the worker that is killed goes on where it was', async (t) => {
    const file = join(await tempDir(t), 'cursor');
    const count = 20;
    const seen: string[] = [];
    await publish('work', ...Array.from({ length: count }, (_, n) => n));
    for (let round = 1; round <= 3; round++) {
      const worker = await runExample(t, 'worker.js', 'work', file, server.address);
      const numbers = (): string[] => worker.lines.map((line) => line.split(' ')[1] ?? '');
      // The last, or the one that came while it was away.
      await until('it worked', () => numbers().includes(`${count + round - 2}`));
      await kill(worker);
      seen.push(...numbers());
      await publish('work', count + round - 1);
    }
    // What was being dealt with when it was killed comes again: one message each time.
    assert.deepEqual(
      [...new Set(seen)].slice(0, count),
      Array.from({ length: count }, (_, n) => `${n}`),
    );
    assert.ok(new Set(seen).has(`${count}`), 'what came while it was away');
    assert.ok(seen.length <= new Set(seen).size + 3, seen.join(' '));
  });

  test('the log shipper sends each line that is added, and goes on when the file is rotated', async (t) => {
    const dir = await tempDir(t);
    const file = join(dir, 'app.log');
    writeFileSync(file, 'before\n');
    const env = { PATH: `${await makeBin(dir)}:${process.env['PATH'] ?? ''}`, RIVERCAST_URL: server.address };
    const child = spawn(join('examples', 'ship-log.sh'), [file, 'shipped'], {
      env,
      stdio: 'ignore',
      detached: true,
    });
    t.after(() => process.kill(-(child.pid as number), 'SIGKILL'));
    await using subscriber = await server.subscriber('?channel=shipped&after=earliest');
    const next = subscriber.text();
    // Until tail looks at the file nothing that is added is seen.
    const adding = setInterval(() => appendFileSync(file, 'added\n'), 50);
    assert.equal(await next, 'added');
    clearInterval(adding);
    renameSync(file, `${file}.1`);
    writeFileSync(file, 'rotated\n');
    for (let text = 'added'; text !== 'rotated'; text = await subscriber.text()) assert.equal(text, 'added');
  });

  const python = hasWebsockets ? false : 'python3 has no websockets here';
  test('the client in Python goes on where it was', { skip: python }, async (t) => {
    const file = join(await tempDir(t), 'cursor');
    const address = server.address.replace('http', 'ws');
    const id = await publish('python', 'one', 'two');
    const args = ['examples/tail.py', 'python', address, file];
    const first = run(t, 'python3', ...args);
    await until('two came', () => first.lines.length === 2);
    await until('the cursor is kept', () => readFileSync(file, 'utf8').startsWith(id));
    await kill(first);
    await publish('python', 'three');
    const second = run(t, 'python3', ...args);
    await until('the third came', () => second.lines.length > 0);
    assert.deepEqual([...first.lines, ...second.lines], ['"one"', '"two"', '"three"']);
  });
});
