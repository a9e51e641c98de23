/** kill -9 of the writer, and of Redis, at random moments: what was acknowledged is there, once, in order. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Entry } from '../../src/log/log.ts';
import { LIMITS, openLog } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';

const WRITER = fileURLToPath(new URL('./redis-writer.js', import.meta.url));
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always'];
const KILLS = 10;

class Writer {
  readonly run: string;
  readonly acks = new Map<number, string>();
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #text = '';

  constructor(url: string, run: string) {
    this.run = run;
    this.#child = spawn(process.execPath, ['--enable-source-maps', WRITER, url, run], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#exited = once(this.#child, 'close');
    this.#child.stdout?.setEncoding('utf8');
    this.#child.stdout?.on('data', (text: string) => this.#take(text));
  }

  /** Resolves once at least `count` entries were acknowledged. */
  async acknowledged(count: number): Promise<void> {
    while (this.acks.size < count) await once(this.#child.stdout as NodeJS.ReadableStream, 'data');
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Lets it finish what it has begun. */
  async finish(): Promise<void> {
    this.#child.stdin?.end();
    await this.#exited;
    assert.equal(this.#child.exitCode, 0);
  }

  #take(text: string): void {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      const [, number, id] = line.split(' ') as [string, string, string];
      this.acks.set(Number(number), id);
    }
  }
}

test('kill -9 of the writer loses nothing that was acknowledged and stores nothing twice', async (t) => {
  await using server = await RedisServer.start(...DURABLE);
  const writers: Writer[] = [];
  for (let i = 0; i < KILLS; i++) {
    const writer = new Writer(server.url, `run${i}`);
    t.after(() => writer.kill());
    writers.push(writer);
    await writer.acknowledged(1);
    await delay(Math.random() * 100);
    await writer.kill();
  }
  const entries = await readAll(server.url);
  for (const writer of writers) assertHolds(entries, writer);
  assertChained(entries);
});

test('kill -9 of Redis loses nothing that was acknowledged and stores nothing twice', async (t) => {
  await using server = await RedisServer.start(...DURABLE);
  const writer = new Writer(server.url, 'run');
  t.after(() => writer.kill());
  for (let i = 0; i < KILLS; i++) {
    await writer.acknowledged(writer.acks.size + 1);
    await delay(Math.random() * 100);
    await server.kill();
    await server.mendAppendOnlyFile();
    await server.restart();
  }
  await writer.acknowledged(writer.acks.size + 1);
  await writer.finish();
  const entries = await readAll(server.url);
  assertHolds(entries, writer);
  assert.equal(entries.length, writer.acks.size);
  assertChained(entries);
});

async function readAll(url: string): Promise<Entry[]> {
  const closing: (() => Promise<void>)[] = [];
  const log = await openLog({ after: (close: () => Promise<void>) => closing.push(close) }, url);
  const entries: Entry[] = [];
  for (let after = await log.locate('local-q', { at: 'earliest' }); ; ) {
    const page = await log.read('local-q', after, LIMITS);
    assert.deepEqual(page.gaps, []);
    if (page.entries.length === 0) break;
    entries.push(...page.entries);
    after = page.end;
  }
  for (const close of closing) await close();
  return entries;
}

/** The run's entries count on from 0, each is whole, and each acknowledged one has the id that was told. */
function assertHolds(entries: readonly Entry[], { run, acks }: Writer): void {
  const own = entries.filter((entry) => entry.data.toString().startsWith(`${run} `));
  own.forEach((entry, number) => {
    assert.equal(entry.data.toString(), `${run} ${number} ${'x'.repeat((number * 37) % 2000)}`);
  });
  assert.ok(acks.size > 0);
  for (const [number, id] of acks) assert.equal(own[number]?.id, id, `${run} ${number}`);
}

function assertChained(entries: readonly Entry[]): void {
  entries.forEach((entry, i) => {
    assert.equal(entry.prev, entries[i - 1]?.id ?? '0-0');
    assert.equal(entry.ordinal, i + 1);
  });
}
