/**
 * What do subscribers that read nothing cost the others, and what becomes of themselves?
 *
 * 300 of 1,000 never read while each of the others receives 5 MB and then 20 MB. The rate is given from the
 * first byte, beside that of the bare loop, and for the 20 MB after the first 5. Runs with and without them come
 * in pairs. Loopback's own packets would make the kernel take some 4 MB for each socket that is not read, more
 * than 1 GB of memory nobody has touched before: see support/ethernet.ts.
 *
 * Then the 300 read on: each must get everything in order, or a close with a cursor after which a new connection
 * goes on without a hole or a repeat; each sequence number is checked across both connections. A last run with
 * a server told to give up early forces that second way.
 */
import { type Answer, type Bench, median, percent, short, type Verdict } from '../answer.ts';
import type { GroupReport } from '../load/calls.ts';
import { connectGroup, type Load, reachedOrThrow, startLoad, wrongDelivery } from '../load/load.ts';
import { nowUs } from '../support/clock.ts';
import { isEthernet } from '../support/ethernet.ts';
import { forgetPeak, peakResidentMib, residentMib } from '../support/proc.ts';
import { type RunningTarget, startFloor, startRivercast } from '../targets.ts';

const READERS = 700;
const STALLED = 300;
const MESSAGE_BYTES = 4096;
const FILL_MESSAGES = 1250;
const MESSAGES = 5000;
const ALL_MESSAGES: number = FILL_MESSAGES + MESSAGES;
const MUST_RATE = 0.9;
const MUST_GROWTH_MIB = 100 / 1.048_576;
const TIMEOUT_MS = 120_000;
/** A server that gives up on a subscriber within the run: any other figure is the default. */
const IMPATIENT = { SLOW_AFTER_MS: '1s', SLOW_BYTES: '1mib', SLOW_ENTRIES: '100', LINGER_MS: '60s' };
const IMPATIENT_WAIT_MS = 5000;

/** What the loop writes at once: about what a server with many stalled sockets does. */
const FLOOR_WRITE_BYTES = 64 * 1024;

interface Measured {
  /** Deliveries a second to the readers: from the first byte, and once the kernel's buffers are full. */
  readonly whole: number;
  readonly filled: number;
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
    await connectGroup(load.subscribers, { ...server.subscribe, count: READERS });
    if (run.stalled > 0) {
      const stalled = { group: 'stalled', reading: false, resume: true, count: run.stalled };
      await connectGroup(load.subscribers, { ...server.subscribe, ...stalled });
    }
    await load.publisher.call('connect', server.publish);
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
  const fillUs = await publish(load, 0, FILL_MESSAGES);
  const filledUs = await publish(load, FILL_MESSAGES, MESSAGES);
  const report = await load.subscribers.call('report', { group: 'readers' });
  return {
    whole: rate(ALL_MESSAGES, fillUs + filledUs),
    filled: rate(MESSAGES, filledUs),
    growthMib: peakResidentMib(server.pid) - before,
    wrong: wrongDelivery(report, ALL_MESSAGES),
  };
}

/** How long it took until the last reader had the last of them. */
async function publish(load: Load, first: number, messages: number): Promise<number> {
  const ask = { group: 'readers', messages: first + messages, timeoutMs: TIMEOUT_MS };
  const [reached, published] = await Promise.all([
    load.subscribers.call('reach', ask),
    load.publisher.call('burst', { messages, bytes: MESSAGE_BYTES, first }),
  ]);
  const report = await load.subscribers.call('report', { group: 'readers' });
  reachedOrThrow(reached, report, first + messages);
  return reached.atUs - published.startedUs;
}

function rate(messages: number, elapsedUs: number): number {
  return (messages * READERS) / (elapsedUs / 1e6);
}

/** The bare loop's rate to the readers, from the first byte. */
async function measureFloor(stalled: number): Promise<number> {
  const floor = await startFloor();
  const load = startLoad();
  try {
    await connectGroup(load.subscribers, { ...floor.subscribe, count: READERS });
    if (stalled > 0) {
      const silent = { group: 'stalled', reading: false, count: stalled };
      await connectGroup(load.subscribers, { ...floor.subscribe, ...silent });
    }
    const startedUs = nowUs();
    // It never comes to its end while some do not read: it is stopped with its process.
    floor.remote
      .call('blast', { messages: ALL_MESSAGES, bytes: MESSAGE_BYTES, writeBytes: FLOOR_WRITE_BYTES })
      .catch(() => {});
    const ask = { group: 'readers', messages: ALL_MESSAGES, timeoutMs: TIMEOUT_MS };
    const reached = await load.subscribers.call('reach', ask);
    reachedOrThrow(reached, await load.subscribers.call('report', { group: 'readers' }), ALL_MESSAGES);
    return rate(ALL_MESSAGES, reached.atUs - startedUs);
  } finally {
    await load.stop();
    await floor.stop();
  }
}

