/**
 * What do clients notice of an attack beside them? 200 subscribers are sent 100 messages a second, with nothing else
 * going on and then beside each attack for as long; each run has a server of its own, with the settings it has by
 * default. The log is in memory, so that no disk has a part in the figures. Latency counts from the moment a message was due.
 *
 * The attacker is a process of its own that gives way to the clients on their core; what it got done is in the table.
 */
import { type Answer, type Bench, median, short, type Verdict } from '../answer.ts';
import type { AttackAnswer, AttackKind, ReachAnswer } from '../load/calls.ts';
import {
  connectGroup,
  type Load,
  reachedOrThrow,
  startAttacker,
  startLoad,
  wrongDelivery,
} from '../load/load.ts';
import { Histogram } from '../support/histogram.ts';
import { cpuSince, cpuTime, forgetPeak, peakResidentMib, residentMib } from '../support/proc.ts';
import { type RunningTarget, startRivercast } from '../targets.ts';

const SUBSCRIBERS = 200;
const PER_SECOND = 100;
const MESSAGE_BYTES = 128;
const SECONDS = 30;
const QUICK_SECONDS = 6;
const WARM_UP = 2 * PER_SECOND;
const GRACE_MS = 60_000;
const GROUP = 'readers';
const QUIET_RUNS = 2;
const MUST_TIMES = 2;
const MUST_PLUS_MS = 5;

const ATTACKS: Readonly<Record<AttackKind, string>> = {
  'half-open': '5,000 half-open handshakes, a byte each every 5 s',
  fragments: '1-byte fragments: endless messages of 128, and one more than are allowed',
  'zero-window': '200 subscribers that never read, 100 of them of 1.6 MB a second',
  pings: '20 connections that write 100,000 pings at a time',
  churn: '500 connections a second that come and go',
};

interface Run {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** How late the publisher itself was. */
  readonly lateMs: number;
  readonly serverBusy: number;
  readonly beforeMib: number;
  readonly peakMib: number;
  readonly wrong: string | null;
  readonly attack: AttackAnswer | null;
}

/** An attack, or none. */
interface Begun {
  begin(): Promise<void>;
  end(): Promise<AttackAnswer | null>;
}

function ready(kind: AttackKind, port: number): Begun & { stop(): Promise<void> } {
  const { remote, process } = startAttacker();
  return {
    begin: async () => {
      await remote.call('begin', { kind, port });
    },
    end: () => remote.call('end', null),
    stop: () => process.stop(),
  };
}

const NOTHING: Begun = { begin: async () => undefined, end: async () => null };

async function run(kind: AttackKind | null, seconds: number): Promise<Run> {
  const server = await startRivercast({ store: 'embedded', env: { STORE: 'memory' } });
  const load = startLoad();
  const attacker = kind === null ? null : ready(kind, server.publish.port);
  try {
    const group = { ...server.subscribe, count: SUBSCRIBERS, messageBytes: MESSAGE_BYTES, latencies: true };
    await connectGroup(load.subscribers, group);
    await load.publisher.call('connect', server.publish);
    await deliver(load, 0, WARM_UP);
    await load.subscribers.call('forget', { group: GROUP });
    return await measure(server, load, seconds, attacker ?? NOTHING);
  } finally {
    await Promise.all([attacker?.stop(), load.stop()]);
    await server.stop();
  }
}

async function measure(server: RunningTarget, load: Load, seconds: number, attack: Begun): Promise<Run> {
  forgetPeak(server.pid);
  const beforeMib = residentMib(server.pid);
  const messages = seconds * PER_SECOND;
  const cpu = cpuTime(server.pid);
  await attack.begin();
  const { reached, lateMs } = await deliver(load, WARM_UP, messages);
  const serverBusy = cpuSince(server.pid, cpu) / seconds;
  const done = await attack.end();
  const report = await load.subscribers.call('report', { group: GROUP });
  reachedOrThrow(reached, report, WARM_UP + messages);
  const latencies = new Histogram();
  if (report.latencies !== null) latencies.merge(report.latencies);
  return {
    p50Ms: latencies.percentileUs(0.5) / 1000,
    p99Ms: latencies.percentileUs(0.99) / 1000,
    maxMs: latencies.percentileUs(1) / 1000,
    lateMs,
    serverBusy,
    beforeMib,
    peakMib: peakResidentMib(server.pid),
    wrong: wrongDelivery(report, WARM_UP + messages),
    attack: done,
  };
}

