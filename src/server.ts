/**
 * The composition root: builds the graph from a Config, leaf first, and stops it in reverse.
 *
 *   doors ─▶ manager ─▶ log ─▶ broadcaster ─▶ doors
 *
 * What a role means is decided here: which of the two halves exists.
 */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Broadcaster, type BroadcasterStats } from './broadcaster/broadcaster.ts';
import { NO_DELIVERY_MEASURES } from './broadcaster/counts.ts';
import { retentionBy } from './channels.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Config, LogConfig } from './config.ts';
import { Access } from './http/auth/access.ts';
import { ClientAddresses } from './http/auth/client-address.ts';
import { Connections } from './http/connections/connections.ts';
import { Guests } from './http/connections/guests.ts';
import { TimerWheel, VISITS_PER_HEARTBEAT } from './http/connections/timer-wheel.ts';
import { type FirstPageOptions, readConsole } from './http/console.ts';
import { History, type HistoryOptions } from './http/history/history.ts';
import { Incomplete } from './http/limits/incomplete.ts';
import { LimitCounter, type LimitCounts, type LimitName } from './http/limits/limit-counter.ts';
import type { Entrance } from './http/listen/entrance.ts';
import { Front } from './http/listen/front.ts';
import { Listener, type ListenOptions } from './http/listen/listener.ts';
import { Observer } from './http/ops/observer.ts';
import { Readiness } from './http/ops/readiness.ts';
import { Publishing } from './http/publish/publish.ts';
import { createRoutes } from './http/routes.ts';
import { Doors, type DoorsOptions } from './http/ws/doors.ts';
import type { Log } from './log/log.ts';
import { openLog } from './log/open.ts';
import type { Logger } from './logger.ts';
import { NO_APPEND_MEASURES } from './manager/batcher.ts';
import { Manager } from './manager/manager.ts';
import { Rates } from './manager/rate.ts';
import { Sweeper } from './manager/sweeper.ts';
import { CLOSE } from './protocol/close.ts';
import { Measured } from './readings.ts';
import { Refusals } from './refusals.ts';
import { NO_TRACING, SpanTracing, type Tracing } from './tracing.ts';

const MAX_TICK_MS = 1000;
/** Of the time that a stop may take, so much is kept for what comes after the storing. */
const FAREWELL_SHARE = 0.3;
/** How long connections are waited for once all have been told. */
const FAREWELL_MS = 3000;

export interface ServerStats extends Partial<BroadcasterStats> {
  readonly connections: number;
  readonly publishers: number;
  /** Requests to publish that are not answered yet. */
  readonly posts: number;
  /** Received from publishers and not yet stored. */
  readonly unstoredBytes: number;
  /** Memory for what clients have begun and not finished. */
  readonly incompleteBytes: number;
  /** How often each limit was crossed. */
  readonly limits: LimitCounts;
}

export interface RunningServer {
  /** `http://127.0.0.1:3000`, one for each port it listens on. */
  readonly addresses: readonly string[];
  stats(): ServerStats;
  /** Resolves with the reason when the server can not go on: its store failed. Stop it then. */
  readonly failed: Promise<Error>;
  /** Reads again what may change while it runs: the certificate. False: there is nothing. What comes of it is logged. */
  reload(): boolean;
  /**
   * Is not ready any more, stops accepting, stores what publishers sent, delivers what is stored, tells subscribers
   * where to resume, a few at a time. Resolves within the times of `Config.drain`; false when something was left
   * undone. Idempotent.
   */
  stop(): Promise<boolean>;
}

interface Parts {
  readonly config: Config;
  readonly logger: Logger;
  readonly log: Log;
  readonly manager: Manager | null;
  readonly publishing: Publishing | null;
  readonly broadcaster: Broadcaster | null;
  readonly access: Access;
  readonly readiness: Readiness;
  readonly connections: Connections;
  readonly doors: Doors;
  readonly entrance: Entrance;
  readonly observer: Observer;
  readonly limits: LimitCounter;
  readonly incomplete: Incomplete;
  readonly ticker: NodeJS.Timeout;
  /** Null when this process takes nothing in. */
  readonly sweeper: Sweeper | null;
}

