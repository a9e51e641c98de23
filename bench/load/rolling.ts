/**
 * A rolling restart: servers are stopped and started again one after the other while messages flow, and all clients
 * have to be somewhere, missing nothing. Each connection goes to a server that `/readyz` calls ready, as a load
 * balancer would have it, and clients that are sent away come back after a random time.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientFrame } from './frames.ts';
import { openPublisher } from './publisher-connection.ts';
import { type Kind, Wanderer } from './wanderer.ts';

/** One of the servers that are restarted. */
export interface Restartable {
  readonly port: number;
  /** Resolves when the process is gone. */
  stop(): Promise<void>;
  /** Resolves when it takes connections again, on the same port. */
  start(): Promise<void>;
}

export interface RollingOptions {
  readonly servers: readonly Restartable[];
  /** Where to publish. */
  readonly managerPort: number;
  readonly clients: number;
  readonly perSecond: number;
  readonly messageBytes: number;
  /** The longest time after which a client comes back, in ms. */
  readonly jitterMs: number;
}

/** What one restart did. Times in ms. */
export interface Restart {
  /** From the signal until the process was gone. */
  readonly stoppedMs: number;
  /** From the signal until every client was connected. */
  readonly backMs: number;
  /** The most attempts to connect within 100 ms, and within 1 s. */
  readonly in100Ms: number;
  readonly in1S: number;
}

export interface Rolled {
  readonly restarts: readonly Restart[];
  readonly published: number;
  readonly lost: number;
  readonly repeated: number;
  /** Connections that ended without a word. */
  readonly unclean: number;
  /** The longest that any client was away. */
  readonly awayMs: number;
}

const CHANNEL = 'local-q';
const QUIET_CHANNEL = 'quiet';
/** Of every eight. */
const KINDS: readonly Kind[] = ['raw', 'raw', 'raw', 'raw', 'v1', 'v1', 'events', 'events'];
const HEALTH_MS = 100;
const SETTLE_MS = 500;
const PATIENCE_MS = 60_000;
const CONNECTS_PER_TURN = 20;

export async function roll(options: RollingOptions): Promise<Rolled> {
  const { servers, clients, jitterMs, managerPort } = options;
  const balancer = new Balancer(servers.map(({ port }) => port));
  const knocks: number[] = [];
  const knocked = (): void => void knocks.push(performance.now());
  const wandering = { channel: CHANNEL, quietChannel: QUIET_CHANNEL, pick: balancer.pick, jitterMs, knocked };
  const crowd = Array.from(
    { length: clients },
    (_, i) => new Wanderer(KINDS[i % KINDS.length] as Kind, wandering),
  );
  const publisher = new Pacer(
    await openPublisher({ dialect: 'raw', port: managerPort, path: '/ws/manager' }),
    options,
  );
  try {
    await until('a server is ready', () => balancer.pick() !== null);
    for (const [i, one] of crowd.entries()) {
      one.knock();
      if (i % CONNECTS_PER_TURN === 0) await sleep(5);
    }
    await until('all are here', () => crowd.every(({ isHere }) => isHere));
    publisher.start();
    for (const one of crowd) one.awayMs = 0;
    await until('all have begun', () => crowd.every(({ last }) => last >= 0));
    const restarts: Restart[] = [];
    for (const server of servers) restarts.push(await restart(server, crowd, knocks));
    const published = publisher.stop();
    await until('all have the last message', () => crowd.every(({ last }) => last === published - 1)).catch(
      () => undefined,
    );
    const sum = (of: (one: Wanderer) => number): number => crowd.reduce((total, one) => total + of(one), 0);
    return {
      restarts,
      published,
      lost: sum((one) => one.lost + published - 1 - one.last),
      repeated: sum(({ repeated }) => repeated),
      unclean: sum(({ unclean }) => unclean),
      awayMs: Math.max(...crowd.map(({ awayMs }) => awayMs)),
    };
  } finally {
    publisher.stop();
    balancer.stop();
    for (const one of crowd) one.end();
  }
}

async function restart(server: Restartable, crowd: readonly Wanderer[], knocks: number[]): Promise<Restart> {
  const start = performance.now();
  knocks.length = 0;
  await server.stop();
  const stoppedMs = performance.now() - start;
  await Promise.all([until('all are back', () => crowd.every(({ isHere }) => isHere)), server.start()]);
  const backMs = Math.max(...crowd.map(({ arrivedAt }) => arrivedAt)) - start;
  await sleep(SETTLE_MS);
  return { stoppedMs, backMs, in100Ms: mostWithin(knocks, 100), in1S: mostWithin(knocks, 1000) };
}

/** The most of these rising times that lie within so many ms. */
function mostWithin(times: readonly number[], ms: number): number {
  let most = 0;
  let first = 0;
  for (const [i, time] of times.entries()) {
    while (time - (times[first] as number) >= ms) first++;
    most = Math.max(most, i - first + 1);
  }
  return most;
}

/** Knows which servers are ready, by asking them all the time, and names one of those after the other. */
class Balancer {
  readonly #ports: readonly number[];
  readonly #ready = new Set<number>();
  readonly #timer: NodeJS.Timeout;
  #turn = 0;

  constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.#timer = setInterval(() => void this.#ask(), HEALTH_MS);
  }

  readonly pick = (): number | null => {
    this.#turn += 1;
    const ready = this.#ports.filter((port) => this.#ready.has(port));
    return ready[this.#turn % ready.length] ?? null;
  };

  stop(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    for (const port of this.#ports) {
      const isReady = await fetch(`http://127.0.0.1:${port}/readyz`, {
        headers: { Connection: 'close' },
      }).then(
        (response) => response.ok,
        () => false,
      );
      if (isReady) this.#ready.add(port);
      else this.#ready.delete(port);
    }
  }
}

/** Publishes numbers at a fixed rate. */
class Pacer {
  readonly #socket: Socket;
  readonly #options: RollingOptions;
  #timer: NodeJS.Timeout | null = null;
  #sent = 0;

  constructor(socket: Socket, options: RollingOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  start(): void {
    const { perSecond, messageBytes } = this.#options;
    const start = performance.now();
    this.#timer = setInterval(() => {
      const due = ((performance.now() - start) / 1000) * perSecond;
      for (; this.#sent < due; this.#sent++) {
        this.#socket.write(clientFrame(0x1, `${this.#sent} `.padEnd(messageBytes, 'x')));
      }
    }, 1000 / perSecond);
  }

  /** Returns how many were published. */
  stop(): number {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (!this.#socket.destroyed) this.#socket.end();
    return this.#sent;
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms until ${what}`);
    await sleep(5);
  }
}