async function readOn(load: Load): Promise<Outcome> {
  await load.subscribers.call('read', { group: 'stalled' });
  const ask = { group: 'stalled', messages: ALL_MESSAGES, timeoutMs: TIMEOUT_MS / 4 };
  await load.subscribers.call('reach', ask);
  const report: GroupReport = await load.subscribers.call('report', { group: 'stalled' });
  return { wrong: wrongDelivery(report, ALL_MESSAGES), resumed: report.resumed, closed: report.closed };
}

export async function slowReaders(bench: Bench): Promise<Answer> {
  const pairs = bench.quick ? 1 : 3;
  const alone: Measured[] = [];
  const beside: Measured[] = [];
  const floorShares: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const without = await measure({ stalled: 0 });
    const withThem = await measure({ stalled: STALLED });
    alone.push(without);
    beside.push(withThem);
    const floorAlone = await measureFloor(0);
    floorShares.push((await measureFloor(STALLED)) / floorAlone);
    const shares = [withThem.whole / without.whole, withThem.filled / without.filled].map(percent);
    bench.say(`  beside the stalled: ${shares[0]} of the rate from the first byte, ${shares[1]} once filled`);
  }
  const impatient = await measure({ stalled: STALLED, env: IMPATIENT, waitMs: IMPATIENT_WAIT_MS });
  return answerOf({ alone, beside, floorShares, impatient });
}

function outcomeText(outcome: Outcome | null): string {
  if (outcome === null) return 'none';
  const how =
    outcome.resumed > 0 ? `${outcome.resumed} closed and resumed by cursor` : 'read on, same connection';
  return outcome.wrong === null ? `all in order (${how})` : `${outcome.wrong} (${how})`;
}

interface Outcomes {
  readonly alone: readonly Measured[];
  readonly beside: readonly Measured[];
  readonly floorShares: readonly number[];
  readonly impatient: Measured;
}

function answerOf({ alone, beside, floorShares, impatient }: Outcomes): Answer {
  const shares = (pick: (run: Measured) => number) =>
    beside.map((run, index) => pick(run) / pick(alone[index] as Measured));
  const whole = shares((run) => run.whole);
  const filled = shares((run) => run.filled);
  const row = (name: string, runs: readonly Measured[]) => [
    name,
    short(median(runs.map((run) => run.whole))),
    short(median(runs.map((run) => run.filled))),
    `${Math.max(...runs.map((run) => run.growthMib)).toFixed(0)} MiB`,
    [...new Set(runs.map((run) => outcomeText(run.stalled)))].join('; '),
  ];
  return {
    question: 'slow-readers',
    title: `${STALLED} of ${READERS + STALLED} subscribers read nothing, ${MESSAGE_BYTES} B messages`,
    head: [
      'run',
      'deliveries/s from the first byte',
      'once the kernel is full',
      'growth (worst)',
      'the stalled, reading on',
    ],
    rows: [
      row(`${READERS} readers alone`, alone),
      row(`beside ${STALLED} stalled`, beside),
      ['share', percent(median(whole)), percent(median(filled)), '', ''],
      ['share, bare loop', percent(median(floorShares)), '', '', ''],
      row('gives up after 1 s', [impatient]),
    ],
    verdicts: verdictsOf({ alone, beside, floorShares, impatient }, median(whole), median(filled)),
    notes: [
      isEthernet
        ? 'Loopback had packets of 1,500 bytes, as an Ethernet has.'
        : 'With packets of 64 KiB the kernel takes about 4 MB for each socket that is not read; the bare loop pays it too.',
      `The last row sets ${Object.entries(IMPATIENT)
        .map((pair) => pair.join('='))
        .join(', ')}.`,
    ],
    figures: { whole, filled, floorWhole: floorShares, growthMib: beside.map((run) => run.growthMib) },
  };
}

function verdictsOf(
  { alone, beside, floorShares, impatient }: Outcomes,
  whole: number,
  filled: number,
): Verdict[] {
  const growth = Math.max(...beside.map((run) => run.growthMib));
  const outcomes = [...beside, impatient].map((run) => run.stalled);
  const wrong = [...alone, ...beside, impatient].find((run) => run.wrong !== null)?.wrong ?? null;
  const resumed = impatient.stalled?.resumed ?? 0;
  return [
    {
      must: `at least ${percent(MUST_RATE)} of the rate without them, from the first byte`,
      measured: `${percent(whole)} (the bare loop, which only writes: ${percent(median(floorShares))})`,
      pass: whole >= MUST_RATE,
    },
    {
      must: `at least ${percent(MUST_RATE)} of the rate without them, once the kernel's buffers are full`,
      measured: percent(filled),
      pass: filled >= MUST_RATE,
    },
    {
      must: 'the process grows by less than 100 MB',
      measured: `${growth.toFixed(0)} MiB`,
      pass: growth < MUST_GROWTH_MIB,
    },
    { must: 'the readers have everything, in order', measured: wrong ?? 'yes', pass: wrong === null },
    {
      must: 'the stalled get everything in order, or a cursor that resumes without a hole',
      measured: [...new Set(outcomes.map(outcomeText))].join('; '),
      pass: outcomes.every((outcome) => outcome?.wrong === null),
    },
    {
      must: 'told to give up early, it closes with a cursor',
      measured: `${resumed} of ${STALLED}`,
      pass: resumed > 0,
    },
  ];
}