/** Who appends nothing needs no Redis that could confirm it. */
function logFor({ role, log }: Config): LogConfig {
  return role === 'broadcaster' ? { ...log, durability: { ...log.durability, level: 'memory' } } : log;
}

/** Rejects with StartError when it cannot start. `open` opens the log: of the configured store, unless told. */
export async function startServer(
  config: Config,
  logger: Logger,
  open: typeof openLog = openLog,
): Promise<RunningServer> {
  const { running } = await startBehind({ config, logger, open, enter: (inside) => Listener.open(inside) });
  return running;
}

export interface StartOptions<Way extends Entrance> {
  readonly config: Config;
  readonly logger: Logger;
  readonly open: typeof openLog;
  /** Opens the way in, once everything behind it is there. */
  readonly enter: (inside: ListenOptions) => Promise<Way>;
}

export interface Started<Way extends Entrance> {
  readonly running: RunningServer;
  readonly entrance: Way;
  /** Null when this process takes nothing in. */
  readonly manager: Manager | null;
  /** Null when this process gives nothing out. */
  readonly broadcaster: Broadcaster | null;
}

/** The server behind an entrance of the caller's choice. Rejects with StartError when it cannot start. */
export async function startBehind<Way extends Entrance>(options: StartOptions<Way>): Promise<Started<Way>> {
  const { config, logger, open, enter } = options;
  const clock: Clock = systemClock;
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const log = await open(logFor(config), { clock, logger, onFailure: (error) => fail(error) });
  try {
    let entrance: Way | null = null;
    const parts = await assemble({ config, logger, clock, log }, async (inside) => {
      entrance = await enter(inside);
      return entrance;
    });
    let stopping: Promise<boolean> | null = null;
    const running: RunningServer = {
      addresses: parts.entrance.addresses,
      stats: () => statsOf(parts),
      failed,
      reload: () => parts.entrance.reload(),
      stop: () => (stopping ??= stop(parts)),
    };
    const { manager, broadcaster } = parts;
    return { running, entrance: entrance as unknown as Way, manager, broadcaster };
  } catch (error) {
    await log.close();
    throw error;
  }
}

interface Given {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly log: Log;
}

