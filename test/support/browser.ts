/** A real browser for a test: the Chromium of the machine, without a window and without a network of its own. */
import { spawnSync } from 'node:child_process';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
/** It must not look for updates, nor ask anybody anything: the machine may have no network. */
const QUIET = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
];

export class TestBrowser implements AsyncDisposable {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    const isRoot = process.getuid?.() === 0;
    // Chromium refuses its sandbox to root, which is what a container gives.
    const args = isRoot ? [...QUIET, '--no-sandbox'] : QUIET;
    return new TestBrowser(await chromium.launch({ executablePath: path(), args }));
  }

  /** A page on which a script can connect to the server, where its origin may. */
  async page(address: string): Promise<Page> {
    const page = await this.#browser.newPage();
    await page.goto(address);
    return page;
  }

  /** A page that has not been anywhere. */
  blank(options: BrowserContextOptions = {}): Promise<Page> {
    return this.#browser.newPage(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

function path(): string {
  for (const name of NAMES) {
    const { status, stdout } = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' });
    if (status === 0) return stdout.trim();
  }
  throw new Error(`none of ${NAMES.join(', ')} is on PATH; make test installs chromium`);
}
