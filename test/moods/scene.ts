/**
 * A server of its own process over a Redis, with a publisher and a follower of each kind, which number what they
 * publish and keep what they are sent; and what is asked of all of them: everything is stored and sent once, in order.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { type RunningCli, startCli } from '../support/cli.ts';
import { until, within } from '../support/within.ts';
import { type Follower, rawFollower, sseFollower, v1Follower } from './followers.ts';
import { httpPublisher, type Numbered, rawPublisher, type Server, v1Publisher } from './publishers.ts';

export const OVERLOADED_AFTER_MS = 1000;
const TICKS_PER_S = 100;

export class Scene implements Server {
  readonly address: string;
  publishers: readonly Numbered[] = [];
  followers: readonly Follower[] = [];
  readonly #cli: RunningCli;

  private constructor(cli: RunningCli, address: string) {
    this.#cli = cli;
    this.address = address;
  }

  /** `settings` by the names of the environment variables. */
  static async start(
    t: TestContext,
    redisUrl: string,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<Scene> {
    const env = {
      PORT: '0',
      LOG_LEVEL: 'info',
      REDIS_URL: redisUrl,
      OVERLOADED_AFTER_MS: `${OVERLOADED_AFTER_MS}ms`,
      DRAIN_TIMEOUT_MS: '3s',
      ...settings,
    };
    const cli = startCli(t, { env });
    const line = await within('the server to start', cli.line('started'));
    return new Scene(cli, (line['addresses'] as string[])[0] as string);
  }

  url(path: string): string {
    return `${this.address.replace('http', 'ws')}${path}`;
  }

  async join(): Promise<void> {
    this.followers = await Promise.all([rawFollower(this), v1Follower(this), sseFollower(this)]);
  }

  async publish(): Promise<void> {
    this.publishers = await Promise.all([rawPublisher(this), v1Publisher(this), httpPublisher(this)]);
  }

  /** Null when it is ready, else the reason. */
  async unready(): Promise<string | null> {
    const response = await fetch(`${this.address}/readyz`);
    const body = (await response.json()) as { reason?: string };
    assert.equal(response.status, body.reason === undefined ? 200 : 503);
    return body.reason ?? null;
  }

  async assertAlive(): Promise<void> {
    assert.equal((await fetch(`${this.address}/healthz`)).status, 200);
    for (const { name, closed } of this.followers)
      assert.equal(closed, null, `the ${name} follower was closed`);
  }

  /** Resolves once everybody's next message, published from now on, has reached every follower. */
  async untilFlowing(): Promise<void> {
    const wanted = this.publishers.map(({ name, count }) => `${name} ${count}`);
    for (const follower of this.followers) {
      await until(`the ${follower.name} follower has ${wanted.join(', ')}`, async () => {
        const texts = await follower.texts();
        return wanted.every((text) => texts.includes(text, texts.length - 3000));
      });
    }
  }

  /** Stops the publishers, and asserts that every follower got everything, once, in one order. */
  async settle(): Promise<void> {
    await within('the publishers to stop', Promise.all(this.publishers.map((publisher) => publisher.stop())));
    const total = this.publishers.reduce((sum, { count }) => sum + count, 0);
    const received: (readonly string[])[] = [];
    for (const follower of this.followers) {
      const texts = (): Promise<readonly string[]> => follower.texts();
      await until(
        `the ${follower.name} follower has all ${total}`,
        async () => (await texts()).length >= total,
      ).catch(async (error: Error) => {
        throw new Error(`${error.message}: ${explain(this.publishers, await texts())}`);
      });
      received.push(await texts());
    }
    for (const [i, texts] of received.entries()) {
      const { name, gaps } = this.followers[i] as Follower;
      assert.equal(explain(this.publishers, texts), '', `the ${name} follower`);
      assert.deepEqual(gaps, [], `the ${name} follower was told gaps`);
      assert.deepEqual(texts, received[0], `the ${name} follower has another order than the first`);
    }
  }

  /** Ends the server in order; resolves with the lines it logged, without those of start and stop. */
  async end(): Promise<string[]> {
    for (const follower of this.followers) await follower.leave();
    this.#cli.child.kill('SIGTERM');
    const { code, stderr } = await within('the server to stop', this.#cli.exit);
    const lines = stderr
      .split('\n')
      .filter((line) => line !== '' && !/"msg":"(started|stopp|Messages)/.test(line));
    assert.equal(code, 0, stderr);
    return lines;
  }

  /** Seconds of processor time that the server has used so far. */
  get processorS(): number {
    const stat = readFileSync(`/proc/${this.#cli.child.pid}/stat`, 'utf8');
    // After the name, which is in brackets and may hold anything, the third field is the first.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
  }
}

/** What is missing, doubled or out of order; '' when nothing is. */
function explain(publishers: readonly Numbered[], texts: readonly string[]): string {
  const faults: string[] = [];
  for (const { name, count } of publishers) {
    const own = texts.filter((text) => text.startsWith(`${name} `));
    const wrong = own.findIndex((text, i) => text !== `${name} ${i}`);
    if (wrong >= 0) faults.push(`${name}: ${own.slice(Math.max(0, wrong - 2), wrong + 3).join(', ')}`);
    else if (own.length !== count) faults.push(`${name}: ${own.length} of ${count}`);
  }
  return faults.join('; ');
}