async function assemble(
  { config, logger, clock, log }: Given,
  enter: (inside: ListenOptions) => Promise<Entrance>,
): Promise<Parts> {
  const { role } = config;
  const { heartbeatMs } = config.http;
  const measured = new Measured();
  const tracing = tracingOf(config, logger);
  const { manager, broadcaster } = halvesOf(config, { log, clock, logger, tracing }, measured);
  const tickMs = Math.min(MAX_TICK_MS, heartbeatMs / VISITS_PER_HEARTBEAT);
  const wheel = new TimerWheel(Math.floor(heartbeatMs / VISITS_PER_HEARTBEAT / tickMs));
  const connections = new Connections(wheel, config.quotas.maxConnections);
  const limits = new LimitCounter();
  const callers = await callersOf(config, { clock, logger, limits, connections });
  const { access, guests, rates, refusals } = callers;
  const publishing = manager === null ? null : publishingOf(config, manager, { ...callers, tracing });
  const doors = new Doors({ config, clock, logger, connections, manager, broadcaster, ...callers });
  const readiness = new Readiness({ log, clock, appends: manager !== null, broadcaster });
  const observer = new Observer({
    ...{ config, clock, log, measured, manager, publishing, broadcaster, doors, readiness, limits },
    ...{ incomplete: callers.incomplete, refusals },
  });
  const guarded = { policy: config.http, access, isDraining: () => doors.isDraining };
  const routes = createRoutes({
    logger,
    readiness,
    channels: {
      ...guarded,
      ...{ log, clock, role, publishing },
      subscribersOf: (channel) => broadcaster?.countOf(channel) ?? 0,
      history: broadcaster === null ? null : historyOf(config, { log, clock, logger, guests }),
      onTrimmed: (removed) => observer.trimmed(removed),
    },
    sse: {
      ...guarded,
      ...{ role, broadcaster, connections, guests, clock, refusals },
      defaultChannel: config.log.stream,
      lingerMs: config.http.lingerMs,
    },
    contracts: { role, policy: config.http },
    ops: { ...guarded, observer, metrics: config.observability.metrics },
    doorPaths: doors.paths,
    firstPage: firstPageOf(config),
    refusals,
  });
  const isStreaming = (socket: Socket): boolean => publishing?.isStreaming(socket) ?? false;
  await routes.ready();
  const met = { limits: config.limits, crossed: callers.crossed, refusals };
  const front = new Front({ ...met, routes, doors });
  const entrance = await enter({ ...met, config: config.http, clock, logger, front, isStreaming });
  const ticking = [wheel, guests, rates, manager, broadcaster, observer];
  const ticker = setInterval(() => {
    for (const one of ticking) one?.tick();
  }, tickMs);
  const sweeper = manager === null ? null : new Sweeper({ log, logger, everyMs: config.log.sweepMs });
  observer.start({ entrance, sweeper });
  const made = { ...callers, manager, publishing, broadcaster, sweeper, readiness, observer };
  return { config, logger, log, ...made, connections, doors, entrance, ticker, limits };
}

function tracingOf({ observability }: Config, logger: Logger): Tracing {
  if (!observability.tracing) return NO_TRACING;
  return new SpanTracing(() =>
    logger.warn('TRACING is on, but no SDK of OpenTelemetry was loaded: spans go nowhere'),
  );
}

/** What this process does, by its role. */
function halvesOf(
  { role, manager, broadcaster, observability }: Config,
  shared: {
    readonly log: Log;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly tracing: Tracing;
  },
  measured: Measured,
): { readonly manager: Manager | null; readonly broadcaster: Broadcaster | null } {
  const { appendSeconds: seconds, batchEntries: entries } = measured;
  const [appends, deliveries] = observability.metrics
    ? [{ seconds, entries }, measured]
    : [NO_APPEND_MEASURES, NO_DELIVERY_MEASURES];
  return {
    manager: role === 'broadcaster' ? null : new Manager({ ...shared, config: manager, measures: appends }),
    broadcaster:
      role === 'manager' ? null : new Broadcaster({ ...shared, config: broadcaster, measures: deliveries }),
  };
}

type Callers = Pick<DoorsOptions, 'access' | 'guests' | 'rates' | 'incomplete' | 'crossed' | 'refusals'>;

/** Who may come, who is here, and how much they may. Rejects with StartError when a file of keys cannot be read. */
async function callersOf(
  config: Config,
  {
    clock,
    logger,
    limits,
    connections,
  }: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly limits: LimitCounter;
    readonly connections: Connections;
  },
): Promise<Callers> {
  const access = await Access.open({ config: config.auth, clock, logger });
  const addresses = new ClientAddresses(config.http.trustProxy);
  const guests = new Guests({ access, addresses, connections, clock, limits: config.quotas });
  const incomplete = new Incomplete(config.limits.incompleteBytes);
  const crossed = (limit: LimitName): void => limits.count(limit);
  const rates = new Rates(clock, config.quotas);
  return { access, guests, rates, incomplete, crossed, refusals: new Refusals() };
}

function historyOf(
  config: Config,
  shared: Pick<HistoryOptions, 'log' | 'clock' | 'logger' | 'guests'>,
): History {
  const retention = retentionBy(config.log.retention, config.log.retentionRules);
  const maxAgeMs = (channel: string): number => retention(channel).maxAgeMs;
  return new History({ ...shared, maxAgeMs, idleTimeoutMs: config.http.idleTimeoutMs });
}

