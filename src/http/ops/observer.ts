/**
 * Reads the numbers of this process when somebody asks: all its parts keep plain counts, which are put together here,
 * and its subscribers are looked at one by one. However many ask, it looks a few times a second at most.
 */
import { randomBytes } from 'node:crypto';
import type { Broadcaster, BroadcasterStats } from '../../broadcaster/broadcaster.ts';
import { matcher, retentionBy } from '../../channels.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config.ts';
import type { Log } from '../../log/log.ts';
import type { Manager } from '../../manager/manager.ts';
import type { Sweeper } from '../../manager/sweeper.ts';
import {
  type BroadcasterReadings,
  type ByLabel,
  type LagReadings,
  lagDistributions,
  type ManagerReadings,
  type Measured,
  type Readings,
} from '../../readings.ts';
import type { Refusals } from '../../refusals.ts';
import { VERSION } from '../../version.ts';
import type { Incomplete } from '../limits/incomplete.ts';
import type { LimitCounter } from '../limits/limit-counter.ts';
import type { Entrance } from '../listen/entrance.ts';
import type { Publishing } from '../publish/publish.ts';
import type { Doors } from '../ws/doors.ts';
import { type Listed, listSubscribers, type Order } from './listing.ts';
import { LoopDelay, processReadings } from './process.ts';
import type { Readiness } from './readiness.ts';
import { type Survey, survey, Tally } from './survey.ts';
import { Throughput, type Totals } from './throughput.ts';

/** For so long a look serves all who ask. */
const FRESH_MS = 200;
/** Enough to tell the processes of a server apart, and few enough to be read. */
const ID_BYTES = 4;

export interface ObserverOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly measured: Measured;
  readonly manager: Manager | null;
  readonly publishing: Publishing | null;
  readonly broadcaster: Broadcaster | null;
  readonly doors: Doors;
  readonly readiness: Readiness;
  readonly limits: LimitCounter;
  readonly refusals: Refusals;
  readonly incomplete: Incomplete;
}

/** What comes to be when the server begins to be reached. */
export interface Started {
  readonly entrance: Entrance;
  readonly sweeper: Sweeper | null;
}

export class Observer {
  readonly measured: Measured;
  readonly #id = randomBytes(ID_BYTES).toString('hex');
  readonly #options: ObserverOptions;
  readonly #classOf: (channel: string) => string;
  #started: Started | null = null;
  #loopDelay: LoopDelay | null = null;
  readonly #throughput = new Throughput();
  #trimmed = 0;
  #look: { readonly at: number; readonly readings: Promise<Readings> } | null = null;

  constructor(options: ObserverOptions) {
    const { config, measured } = options;
    this.#options = options;
    this.measured = measured;
    this.#classOf = classesBy(config);
  }

  start(started: Started): void {
    const { config, measured } = this.#options;
    this.#started = started;
    if (config.observability.metrics) this.#loopDelay = new LoopDelay(measured.loopDelaySeconds);
  }

  /** Entries were removed because somebody asked for it. */
  trimmed(entries: number): void {
    this.#trimmed += entries;
  }

  /** Regular work, about once a second. */
  tick(): void {
    this.#throughput.sample(this.#options.clock.monotonic(), this.#totals());
  }

  close(): void {
    this.#loopDelay?.close();
  }

  /** Never rejects for what the log does. */
  readings(): Promise<Readings> {
    const now = this.#options.clock.monotonic();
    if (this.#look === null || now - this.#look.at >= FRESH_MS) {
      this.#look = { at: now, readings: this.#read() };
    }
    return this.#look.readings;
  }

  /** What went through, a second, over the last seconds. */
  rates(): { readonly windowSeconds: number; readonly rates: Totals } {
    return this.#throughput.perSecond(this.#options.clock.monotonic(), this.#totals());
  }

  /** Null when this process delivers nothing. */
  async subscribers(asked: { readonly order: Order; readonly limit: number }): Promise<Listed[] | null> {
    const { broadcaster, clock } = this.#options;
    return broadcaster === null ? null : listSubscribers(broadcaster, clock, asked);
  }

