/**
 * What does it cost that the server encrypts itself?
 *
 * Blocks are made once for all, but encryption is each connection's own: what a delivery costs under load, where a
 * write holds many messages, and at a rate where each is a write of its own; and what a connection takes that waits.
 * The same broadcaster with a certificate and without, by turns; a manager that has none takes the messages in, and its
 * CPU is not counted.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, type Bench, median, percent, short, times } from '../answer.ts';
import { connectGroup, startSubscribers } from '../load/load.ts';
import { pace, saturate } from '../measure.ts';
import { residentMib } from '../support/proc.ts';
import { scratchDirectory } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { startRivercast, type Target } from '../targets.ts';

const SATURATED = { subscribers: 200, bytes: 128, messages: 50_000 };
const STEADY = { subscribers: 1000, bytes: 128, perSecond: 100, seconds: 6 };
const IDLE = 2000;
const SETTLE_MS = 1500;
const MUST_SATURATED = 3;
const MUST_STEADY = 1.3;
const PLAIN = 'without';
const SECURE = 'with TLS';

interface Costs {
  readonly perSecond: number;
  readonly saturatedNs: number;
  readonly steadyUs: number;
  readonly p99Ms: number;
  readonly idleKib: number;
  readonly wrong: string | null;
}

function certificate(): Record<string, string> {
  const directory = scratchDirectory();
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '90'];
  const made = spawnSync('openssl', [
    ...['req', '-x509', ...kind, '-subj', '/CN=bench'],
    ...['-keyout', key, '-out', cert],
  ]);
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.stderr.toString()}`);
  return { TLS_CERT: cert, TLS_KEY: key };
}

function targetOf(name: string, env: Readonly<Record<string, string>>): Target {
  const start: Target['start'] = async () => {
    const redis = await startRedis();
    const keep = { redisUrl: redis.url };
    const manager = await startRivercast({ keep, env: { ROLE: 'manager' } });
    const broadcaster = await startRivercast({ keep, env: { ...env, ROLE: 'broadcaster' } });
    const stop = async (): Promise<void> => {
      await broadcaster.stop();
      await manager.stop();
      await redis.stop();
    };
    return { ...broadcaster, publish: manager.publish, redisPid: redis.pid, stop };
  };
  return { name, expected: Number.NaN, start };
}

async function idleKib(target: Target, count: number): Promise<number> {
  const running = await target.start();
  const { remote, process: client } = startSubscribers();
  try {
    const connect = (group: string, number: number) =>
      connectGroup(remote, { ...running.subscribe, count: number, group });
    // Code is compiled. Few: what they took is not given back, and would be used again.
    await connect('warm-up', count / 20);
    await remote.call('end', { group: 'warm-up' });
    await sleep(SETTLE_MS);
    const before = residentMib(running.pid);
    await connect('idle', count);
    await sleep(SETTLE_MS);
    return ((residentMib(running.pid) - before) * 1024) / count;
  } finally {
    await client.stop();
    await running.stop();
  }
}

async function costsOf(target: Target, quick: boolean): Promise<Costs> {
  const share = quick ? 0.2 : 1;
  const saturated = await saturate(target, { ...SATURATED, messages: SATURATED.messages * share });
  const steady = await pace(target, { ...STEADY, seconds: quick ? 2 : STEADY.seconds });
  return {
    perSecond: saturated.perSecond,
    saturatedNs: (saturated.serverBusy / saturated.perSecond) * 1e9,
    steadyUs: steady.cpuUsPerDelivery,
    p99Ms: steady.p99Ms,
    idleKib: await idleKib(target, IDLE),
    wrong: saturated.wrong ?? steady.wrong,
  };
}

export async function tls(bench: Bench): Promise<Answer> {
  const runs: Record<string, Costs[]> = { [PLAIN]: [], [SECURE]: [] };
  const targets = [targetOf(PLAIN, {}), targetOf(SECURE, certificate())];
  for (let repeat = 0; repeat < (bench.quick ? 1 : 3); repeat++) {
    for (const target of targets) {
      const costs = await costsOf(target, bench.quick);
      runs[target.name]?.push(costs);
      const { saturatedNs, steadyUs, idleKib: idle } = costs;
      bench.say(
        `  ${target.name}: ${saturatedNs.toFixed(0)} ns a delivery saturated, ${steadyUs.toFixed(2)} µs at ${STEADY.perSecond}/s, ${idle.toFixed(1)} KiB idle`,
      );
    }
  }
  return answerOf(runs);
}

function answerOf(runs: Readonly<Record<string, readonly Costs[]>>): Answer {
  const of = (name: string, pick: (costs: Costs) => number): number => median((runs[name] ?? []).map(pick));
  const ratio = (pick: (costs: Costs) => number): number => of(SECURE, pick) / of(PLAIN, pick);
  const saturated = ratio((costs) => costs.saturatedNs);
  const steady = ratio((costs) => costs.steadyUs);
  const wrong = Object.values(runs).flatMap((list) => list.flatMap((costs) => costs.wrong ?? []));
  return {
    question: 'tls',
    title: 'Encryption by the server itself, 128 B, on Redis',
    head: [
      'broadcaster',
      `deliveries/s, ${SATURATED.subscribers} saturated`,
      'CPU a delivery',
      `CPU a delivery, ${STEADY.perSecond}/s to ${STEADY.subscribers}`,
      'p99',
      'resident, an idle subscriber',
    ],
    rows: Object.keys(runs).map((name) => [
      name,
      short(of(name, (costs) => costs.perSecond)),
      `${of(name, (costs) => costs.saturatedNs).toFixed(0)} ns`,
      `${of(name, (costs) => costs.steadyUs).toFixed(2)} µs`,
      `${of(name, (costs) => costs.p99Ms).toFixed(1)} ms`,
      `${of(name, (costs) => costs.idleKib).toFixed(1)} KiB`,
    ]),
    verdicts: [
      {
        must: `saturated: CPU a delivery at most ${MUST_SATURATED} times that without`,
        measured: times(saturated),
        pass: saturated <= MUST_SATURATED,
      },
      {
        must: `${STEADY.perSecond}/s to ${STEADY.subscribers}: CPU a delivery at most ${percent(MUST_STEADY)} of that without`,
        measured: percent(steady),
        pass: steady <= MUST_STEADY,
      },
      {
        must: 'every subscriber has every message, once, in order',
        measured: wrong[0] ?? 'yes',
        pass: wrong.length === 0,
      },
    ],
    notes: [
      'The load decrypts on a core of its own, which limits the rate with TLS, not the CPU of a delivery.',
    ],
    figures: Object.fromEntries(
      Object.entries(runs).map(([name, list]) => [
        name,
        list.flatMap(({ saturatedNs, steadyUs, idleKib: idle }) => [saturatedNs, steadyUs, idle]),
      ]),
    ),
  };
}