function publishingOf(
  config: Config,
  manager: Manager,
  shared: Callers & { readonly tracing: Tracing },
): Publishing {
  const { rates, guests, incomplete, crossed, refusals, tracing } = shared;
  const { idleTimeoutMs } = config.http;
  const { maxMessageBytes } = config.manager;
  return new Publishing({
    manager,
    rates,
    guests,
    maxMessageBytes,
    idleTimeoutMs,
    incomplete,
    crossed,
    refusals,
    tracing,
  });
}

async function stop(parts: Parts): Promise<boolean> {
  const { config, logger, log, manager, publishing, broadcaster, connections, doors, entrance } = parts;
  const { delayMs, spreadMs, timeoutMs } = config.drain;
  parts.readiness.leave();
  if (delayMs > 0) await delay(delayMs);
  const storing = AbortSignal.timeout(timeoutMs * (1 - FAREWELL_SHARE));
  const ending = AbortSignal.timeout(spreadMs + timeoutMs);
  entrance.stop();
  const swept = parts.sweeper?.close();
  await Promise.all([doors.closePublishers(storing), publishing?.leave(storing)]);
  const stored = (await manager?.drain(storing)) ?? true;
  await publishing?.answered(storing);
  if (!stored) {
    logger.error({ bytes: manager?.unstoredBytes }, 'stopping although not everything received is stored');
  }
  if (broadcaster !== null) {
    await settle(broadcaster, storing, logger);
    await broadcaster.closeAll(CLOSE.draining, spreadMs, ending);
  }
  // Whoever does not answer the close in time resumes all the same.
  await connections.closed(AbortSignal.any([ending, AbortSignal.timeout(FAREWELL_MS)]));
  clearInterval(parts.ticker);
  parts.observer.close();
  entrance.close();
  await broadcaster?.close();
  parts.access.close();
  await log.close();
  await swept;
  return stored;
}

/** A log that does not answer keeps nobody from stopping: subscribers resume elsewhere by their cursors. */
async function settle(broadcaster: Broadcaster, signal: AbortSignal, logger: Logger): Promise<void> {
  try {
    await broadcaster.settle(signal);
  } catch (error) {
    logger.warn({ err: error }, 'stopping without knowing whether subscribers have everything');
  }
}

function statsOf(parts: Parts): ServerStats {
  const { manager, publishing, broadcaster, connections, doors, incomplete, limits } = parts;
  return {
    connections: connections.count,
    publishers: doors.publisherCount,
    posts: publishing?.posts ?? 0,
    unstoredBytes: manager?.unstoredBytes ?? 0,
    incompleteBytes: incomplete.bytes,
    limits: limits.counts,
    ...broadcaster?.stats(),
  };
}

function firstPageOf(config: Config): FirstPageOptions {
  return {
    banner: banner(config),
    console: config.http.console ? readConsole({ channel: config.log.stream, role: config.role }) : null,
  };
}

function banner({ role, log }: Config): string {
  const doors = [
    'Rivercast',
    ...(role === 'broadcaster'
      ? []
      : ['publish:   WebSocket /ws/manager?channel=', '           POST /api/channels/{channel}/messages']),
    ...(role === 'manager' ? [] : ['subscribe: WebSocket /ws/broadcast?channel=&after=']),
    ...(role === 'manager' ? [] : ['           GET /sse?channel=&after=']),
    ...(role === 'manager' ? [] : ['history:   GET /api/channels/{channel}/messages?after=&limit=']),
    'health:    GET /healthz, GET /readyz',
    'numbers:   GET /metrics, GET /api/stats, GET /api/subscribers',
    'contracts: GET /api/openapi.json, /api/asyncapi.json, /api/postman.json',
    `default channel: ${log.stream}`,
  ];
  return `${doors.join('\n')}\n`;
}
