/**
 * What the documents tell a reader to type is typed: every block of shell, JavaScript and HTML of the README and docs/, against
 * one real server. `DOCS=all` (make docs-test) also runs Python, Go and wscat, and fails where one of them is missing that
 * nobody said to do WITHOUT.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Page } from 'playwright-core';
import { TestBrowser } from '../support/browser.ts';
import { bundle } from '../support/browser-page.ts';
import { type Block, blocksOf, documents, needs } from '../support/doc-blocks.ts';
import { writeModule } from '../support/own-package.ts';
import { PageHost } from '../support/page-host.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until, within } from '../support/within.ts';
import type { PageBlock } from './page-worker.ts';
import { makeBin, runCommand } from './run-shell.ts';

/** That the documents speak of. */
const CHANNELS = ['local-q', 'scores', 'chat:lobby', 'prices', 'logs', 'users:ann', 'game:7'];
const PUBLISH_MS = 250;
const isAll = process.env['DOCS'] === 'all';
const without = (process.env['WITHOUT'] ?? '').split(/[\s,]+/);

const pages = documents().map((file) => ({ file, blocks: blocksOf(file) }));
const blocks = pages.flatMap((page) => page.blocks);
let server: TestServer;
let feed: NodeJS.Timeout;
let feeding: Promise<unknown> = Promise.resolve();

function isHere(command: string): boolean {
  const [name = '', module] = command.split('.');
  const args = module === undefined ? ['-c', `command -v ${name}`] : ['-c', `${name} -c 'import ${module}'`];
  return spawnSync('sh', args).status === 0;
}

/** Why it is not run; null: it is. */
function reasonOf(block: Block): string | null {
  if (block.words.has('no-run')) return 'no-run';
  if (['python', 'go'].includes(block.language) && !isAll) return block.language;
  const missing = needs(block).find((command) => !isHere(command));
  return missing === undefined ? null : `no ${missing}`;
}

function chosen(list: readonly Block[], choose: (block: Block) => boolean): Block[] {
  return list.filter((block) => choose(block) && reasonOf(block) === null);
}

function located(block: Block): string {
  const { host } = new URL(server.address);
  return block.code.replaceAll(/(127\.0\.0\.1|localhost):3000/g, host).replaceAll('npx wscat', 'wscat');
}

function nameOf({ file, line }: Block): string {
  return `${file}:${line}`;
}

const isShell = ({ language }: Block): boolean => language === 'sh';
const isBrowser = ({ language, words }: Block): boolean =>
  language === 'html' || language === 'jsx' || words.has('browser') || words.has('console');
const isScript = (block: Block): boolean => block.language === 'js' && !isBrowser(block);