async function deliver(
  load: Load,
  first: number,
  messages: number,
): Promise<{ readonly reached: ReachAnswer; readonly lateMs: number }> {
  const timeoutMs = (messages / PER_SECOND) * 1000 + GRACE_MS;
  const [reached, { maxLateUs }] = await Promise.all([
    load.subscribers.call('reach', { group: GROUP, messages: first + messages, timeoutMs }),
    load.publisher.call('pace', { messages, bytes: MESSAGE_BYTES, first, perSecond: PER_SECOND }),
  ]);
  return { reached, lateMs: maxLateUs / 1000 };
}

/** `ATTACKS=churn,pings` asks for some only. */
function asked(): AttackKind[] {
  const kinds = Object.keys(ATTACKS) as AttackKind[];
  const some = process.env['ATTACKS']?.split(',');
  return some === undefined ? kinds : kinds.filter((kind) => some.includes(kind));
}

export async function attacks(bench: Bench): Promise<Answer> {
  const seconds = bench.quick ? QUICK_SECONDS : SECONDS;
  const quiet: Run[] = [];
  const attacked: [AttackKind, Run][] = [];
  const say = (name: string, one: Run): void =>
    bench.say(`  ${name}: ${rowOf(name, one).slice(1).join(', ')}`);
  for (let i = 0; i < QUIET_RUNS; i++) {
    const one = await run(null, seconds);
    quiet.push(one);
    say('quiet', one);
    if (i > 0) break;
    for (const kind of asked()) {
      const beside = await run(kind, seconds);
      attacked.push([kind, beside]);
      say(kind, beside);
    }
  }
  return answerOf(quiet, attacked, seconds);
}

function rowOf(name: string, one: Run): string[] {
  const { attack } = one;
  const done = attack === null ? '' : doneBy(attack);
  return [
    name,
    `${one.p50Ms.toFixed(2)} ms`,
    `${one.p99Ms.toFixed(2)} ms`,
    `${one.maxMs.toFixed(1)} ms`,
    `${one.lateMs.toFixed(1)} ms`,
    `${(one.serverBusy * 100).toFixed(0)} %`,
    `${one.beforeMib.toFixed(0)} → ${one.peakMib.toFixed(0)} MiB`,
    done,
  ];
}

function doneBy({ opened, ended, bytes, frames, closes }: AttackAnswer): string {
  const told = Object.entries(closes).map(([code, count]) => `${short(count)} × ${code}`);
  const parts = [`${short(opened)} connections`, `${short(ended)} ended`, `${short(bytes)} bytes`];
  if (frames > 0) parts.push(`${short(frames)} frames`);
  return [...parts, ...told].join(', ');
}

function answerOf(quiet: readonly Run[], attacked: readonly [AttackKind, Run][], seconds: number): Answer {
  const quietP99 = median(quiet.map((one) => one.p99Ms));
  const bound = quietP99 * MUST_TIMES + MUST_PLUS_MS;
  const wrong =
    [...quiet, ...attacked.map(([, one]) => one)].find((one) => one.wrong !== null)?.wrong ?? null;
  const verdicts: Verdict[] = attacked.map(([kind, one]) => ({
    must: `${kind}: p99 at most twice the quiet one and ${MUST_PLUS_MS} ms, ${bound.toFixed(2)} ms`,
    measured: `${one.p99Ms.toFixed(2)} ms`,
    pass: one.p99Ms <= bound,
  }));
  verdicts.push({
    must: 'everything is delivered, in order',
    measured: wrong ?? 'yes',
    pass: wrong === null,
  });
  return {
    question: 'attacks',
    title: `${SUBSCRIBERS} subscribers at ${PER_SECOND} messages a second beside attacks of ${seconds} s`,
    head: ['beside', 'p50', 'p99', 'max', 'publisher late', 'server CPU', 'memory, peak', 'what it got done'],
    rows: [
      ...quiet.map((one) => rowOf('nothing', one)),
      ...attacked.map(([kind, one]) => rowOf(ATTACKS[kind], one)),
    ],
    verdicts,
    notes: [
      'The publisher runs on the core of the attacker: how late it was itself is a part of every latency.',
    ],
    figures: Object.fromEntries([
      ['quiet p99 ms', quiet.map((one) => one.p99Ms)],
      ...attacked.map(([kind, one]) => [`${kind}: p99 ms, peak MiB`, [one.p99Ms, one.peakMib]] as const),
    ]),
  };
}
