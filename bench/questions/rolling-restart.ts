/**
 * Two broadcasters are restarted one after the other under 2,000 clients, while 50 messages a second flow: is anything
 * lost or repeated, when are all back, and how many come at once? With the closes spread over DRAIN_SECONDS, and
 * without.
 *
 * Half of the clients are raw, a quarter speaks v1 on two channels, a quarter SSE. Each goes to a server that is ready
 * (load/rolling.ts), and comes back at a random time within a second of being sent away. The second restart sends
 * away all 2,000, for the first server starts empty.
 */
import type { Answer, Bench } from '../answer.ts';
import { type Restart, type Restartable, type Rolled, roll } from '../load/rolling.ts';
import { freePort } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { type RunningTarget, startRivercast } from '../targets.ts';

const CLIENTS = 2000;
const PER_SECOND = 50;
const MESSAGE_BYTES = 128;
const JITTER_MS = 1000;
const DRAIN_SECONDS = 5;
/** A stream of so many a second is not met to the number. */
const MARGIN = 1.5;

class Broadcaster implements Restartable {
  readonly port: number;
  readonly #options: { readonly keep: { readonly redisUrl: string }; readonly env: Record<string, string> };
  #running: RunningTarget | null = null;

  constructor(port: number, redisUrl: string, drainSeconds: number) {
    this.port = port;
    const env = { ROLE: 'broadcaster', DRAIN_SECONDS: `${drainSeconds}` };
    this.#options = { keep: { redisUrl }, env };
  }

  async start(): Promise<void> {
    this.#running = await startRivercast({ ...this.#options, port: this.port });
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
  }
}

async function measure(clients: number, drainSeconds: number): Promise<Rolled> {
  const redis = await startRedis();
  const keep = { redisUrl: redis.url };
  const manager = await startRivercast({ keep, env: { ROLE: 'manager' } });
  const ports = [await freePort(), await freePort()];
  const servers = ports.map((port) => new Broadcaster(port, redis.url, drainSeconds));
  try {
    for (const server of servers) await server.start();
    return await roll({
      servers,
      managerPort: manager.publish.port,
      clients,
      perSecond: PER_SECOND,
      messageBytes: MESSAGE_BYTES,
      jitterMs: JITTER_MS,
    });
  } finally {
    for (const server of servers) await server.stop();
    await manager.stop();
    await redis.stop();
  }
}

export async function rollingRestart(bench: Bench): Promise<Answer> {
  const clients = bench.quick ? CLIENTS / 10 : CLIENTS;
  const drainSeconds = bench.quick ? 1 : DRAIN_SECONDS;
  const paced = await measure(clients, drainSeconds);
  const atOnce = await measure(clients, 0);
  return answerOf({ clients, drainSeconds, paced, atOnce });
}

interface Measured {
  readonly clients: number;
  readonly drainSeconds: number;
  readonly paced: Rolled;
  readonly atOnce: Rolled;
}

function rows(drainSeconds: number, { restarts, lost, repeated, awayMs }: Rolled): string[][] {
  return restarts.map((restart, i) => [
    `${drainSeconds}`,
    i === 0 ? 'the first, of half of them' : 'the second, of all of them',
    `${lost}`,
    `${repeated}`,
    `${(restart.backMs / 1000).toFixed(2)} s`,
    `${restart.in100Ms}`,
    `${restart.in1S}`,
    `${(awayMs / 1000).toFixed(2)} s`,
  ]);
}

function answerOf({ clients, drainSeconds, paced, atOnce }: Measured): Answer {
  const all = [paced, atOnce];
  const lost = all.reduce((sum, run) => sum + run.lost, 0);
  const repeated = all.reduce((sum, run) => sum + run.repeated, 0);
  const unclean = all.reduce((sum, run) => sum + run.unclean, 0);
  const most = (run: Rolled, of: (restart: Restart) => number): number => Math.max(...run.restarts.map(of));
  const rate = most(paced, ({ in1S }) => in1S);
  const bound = (clients / drainSeconds) * MARGIN;
  return {
    question: 'rolling-restart',
    title: `Two broadcasters are restarted under ${clients.toLocaleString('en')} clients, with ${PER_SECOND} messages a second`,
    head: [
      '`DRAIN_SECONDS`',
      'restart',
      'lost',
      'repeated',
      'until all are back',
      'connects in 100 ms',
      'in 1 s',
      'longest away',
    ],
    rows: [...rows(drainSeconds, paced), ...rows(0, atOnce)],
    verdicts: [
      {
        must: 'nothing lost, nothing repeated, nobody cut without a word',
        measured: `${lost}, ${repeated}, ${unclean}`,
        pass: lost + repeated + unclean === 0,
      },
      {
        must: `at most ${bound} connects in any second: ${MARGIN} × clients / DRAIN_SECONDS`,
        measured: `${rate}`,
        pass: rate <= bound,
      },
    ],
    notes: [
      `${paced.published + atOnce.published} messages to each. Half of the clients raw, a quarter v1 with two channels, a quarter SSE.`,
      `A client that was sent away comes back at a random time within ${JITTER_MS / 1000} s, at a server that /readyz calls ready. "Until all are back" runs from the SIGTERM.`,
      'Connects are attempts of all clients; "lost", "repeated" and "longest away" are of both restarts.',
    ],
    figures: {
      pacedBackSeconds: paced.restarts.map(({ backMs }) => backMs / 1000),
      atOnceBackSeconds: atOnce.restarts.map(({ backMs }) => backMs / 1000),
      pacedConnectsPerSecond: paced.restarts.map(({ in1S }) => in1S),
      atOnceConnectsPerSecond: atOnce.restarts.map(({ in1S }) => in1S),
      pacedConnectsIn100Ms: paced.restarts.map(({ in100Ms }) => in100Ms),
      atOnceConnectsIn100Ms: atOnce.restarts.map(({ in100Ms }) => in100Ms),
    },
  };
}
