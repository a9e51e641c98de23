/** The console in a real browser: what a person would notice, gathered while it runs. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import type { TestBrowser } from './browser.ts';

export type Scheme = 'light' | 'dark';

export interface ConsoleOptions {
  readonly scheme: Scheme;
  readonly width?: number;
  readonly height?: number;
  readonly scale?: number;
}

export class ConsolePage {
  readonly page: Page;
  /** What the browser complained of: errors, and what the policy refused. */
  readonly complaints: string[] = [];
  /** Everything that was asked for. */
  readonly requests: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('request', (request) => this.requests.push(request.url()));
    page.on('websocket', (socket) => this.requests.push(socket.url()));
  }

  static async open(
    browser: TestBrowser,
    address: string,
    { scheme, width = 1280, height = 800, scale = 1 }: ConsoleOptions,
  ): Promise<ConsolePage> {
    const viewport = { width, height };
    const page = await browser.blank({ viewport, colorScheme: scheme, deviceScaleFactor: scale });
    const console = new ConsolePage(page);
    await page.goto(address);
    return console;
  }

  /** What axe finds, as `rule: place`. A text: it is the browser's code, not ours. */
  async violations(): Promise<string[]> {
    if (!(await this.page.evaluate<boolean>('"axe" in window'))) await this.page.evaluate(axe.source);
    return this.page.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map((node) => id + ': ' + node.target + ' ' + node.failureSummary)))`);
  }

  /** Frames a second, over so many seconds. */
  framesPerSecond(seconds: number): Promise<number> {
    return this.page.evaluate(`new Promise((resolve) => {
      const began = performance.now();
      let frames = 0;
      const count = (now) => {
        frames += 1;
        if (now - began < ${seconds * 1000}) requestAnimationFrame(count);
        else resolve(frames / ((now - began) / 1000));
      };
      requestAnimationFrame(count);
    })`);
  }
}
