/** A real browser for a test: the Chromium of the machine, without a window and without a network of its own. */
import { spawnSync } from 'node:child_process';
import { after, afterEach } from 'node:test';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** The first is Chromium without what shows a window: the same engine, for half of the time. */
const NAMES = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'];
/** It must not look for updates, nor ask anybody anything: the machine may have no network. */
const QUIET = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
  // Nor is a process to be started for a page that may come next. (A page that is there has one of its own all the same.)
  '--renderer-process-limit=1',
];

export class TestBrowser implements AsyncDisposable {
  #browser: Promise<Browser> | null = null;

  private constructor() {}

  /** One for all tests of the file, or of the suite; what a test leaves open in it is closed after the test. */
  static shared(): TestBrowser {
    const browser = new TestBrowser();
    afterEach(() => browser.closePages());
    after(() => browser[Symbol.asyncDispose]());
    return browser;
  }

  static async start(): Promise<TestBrowser> {
    const browser = new TestBrowser();
    await browser.#launched();
    return browser;
  }

  /** A page on which a script can connect to the server, where its origin may. */
  async page(address: string): Promise<Page> {
    const page = await this.blank();
    await page.goto(address);
    return page;
  }

  /** A page that has not been anywhere, and shares nothing with another. */
  async blank(options: BrowserContextOptions = {}): Promise<Page> {
    return (await this.#launched()).newPage(options);
  }

  async closePages(): Promise<void> {
    const contexts = (await this.#browser)?.contexts() ?? [];
    await Promise.all(contexts.map((context) => context.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#browser)?.close();
  }

  #launched(): Promise<Browser> {
    const isRoot = process.getuid?.() === 0;
    // Chromium refuses its sandbox to root, which is what a container gives.
    const args = isRoot ? [...QUIET, '--no-sandbox'] : QUIET;
    this.#browser ??= chromium.launch({ executablePath: path(), args });
    return this.#browser;
  }
}

function path(): string {
  for (const name of NAMES) {
    const { status, stdout } = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' });
    if (status === 0) return stdout.trim();
  }
  throw new Error(`none of ${NAMES.join(', ')} is on PATH; make test installs chromium`);
}
