/**
 * A run: real servers, a real Redis with replica and sentinel or the embedded log, publishers and subscribers that
 * do as real ones do; all of it killed, stopped, paused and failed over at random; then healed, read to the end,
 * and judged. It ends in bounded time, whatever hangs, and nothing that it started outlives it.
 */
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Book } from './book.ts';
import { type Crowd, gather } from './crowd.ts';
import { disturb } from './faults.ts';
import { type Role, ServerNode } from './fleet.ts';
import { type History, readHistory } from './history.ts';
import { endAll } from './processes.ts';
import { Random } from './random.ts';
import { RedisTrio } from './redis-trio.ts';
import { Tally } from './tally.ts';
import { judge } from './verdict.ts';
import type { Violation } from './violation.ts';

export interface ChaosOptions {
  readonly store: 'embedded' | 'redis';
  /** What it means that a message is stored; the embedded log knows only one. */
  readonly durability: 'memory' | 'replicated';
  /** Whether an old master may go on taking messages while there is a new one: more than Rivercast promises. */
  readonly twoMasters: boolean;
  /** How long the faults go on. */
  readonly ms: number;
  /** While too little was done by then, as on a machine that has other things to do, they go on for up to so long. */
  readonly mostMs?: number;
  readonly isEnough?: (tally: Tally) => boolean;
  readonly seed: string;
  /** The built command of the server. */
  readonly main: string;
  /** Messages a second. */
  readonly rate: number;
  /** Subscribers of each door, habit and, where a door has only one, channel. */
  readonly each: number;
  /** Between two faults, at most. */
  readonly restMs: number;
  readonly say: (line: string) => void;
}

export interface Outcome {
  readonly tally: Tally;
  readonly violations: readonly Violation[];
  /** Where the logs of the processes are; null when all went well, and they are gone. */
  readonly folder: string | null;
}

const CHANNELS = ['chaos.a', 'chaos.b', 'chaos.c'];
const REDIS_ROLES: readonly Role[] = ['manager', 'manager', 'broadcaster', 'broadcaster'];
/** Everything may be tried again for so long once nothing is broken any more. */
const PATIENCE_MS = 60_000;
/** What a run may take beyond the time of its faults. */
const GRACE_MS = 240_000;
/** Published after the last fault: everybody hears of a history that was lost before it. */
const QUIET_MS = 2000;
const POLL_MS = 50;

export async function chaos(options: ChaosOptions): Promise<Outcome> {
  const run = new Run(options);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the run hangs')), (options.mostMs ?? options.ms) + GRACE_MS);
  });
  try {
    await Promise.race([run.course(), late]);
  } catch (error) {
    run.fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    clearTimeout(timer);
    await run.end();
  }
  return run.outcome();
}