  async #read(): Promise<Readings> {
    const { config, readiness, limits, refusals, incomplete } = this.#options;
    const [taken, open, verdict, health, seen] = await Promise.all([
      processReadings(),
      this.#started?.entrance.sockets() ?? 0,
      readiness.look(),
      readiness.log(),
      this.#survey(),
    ]);
    const staying = [...this.#publishers(), ...seen.connections];
    return {
      process: {
        ...taken,
        id: this.#id,
        version: VERSION,
        role: config.role,
        store: config.log.store,
        loopDelayMaxS: this.#loopDelay?.maxSeconds ?? null,
      },
      bounds: boundsOf(config),
      isReady: verdict.status === 'ready',
      log: { ...health, durability: durabilityOf(config) },
      sockets: open,
      connections: [...staying, others(open, staying)],
      accepted: this.#accepted(),
      refusals: refusals.counts,
      closes: refusals.closes,
      limits: limits.counts,
      incompleteBytes: incomplete.bytes,
      manager: this.#managerReadings(),
      broadcaster: this.#broadcasterReadings(seen.lag),
    };
  }

  async #survey(): Promise<Survey> {
    const { broadcaster, log, clock, config } = this.#options;
    if (broadcaster === null) return { connections: [], lag: NO_LAG };
    const retention = retentionBy(config.log.retention, config.log.retentionRules);
    return survey({ broadcaster, log, clock, retention, classOf: this.#classOf });
  }

  #publishers(): ByLabel[] {
    const tally = new Tally();
    const publishers = this.#options.doors.publishDoor?.publishers() ?? [];
    for (const { format, channel } of publishers) tally.add(format, this.#classOf(channel));
    return tally.byLabel('publisher');
  }

  #accepted(): ByLabel[] {
    const { doors, broadcaster } = this.#options;
    const sent = Object.entries(broadcaster?.stats().counts.sent ?? {});
    return [
      ...Object.entries(doors.publishDoor?.joined ?? {}).map(([format, value]) => ({
        labels: { role: 'publisher', format },
        value,
      })),
      ...sent.map(([format, { joined }]) => ({ labels: { role: 'subscriber', format }, value: joined })),
    ];
  }

  #managerReadings(): ManagerReadings | null {
    const { manager, publishing } = this.#options;
    if (manager === null) return null;
    const { intake, unstoredBytes, paused } = manager;
    return {
      received: intake.received,
      stored: intake.entriesStored,
      duplicates: intake.duplicates,
      failures: intake.failures,
      unstoredBytes,
      paused,
      posts: publishing?.posts ?? 0,
      trimmed: this.#trimmed,
      sweeps: this.#started?.sweeper?.counts ?? { done: 0, failed: 0, removed: 0, forgotten: 0 },
    };
  }

  #broadcasterReadings(lag: LagReadings): BroadcasterReadings | null {
    const stats: BroadcasterStats | undefined = this.#options.broadcaster?.stats();
    if (stats === undefined) return null;
    const { counts, ...numbers } = stats;
    return { ...numbers, ...counts, lag };
  }

  #totals(): Totals {
    const { manager, broadcaster } = this.#options;
    const received = Object.values(manager?.intake.received ?? {});
    const sent = Object.values(broadcaster?.stats().counts.sent ?? {});
    return {
      receivedEntries: sum(received.map(({ entries }) => entries)),
      receivedBytes: sum(received.map(({ bytes }) => bytes)),
      storedEntries: manager?.intake.entriesStored ?? 0,
      deliveredEntries: sum(sent.map(({ entries }) => entries)),
      deliveredBytes: sum(sent.map(({ bytes }) => bytes)),
      writes: sum(sent.map(({ writes }) => writes)),
    };
  }
}

const NO_LAG: LagReadings = {
  ...lagDistributions(),
  worstEntries: 0,
  worstSeconds: 0,
  edge: { worstRatio: 0, near: 0 },
};

/** Only Redis is asked for it. */
function durabilityOf({ log: { store, durability } }: Config): string | null {
  return store === 'redis' ? durability.level : null;
}

/** The class of a channel: what the operator named, else `default` for the default channel, else `other`. */
function classesBy({ log, observability }: Config): (channel: string) => string {
  const named = observability.channelClasses.map(({ channels, name }) => [channels, name] as const);
  return matcher(new Map([[log.stream, 'default'], ...named]), 'other');
}

function boundsOf({ broadcaster, manager, limits }: Config): ByLabel[] {
  const bounds = {
    ring: broadcaster.ringBytes,
    stalled: broadcaster.stalledBytes,
    unstored: manager.bufferBytes,
    incomplete: limits.incompleteBytes,
  };
  return Object.entries(bounds).map(([bound, value]) => ({ labels: { bound }, value }));
}

/** Requests, handshakes, and those who do not say what they want. */
function others(open: number, staying: readonly ByLabel[]): ByLabel {
  const value = Math.max(0, open - sum(staying.map((kind) => kind.value)));
  return { labels: { role: 'other', format: 'http', channel_class: 'none' }, value };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
