/**
 * What do subscribers that read nothing cost the others, and what becomes of themselves?
 *
 * 300 of 1,000 never read while each of the others receives 20 MB. Measured: the others' rate against a run
 * with those others alone (in pairs, since the machine's mood changes), and how far the process grows. Then
 * the 300 read on: each must get everything in order, or a close with a cursor after which a new connection
 * goes on without a hole or a repeat; each sequence number is checked across both connections. A last run with
 * a server told to give up early forces that second way.
 */
import { type Answer, type Bench, median, percent, short } from '../answer.ts';
import type { GroupReport } from '../load/calls.ts';
import { connectGroup, type Load, reachedOrThrow, startLoad, wrongDelivery } from '../load/load.ts';
import { forgetPeak, peakResidentMib, residentMib } from '../support/proc.ts';
import { type RunningTarget, startRivercast } from '../targets.ts';

const READERS = 700;
const STALLED = 300;
const MESSAGE_BYTES = 4096;
const MESSAGES = 5000;
const MUST_RATE = 0.9;
const MUST_GROWTH_MIB = 100 / 1.048_576;
const TIMEOUT_MS = 120_000;
/** A server that gives up on a subscriber within the run: any other figure is the default. */
const IMPATIENT = { SLOW_AFTER_MS: '1s', SLOW_BYTES: '1mib', SLOW_ENTRIES: '100', LINGER_MS: '60s' };
const IMPATIENT_WAIT_MS = 5000;

interface Measured {
  readonly perSecond: number;
  readonly growthMib: number;
  readonly wrong: string | null;
  /** What became of the stalled ones; null when there were none. */
  readonly stalled: Outcome | null;
}

interface Outcome {
  readonly wrong: string | null;
  readonly resumed: number;
  readonly closed: Readonly<Record<string, number>>;
}

interface Run {
  readonly stalled: number;
  readonly env?: Readonly<Record<string, string>>;
  /** How long the stalled ones stay away after the others have everything. */
  readonly waitMs?: number;
}

async function measure(run: Run): Promise<Measured> {
  const server = await startRivercast({ env: run.env ?? {} });
  const load = startLoad();
  try {
    const { port, subscribePath: path, publishPath } = server;
    await connectGroup(load.subscribers, { port, path, count: READERS });
    if (run.stalled > 0) {
      const stalled = { group: 'stalled', reading: false, resume: true, count: run.stalled };
      await connectGroup(load.subscribers, { port, path, ...stalled });
    }
    await load.publisher.call('connect', { port, path: publishPath });
    const fed = await feed(server, load);
    await new Promise((resolve) => setTimeout(resolve, run.waitMs ?? 0));
    return { ...fed, stalled: run.stalled > 0 ? await readOn(load) : null };
  } finally {
    await load.stop();
    await server.stop();
  }
}

async function feed(server: RunningTarget, load: Load): Promise<Omit<Measured, 'stalled'>> {
  forgetPeak(server.pid);
  const before = residentMib(server.pid);
  const [reached, published] = await Promise.all([
    load.subscribers.call('reach', { group: 'readers', messages: MESSAGES, timeoutMs: TIMEOUT_MS }),
    load.publisher.call('burst', { messages: MESSAGES, bytes: MESSAGE_BYTES, first: 0 }),
  ]);
  const report = await load.subscribers.call('report', { group: 'readers' });
  reachedOrThrow(reached, report, MESSAGES);
  const seconds = (reached.atUs - published.startedUs) / 1e6;
  return {
    perSecond: (MESSAGES * READERS) / seconds,
    growthMib: peakResidentMib(server.pid) - before,
    wrong: wrongDelivery(report, MESSAGES),
  };
}