class Run {
  readonly #options: ChaosOptions;
  readonly #random: Random;
  readonly #tally = new Tally();
  readonly #folder = mkdtempSync(join(tmpdir(), 'rivercast-chaos-'));
  readonly #violations: Violation[] = [];
  readonly #books: readonly Book[];
  readonly #nodes: ServerNode[] = [];
  readonly #enough = new AbortController();
  #trio: RedisTrio | null = null;
  #crowd: Crowd | null = null;

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#books = CHANNELS.map((channel) => new Book(channel, options.store === 'redis'));
  }

  async course(): Promise<void> {
    const { store, ms } = this.#options;
    if (store === 'redis') this.#trio = await RedisTrio.start(this.#folder);
    await this.#startServers();
    const crowd = this.#gather();
    this.#crowd = crowd;
    const progress = setInterval(() => this.#say(this.#progress()), 60_000);
    await this.#disturb(ms).finally(() => clearInterval(progress));
    this.#say('everything runs again');
    await delay(QUIET_MS);
    for (const publisher of crowd.publishers) publisher.stop();
    for (const subscriber of crowd.subscribers) subscriber.settle();
    await this.#until('all messages are acknowledged', () =>
      crowd.publishers
        .filter(({ inFlight }) => inFlight > 0)
        .map(({ name, inFlight }) => `${name}: ${inFlight}`),
    );
    const histories = await Promise.all(this.#books.map((book) => this.#history(book.channel)));
    await this.#until('all subscribers have come to the end', () => this.#notAtEnd(crowd, histories));
    this.#judge(crowd, histories);
  }

  fail(account: string): void {
    this.#accuse({ fault: 'misbehaved', account });
  }

  async end(): Promise<void> {
    this.#enough.abort();
    for (const subscriber of this.#crowd?.subscribers ?? []) subscriber.end();
    for (const publisher of this.#crowd?.publishers ?? []) await publisher.end();
    // Asked for, so that it is no crash.
    await Promise.all([...this.#nodes.map((node) => node.kill()), this.#trio?.end()]);
    endAll();
  }

  outcome(): Outcome {
    const isGood = this.#violations.length === 0;
    if (isGood) rmSync(this.#folder, { recursive: true, force: true });
    return { tally: this.#tally, violations: this.#violations, folder: isGood ? null : this.#folder };
  }

  async #startServers(): Promise<void> {
    const { main, store, durability } = this.#options;
    const own: Record<string, string> =
      this.#trio === null
        ? { STORE: 'embedded', DATA_DIR: join(this.#folder, 'data') }
        : { STORE: 'redis', REDIS_URL: this.#trio.url, DURABILITY: durability };
    // Small and short, so that in a few minutes everything happens that can.
    const small = {
      RING_BYTES: '256kib',
      OVERLOADED_AFTER_MS: '1s',
      HEARTBEAT_MS: '2s',
      DRAIN_TIMEOUT_MS: '3s',
      DRAIN_SECONDS: '0',
    };
    const settings = { ...small, LOG_LEVEL: 'info', ...own };
    const roles: readonly Role[] = store === 'redis' ? REDIS_ROLES : ['all'];
    for (const [i, role] of roles.entries()) {
      const onCrash = (account: string): void => this.fail(account);
      const options = { name: `${role}-${i}`, role, main, folder: this.#folder, settings, onCrash };
      this.#nodes.push(await ServerNode.make(options));
    }
    await Promise.all(this.#nodes.map((node) => node.start()));
  }

  #gather(): Crowd {
    const { rate, each, ms } = this.#options;
    return gather({
      books: this.#books,
      nodes: this.#nodes,
      random: this.#random,
      tally: this.#tally,
      rate,
      each,
      ms,
      mayForgetEpoch: this.#trio === null,
      onViolation: (violation) => this.#accuse(violation),
    });
  }

  async #disturb(ms: number): Promise<void> {
    const { mostMs = ms, isEnough = () => true } = this.#options;
    const start = performance.now();
    const timer = setInterval(() => {
      const pastMs = performance.now() - start;
      if (pastMs >= mostMs || (pastMs >= ms && isEnough(this.#tally))) this.#enough.abort();
    }, POLL_MS);
    try {
      await disturb({
        nodes: this.#nodes,
        trio: this.#trio,
        random: this.#random,
        tally: this.#tally,
        mayLose: this.#mayLose,
        twoMasters: this.#options.twoMasters,
        restMs: this.#options.restMs,
        say: (line) => this.#say(line),
        signal: this.#enough.signal,
      });
    } finally {
      clearInterval(timer);
    }
  }

  get #mayLose(): boolean {
    return this.#trio !== null && this.#options.durability === 'memory';
  }

  /** Of every node that has it: all must hold the same. */
  async #history(channel: string): Promise<History> {
    const nodes = this.#nodes.filter(({ role }) => role !== 'manager');
    const histories: History[] = [];
    for (const node of nodes) histories.push(await readHistory(node.url('http', ''), channel));
    const [first] = histories as [History];
    for (const fault of first.faults)
      this.#accuse({ fault: 'foreign', account: `${channel}: the log ${fault}` });
    const isSame = histories.every(({ entries }) => {
      return (
        entries.length === first.entries.length && entries.every(({ id }, i) => id === first.entries[i]?.id)
      );
    });
    if (!isSame) this.fail(`${channel}: the nodes disagree on what it holds`);
    return first;
  }

  #notAtEnd({ subscribers }: Crowd, histories: readonly History[]): string[] {
    const tips = new Map(this.#books.map((book, i) => [book, histories[i]?.entries.at(-1)]));
    return subscribers
      .flatMap(({ stories }) => stories)
      .filter((story) => {
        const tip = tips.get(story.book);
        return tip !== undefined && !story.isAt(tip);
      })
      .map(({ book, subscriber, cursor }) => `${book.channel}: ${subscriber} at ${cursor}`);
  }

  #judge({ subscribers }: Crowd, histories: readonly History[]): void {
    const stories = subscribers.flatMap((subscriber) => subscriber.stories);
    for (const [i, book] of this.#books.entries()) {
      const own = stories.filter((story) => story.book === book);
      const log = histories[i]?.entries ?? [];
      const evidence = { book, log, stories: own, mayLose: this.#mayLose, mayReset: this.#trio !== null };
      const verdict = judge(evidence);
      for (const violation of verdict.violations) this.#accuse(violation);
      this.#tally.add('acknowledged, lost by Redis, and told', verdict.lostAndTold);
      this.#tally.add('entries seen that Redis lost', verdict.void);
      this.#tally.add('messages in the log', log.length);
    }
    for (const story of stories) {
      this.#tally.add('received', story.received);
      for (const item of story.items)
        if (item.kind === 'gap') this.#tally.add(`gaps told: ${item.reason ?? '4410'}`);
    }
  }

  /** What does not come true in time is a finding; the rest is judged nevertheless. `missing`: what keeps it. */
  async #until(what: string, missing: () => readonly string[]): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let left = missing(); left.length > 0; left = missing()) {
      if (performance.now() > deadline)
        return this.fail(`waited ${PATIENCE_MS} ms until ${what}: ${left.join('; ')}`);
      await delay(POLL_MS);
    }
  }

  #progress(): string {
    const of = (name: string): number => this.#tally.of(name);
    return `${of('acknowledged')} acknowledged, ${this.#tally.sum('kills')} kills, ${of('failovers')} failovers, ${of('retries')} retries, ${of('duplicates suppressed')} duplicates suppressed, ${of('resumes')} resumes, ${this.#violations.length} violations`;
  }

  #say(line: string): void {
    appendFileSync(join(this.#folder, 'chaos.log'), `${new Date().toISOString()} ${line}\n`);
    this.#options.say(line);
  }

  #accuse(violation: Violation): void {
    this.#violations.push(violation);
    // It has failed: what led to it is best looked at while it is fresh.
    this.#enough.abort();
  }
}
