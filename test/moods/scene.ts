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
      DRAIN_SECONDS: '0',
      ...settings,
    };
    const cli = startCli(t, { env });
    const line = await within('the server to start', cli.line('started'));
    return new Scene(cli, (line['addresses'] as string[])[0] as string);
  }

  url(path: string): string {
    return `${this.address.replace('http', 'ws')}${path}`;
  }

  /** `query` says where to begin. */
  async join(query: string = ''): Promise<void> {
    const kinds = [rawFollower, v1Follower, sseFollower];
    this.followers = await Promise.all(kinds.map((follow) => follow(this, query)));
  }

  /** `after`: what their names end with, where others published before. */
  async publish(after: string = ''): Promise<void> {
    const publishers = [
      rawPublisher(this, { name: `raw${after}` }),
      v1Publisher(this, { name: `v1${after}` }),
      httpPublisher(this, { name: `http${after}` }),
    ];
    this.publishers = [...this.publishers, ...(await Promise.all(publishers))];
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
  async untilFlowing(followers: readonly Follower[] = this.followers): Promise<void> {
    const wanted = this.publishers
      .filter(({ isStopped }) => !isStopped)
      .map(({ name, count }) => `${name} ${count}`);
    for (const follower of followers) {
      await until(`the ${follower.name} follower has ${wanted.join(', ')}`, async () => {
        const texts = await follower.texts();
        return wanted.every((text) => texts.includes(text, Math.max(0, texts.length - 3000)));
      });
    }
  }

  /** Stops the publishers, and asserts that every follower got everything, once, in one order. */
  async settle(): Promise<void> {
    await this.stopPublishing();
    const received: (readonly string[])[] = [];
    for (const follower of this.followers) {
      received.push(await this.assertComplete(follower));
      assert.deepEqual(follower.gaps, [], `the ${follower.name} follower was told gaps`);
      assert.deepEqual(
        received.at(-1),
        received[0],
        `the ${follower.name} follower has another order than the first`,
      );
    }
  }

  async stopPublishing(): Promise<void> {
    await within('the publishers to stop', Promise.all(this.publishers.map((publisher) => publisher.stop())));
  }

  /** Resolves with what the follower got once that is everything of these publishers, once, in order. */
  async assertComplete(
    follower: Follower,
    publishers: readonly Numbered[] = this.publishers,
  ): Promise<readonly string[]> {
    const fault = async (): Promise<string> => explain(publishers, await follower.texts());
    await until('it has all', async () => (await fault()) === '').catch(() => undefined);
    assert.equal(await fault(), '', `the ${follower.name} follower`);
    return follower.texts();
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