async function readOn(load: Load): Promise<Outcome> {
  await load.subscribers.call('read', { group: 'stalled' });
  const ask = { group: 'stalled', messages: MESSAGES, timeoutMs: TIMEOUT_MS / 4 };
  await load.subscribers.call('reach', ask);
  const report: GroupReport = await load.subscribers.call('report', { group: 'stalled' });
  return { wrong: wrongDelivery(report, MESSAGES), resumed: report.resumed, closed: report.closed };
}

export async function slowReaders(bench: Bench): Promise<Answer> {
  const pairs = bench.quick ? 1 : 3;
  const alone: Measured[] = [];
  const beside: Measured[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    alone.push(await measure({ stalled: 0 }));
    beside.push(await measure({ stalled: STALLED }));
    const rates = [alone, beside].map((runs) => short(runs.at(-1)?.perSecond ?? 0));
    bench.say(`  ${rates[0]} deliveries/s alone, ${rates[1]} beside ${STALLED} that do not read`);
  }
  const impatient = await measure({ stalled: STALLED, env: IMPATIENT, waitMs: IMPATIENT_WAIT_MS });
  return answerOf(alone, beside, impatient);
}

function outcomeText(outcome: Outcome | null): string {
  if (outcome === null) return 'none';
  const how =
    outcome.resumed > 0 ? `${outcome.resumed} closed and resumed by cursor` : 'read on, same connection';
  return outcome.wrong === null ? `all in order (${how})` : `${outcome.wrong} (${how})`;
}

function answerOf(alone: readonly Measured[], beside: readonly Measured[], impatient: Measured): Answer {
  const ratios = beside.map((run, index) => run.perSecond / (alone[index]?.perSecond ?? Number.NaN));
  const ratio = median(ratios);
  const growth = Math.max(...beside.map((run) => run.growthMib));
  const outcomes = [...beside, impatient].map((run) => run.stalled);
  const row = (name: string, runs: readonly Measured[]) => [
    name,
    short(median(runs.map((run) => run.perSecond))),
    `${Math.max(...runs.map((run) => run.growthMib)).toFixed(0)} MiB`,
    [...new Set(runs.map((run) => outcomeText(run.stalled)))].join('; '),
  ];
  const others = [...alone, ...beside, impatient].find((run) => run.wrong !== null)?.wrong ?? null;
  return {
    question: 'slow-readers',
    title: `${STALLED} of ${READERS + STALLED} subscribers read nothing, ${MESSAGES} messages of ${MESSAGE_BYTES} B`,
    head: ['run', "the readers' deliveries/s", 'growth of the process (worst)', 'the stalled, reading on'],
    rows: [
      row(`${READERS} readers alone`, alone),
      row(`beside ${STALLED} stalled`, beside),
      row('the same, gives up after 1 s', [impatient]),
    ],
    verdicts: [
      {
        must: `at least ${percent(MUST_RATE)} of the rate without them`,
        measured: percent(ratio),
        pass: ratio >= MUST_RATE,
      },
      {
        must: 'the process grows by less than 100 MB',
        measured: `${growth.toFixed(0)} MiB`,
        pass: growth < MUST_GROWTH_MIB,
      },
      { must: 'the readers have everything, in order', measured: others ?? 'yes', pass: others === null },
      {
        must: 'the stalled get everything in order, or a cursor that resumes without a hole',
        measured: outcomes.map(outcomeText).join('; '),
        pass: outcomes.every((outcome) => outcome?.wrong === null),
      },
      {
        must: 'the impatient server closes with a cursor',
        measured: `${impatient.stalled?.resumed ?? 0} of ${STALLED}`,
        pass: (impatient.stalled?.resumed ?? 0) > 0,
      },
    ],
    notes: [
      `The last row sets ${Object.entries(IMPATIENT)
        .map((pair) => pair.join('='))
        .join(', ')}.`,
    ],
    figures: {
      alone: alone.map((run) => run.perSecond),
      beside: beside.map((run) => run.perSecond),
      ratios,
      growthMib: beside.map((run) => run.growthMib),
    },
  };
}
