/** The console in a real browser: what a person would notice, gathered while it runs. */
import assert from 'node:assert/strict';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import type { TestBrowser } from './browser.ts';
import { until } from './within.ts';

export type Scheme = 'light' | 'dark';

export interface ConsoleOptions {
  readonly scheme?: Scheme;
  readonly width?: number;
  readonly height?: number;
  readonly scale?: number;
  readonly timezoneId?: string;
}

export const PHONE = { width: 390, height: 844 } as const;

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
    { scheme = 'light', width = 1280, height = 800, scale = 1, timezoneId = 'UTC' }: ConsoleOptions = {},
  ): Promise<ConsolePage> {
    const page = await browser.blank({
      viewport: { width, height },
      colorScheme: scheme,
      deviceScaleFactor: scale,
      timezoneId,
      // A colour on its way to another is none that anybody reads.
      reducedMotion: 'reduce',
      // A proxy of the tests vouches for itself.
      ignoreHTTPSErrors: true,
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    const console = new ConsolePage(page);
    await page.goto(address);
    return console;
  }

  /** Waits until the list has these messages, the oldest first, and no others. */
  async has(...texts: string[]): Promise<void> {
    let seen: string[] = [];
    const isThere = async (): Promise<boolean> => {
      seen = await this.page.locator('.row .text').allTextContents();
      return seen.join('\n') === texts.join('\n');
    };
    await until('the list has the messages', isThere).catch(() => assert.deepEqual(seen, texts));
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