describe('what a reader types', { concurrency: 3 }, () => {
  before(async () => {
    server = await TestServer.start();
    const publish = (channel: string): Promise<Response> =>
      fetch(`${server.address}/api/channels/${channel}/messages`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{"home":1,"away":0,"name":"ann","text":"hello","symbol":"RIV","price":12.5}',
      });
    // Whoever waits for what comes gets something.
    const round = (): Promise<unknown> => Promise.all(CHANNELS.map(publish));
    await round();
    feed = setInterval(() => {
      feeding = feeding.then(round);
    }, PUBLISH_MS);
  });

  after(async () => {
    clearInterval(feed);
    await feeding;
    await server.stop();
  });

  for (const { file, blocks: own } of pages) {
    if (own.some((block) => isShell(block) && reasonOf(block) === null)) {
      test(`the shell commands of ${file}`, async (t) => {
        const dir = await tempDir(t);
        const place = { dir, bin: await makeBin(dir), address: server.address };
        for (const block of chosen(own, isShell)) {
          const running = runCommand(block, ['bash', '-euo', 'pipefail', '-c', located(block)], place);
          await assert.doesNotReject(running, nameOf(block));
        }
      });
    }
    if (own.some((block) => isScript(block) && reasonOf(block) === null)) {
      test(`the JavaScript of ${file}`, () => runScripts(chosen(own, isScript)));
    }
  }

  test('the blocks for web pages, in a browser', async () => {
    const list = chosen(blocks, isBrowser);
    if (list.length === 0) return;
    await using browser = await TestBrowser.start();
    await using host = await PageHost.start();
    const page = await browser.page(host.address);
    for (const block of list) await runInPage(page, host, block);
  });

  for (const [language, extension, command] of [
    ['python', 'py', ['python3']],
    ['go', 'go', ['go', 'run']],
  ] as const) {
    test(`the ${language} of the documents`, {
      skip: isAll ? false : 'make docs-test runs it',
    }, async (t) => {
      const dir = await tempDir(t);
      const place = { dir, bin: dir, address: server.address };
      for (const block of chosen(blocks, (one) => one.language === language)) {
        const path = join(dir, `block.${extension}`);
        await writeFile(path, located(block));
        const [name, ...args] = command;
        await assert.doesNotReject(runCommand(block, [name, ...args, path], place), nameOf(block));
      }
    });
  }

  test('how many blocks are left out', (t) => {
    const left = new Map<string, string[]>();
    for (const block of blocks) {
      const reason = reasonOf(block);
      if (reason !== null) left.set(reason, [...(left.get(reason) ?? []), nameOf(block)]);
    }
    const why = [...left].map(([reason, names]) => `${names.length} "${reason}" (${names.join(', ')})`);
    const count = [...left.values()].flat().length;
    t.diagnostic(`of ${blocks.length} blocks in the documents ${count} were not run: ${why.join('; ')}`);
    assert.ok(blocks.length - count > 20);
  });

  test('what the others need is here', { skip: isAll ? false : 'make docs-test asks for it' }, () => {
    const missing = new Set(blocks.flatMap(needs).filter((command) => !isHere(command)));
    const unforeseen = [...missing].filter((command) => !without.includes(command));
    const advice = `install them, or leave their blocks out: make docs-test WITHOUT="${[...missing].join(' ')}"`;
    assert.deepEqual(unforeseen, [], advice);
  });
});

async function runScripts(scripts: readonly Block[]): Promise<void> {
  const modules: PageBlock[] = [];
  for (const block of scripts) {
    const path = await writeModule(nameOf(block), located(block));
    const isEndless = block.words.has('endless');
    modules.push({ where: nameOf(block), url: pathToFileURL(path).href, isEndless });
  }
  const workerData = { address: server.address, blocks: modules };
  const worker = new Worker(new URL('./page-worker.js', import.meta.url), { workerData, stdout: true });
  try {
    const [said] = (await within('the blocks', once(worker, 'message'), 60_000)) as [string];
    assert.equal(said, 'done');
  } finally {
    await worker.terminate();
  }
}

async function runInPage(page: Page, host: PageHost, block: Block): Promise<void> {
  const errors: string[] = [];
  let said = 0;
  page.removeAllListeners();
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
    said++;
  });
  if (block.words.has('console')) {
    await page.goto(server.address);
    await page.evaluate(`(async () => {${located(block)}})().then(() => console.log('over'))`);
  } else {
    host.page = await pageOf(block);
    await page.goto(host.address);
  }
  // What it says by itself, and `over`.
  const enough = block.words.has('endless') ? 2 : 1;
  await until(`${nameOf(block)} says something`, () => errors.length > 0 || said >= enough);
  assert.deepEqual(errors, [], nameOf(block));
}

async function pageOf(block: Block): Promise<string> {
  const { language } = block;
  if (language === 'html') return located(block);
  const code =
    language === 'jsx'
      ? await shownByReact(located(block))
      : located(block).replaceAll(/(?<=')rivercast\/client(?=')/g, '/client/index.js');
  return `<!doctype html><div id="root"></div><script type="module">${code}\nconsole.log('over')</script>`;
}

/** The component that the block exports, in a page; it says what it shows when that changes. */
async function shownByReact(code: string): Promise<string> {
  const [, name = ''] = /export function (\w+)/.exec(code) ?? [];
  const script = `${code}
    import { createElement } from 'react';
    import { createRoot } from 'react-dom/client';
    const root = document.getElementById('root');
    new MutationObserver(() => console.log(root.textContent)).observe(root, { childList: true, subtree: true });
    createRoot(root).render(createElement(${name}));`;
  return bundle(
    script.replaceAll(/'rivercast\/(client|react)'/g, (_all, part: string) => {
      return part === 'react' ? "'./src/client/react.ts'" : "'./src/client/index.ts'";
    }),
    'esm',
    'tsx',
  );
}
