/**
 * A run: a real server in a process of its own, some hundreds of thousands of inputs that are wrong in as many ways,
 * and beside them a few clients that do everything right. It is judged by what it answers, by whether the others
 * notice anything, by its memory and open files, by its log, and by how it ends.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ServerNode } from '../chaos/fleet.ts';
import { endAll } from '../chaos/processes.ts';
import { Random } from '../chaos/random.ts';
import { Tally } from '../chaos/tally.ts';
import { judge } from './answer.ts';
import { play } from './attack.ts';
import { SECRET } from './grammar.ts';
import { Healthy, type HealthyResult } from './healthy.ts';
import { type Input, inputOf } from './input.ts';
import { Watch } from './watch.ts';

export interface FuzzOptions {
  readonly seed: string;
  /** How many inputs, from the number `first` on. */
  readonly inputs: number;
  readonly first: number;
  /** The built command of the server. */
  readonly main: string;
  readonly say: (line: string) => void;
}

export interface Outcome {
  readonly inputs: number;
  readonly ms: number;
  readonly tally: Tally;
  readonly peakBytes: number;
  readonly growthBytes: number;
  readonly healthy: HealthyResult;
  readonly findings: readonly string[];
  /** Where the log of the server is; null when all went well, and it is gone. */
  readonly folder: string | null;
}

/** So many inputs are under way at a time: more would wait for their answers longer than this side does. */
const AT_ONCE = 48;
/** What the process may take: some 90 MiB of its own, its log of small channels, what is half sent. */
export const MAX_RESIDENT_BYTES: number = 384 * 1024 * 1024;
/** What it may take more near the end than near the beginning. */
export const MAX_GROWTH_BYTES: number = 96 * 1024 * 1024;
/** A subscriber that does everything right waits no longer, on a machine that does nothing else. */
export const MAX_LATENCY_MS = 5000;
const MAX_FINDINGS = 20;
const MAX_FINDING_LENGTH = 700;
const SAY_MS = 15_000;
const FILES_MS = 10_000;
/** Small, so that what is bounded reaches its bounds. */
const SETTINGS = {
  STORE: 'memory',
  AUTH: 'required',
  AUTH_HS256_SECRET: SECRET,
  COMPRESSION: 'on',
  TRUST_PROXY: 'loopback',
  MAX_CONNECTIONS_PER_IP: '1000',
  LOG_LEVEL: 'info',
  MAX_MESSAGE_BYTES: '64kib',
  RETENTION_MAX_ENTRIES: '2000',
  RETENTION_MAX_BYTES: '1mib',
  RING_BYTES: '8mib',
  HEARTBEAT_MS: '2s',
  DRAIN_TIMEOUT_MS: '3s',
};

export async function fuzz(options: FuzzOptions): Promise<Outcome> {
  const run = new Run(options);
  try {
    return await run.course();
  } finally {
    endAll();
  }
}

class Run {
  readonly #options: FuzzOptions;
  readonly #random: Random;
  readonly #tally = new Tally();
  readonly #folder = mkdtempSync(join(tmpdir(), 'rivercast-fuzz-'));
  readonly #findings: string[] = [];
  #next = 0;
  #done = 0;

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  async course(): Promise<Outcome> {
    const server = await ServerNode.make({
      name: 'server',
      role: 'all',
      main: this.#options.main,
      folder: this.#folder,
      settings: SETTINGS,
      onCrash: (account) => this.#accuse(account),
    });
    await server.start();
    const watch = new Watch(server.pid);
    const healthy = await Healthy.begin(server.port);
    const files = watch.openFiles;
    const began = performance.now();
    const progress = setInterval(() => this.#options.say(this.#progress(began, watch)), SAY_MS);
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.#attack(server.port)));
    clearInterval(progress);
    const ms = performance.now() - began;
    await this.#closes(watch, files);
    const result = await healthy.end();
    watch.end();
    await this.#ends(server);
    this.#judge(watch, result);
    return this.#outcome(ms, watch, result);
  }

  async #attack(port: number): Promise<void> {
    const { first, inputs } = this.#options;
    while (this.#next < inputs && this.#findings.length < MAX_FINDINGS) {
      const number = first + this.#next;
      this.#next += 1;
      const input = inputOf(this.#random.fork(String(number)));
      const { answer, isEnded, isRefused } = await play(input, port, number);
      if (isRefused) this.#accuse(`input ${number}: nobody listens any more`);
      const verdict = judge(answer, isEnded && input.end !== 'reset', mayBeHead(input));
      for (const fault of verdict.faults) this.#accuse(`input ${number} (${input.kind}): ${fault}`);
      this.#tally.add(`input: ${input.kind}`);
      for (const said of verdict.said) this.#tally.add(`answer: ${said}`);
      this.#done += 1;
    }
  }

  /** All the connections of the inputs are closed at the other side too. */
  async #closes(watch: Watch, files: number): Promise<void> {
    const deadline = performance.now() + FILES_MS;
    // One for each HTTP connection that the healthy publisher keeps.
    const most = files + 5;
    try {
      while (watch.openFiles > most && performance.now() < deadline) await delay(50);
      if (watch.openFiles > most) this.#accuse(`${watch.openFiles} files are open, ${files} were before`);
    } catch {
      this.#accuse('the process of the server is gone');
    }
  }

  async #ends(server: ServerNode): Promise<void> {
    const code = await server.stop();
    if (code !== 0) this.#accuse(`on SIGTERM the server ended with ${code}`);
    const log = readFileSync(join(this.#folder, 'server.log'), 'utf8');
    for (const line of log.split('\n')) {
      if (line !== '' && !/"level":"(trace|debug|info|warn)"/.test(line)) this.#accuse(`in the log: ${line}`);
    }
    if (log.includes(SECRET)) this.#accuse('the secret of the tokens is in the log');
  }

  #judge(watch: Watch, { faults, latencies }: HealthyResult): void {
    for (const fault of faults) this.#accuse(`beside it, ${fault}`);
    const worst = latencies.at(-1) ?? Number.POSITIVE_INFINITY;
    if (worst > MAX_LATENCY_MS) this.#accuse(`a message took ${Math.round(worst)} ms`);
    if (watch.peak > MAX_RESIDENT_BYTES) this.#accuse(`${watch.peak} bytes of memory`);
    if (watch.growth > MAX_GROWTH_BYTES) this.#accuse(`${watch.growth} bytes of memory more at the end`);
  }

  #outcome(ms: number, watch: Watch, healthy: HealthyResult): Outcome {
    const isGood = this.#findings.length === 0;
    if (isGood) rmSync(this.#folder, { recursive: true, force: true });
    return {
      inputs: this.#done,
      ms,
      tally: this.#tally,
      peakBytes: watch.peak,
      growthBytes: watch.growth,
      healthy,
      findings: this.#findings,
      folder: isGood ? null : this.#folder,
    };
  }

  #progress(began: number, watch: Watch): string {
    const seconds = Math.round((performance.now() - began) / 1000);
    const mib = Math.round(watch.peak / 1024 / 1024);
    return `${String(seconds).padStart(5)} s  ${this.#done} inputs, ${mib} MiB at most, ${this.#findings.length} findings`;
  }

  #accuse(finding: string): void {
    if (this.#findings.length >= MAX_FINDINGS) return;
    const short = finding.slice(0, MAX_FINDING_LENGTH);
    this.#findings.push(short);
    this.#options.say(short);
  }
}

function mayBeHead({ pieces }: Input): boolean {
  return Buffer.concat(pieces).includes('HEAD');
}
