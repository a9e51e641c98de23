/**
 * What does a subscriber that waits cost in memory?
 *
 * Ours and the bare server start the same way, are warmed up with connections that go again (code is compiled,
 * pools are filled), then hold 10,000. The difference after a collection, divided by their number, is what one
 * costs: resident memory is what the operator pays, heap and external what the design decides. The bare server
 * keeps a net.Socket after an upgrade answered by hand and nothing else. Of the servers of others resident memory
 * is all that can be had, and nobody can ask them to collect. What the kernel keeps for a socket is in none.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, type Bench, times, type Verdict } from '../answer.ts';
import type { Door } from '../load/dialects.ts';
import { connectGroup, startSubscribers } from '../load/load.ts';
import { PEERS } from '../peers/index.ts';
import type { Memory } from '../support/instruments.ts';
import { residentMib } from '../support/proc.ts';
import { baseline, RIVERCAST_DOORS, startFloor, startInstrumented, type Target } from '../targets.ts';

const WARM_UP = 1000;
const MUST_RATIO = 2;
/** An event stream keeps Node's request and response too: a row, no verdict. */
const MUST: ReadonlySet<string> = new Set(['Rivercast', 'Rivercast, v1']);
const BARE = 'bare net.Socket';
/** Closed sockets leave in the turns after their peer has gone. */
const SETTLE_MS = 1500;
const MIB = 1024 * 1024;

interface Measured {
  readonly name: string;
  readonly residentBytes: number;
  /** NaN for the servers of others. */
  readonly heapAndExternalBytes: number;
}

interface Subject {
  readonly name: string;
  readonly subscribe: Door;
  readonly memory: () => Promise<Memory>;
  readonly stop: () => Promise<void>;
}

/** Stops the server too. */
async function measure({ name, subscribe, memory, stop }: Subject, count: number): Promise<Measured> {
  const { remote, process: client } = startSubscribers();
  try {
    await connectGroup(remote, { ...subscribe, count: WARM_UP, group: 'warm-up' });
    await remote.call('end', { group: 'warm-up' });
    await sleep(SETTLE_MS);
    const before = await memory();
    await connectGroup(remote, { ...subscribe, count });
    await sleep(SETTLE_MS);
    const after = await memory();
    return {
      name,
      residentBytes: (after.residentBytes - before.residentBytes) / count,
      heapAndExternalBytes: (after.heapAndExternalBytes - before.heapAndExternalBytes) / count,
    };
  } finally {
    await client.stop();
    await stop();
  }
}

async function other(target: Target, count: number): Promise<Measured> {
  const running = await target.start();
  const memory = (): Promise<Memory> =>
    Promise.resolve({ residentBytes: residentMib(running.pid) * MIB, heapAndExternalBytes: Number.NaN });
  return measure(
    { name: target.name, memory, subscribe: running.subscribe, stop: () => running.stop() },
    count,
  );
}

export async function idleMemory(bench: Bench): Promise<Answer> {
  const count = bench.quick ? 3000 : 10_000;
  const floor = await startFloor();
  const bare = await measure(
    { ...floor, name: BARE, memory: () => floor.remote.call('memory', null) },
    count,
  );
  const own: Measured[] = [];
  for (const [name, door] of Object.entries(RIVERCAST_DOORS)) {
    const server = await startInstrumented();
    const memory = () => server.remote.call('memory', null);
    const subscribe = door(server.subscribe.port);
    own.push(await measure({ name, subscribe, memory, stop: () => server.stop() }, count));
  }
  const others: Measured[] = [];
  for (const target of bench.quick ? PEERS.slice(0, 1) : [baseline, ...PEERS]) {
    others.push(await other(target, count));
  }
  return answerOf({ bare, own, others, count });
}

interface Outcome {
  readonly bare: Measured;
  readonly own: readonly Measured[];
  readonly others: readonly Measured[];
  readonly count: number;
}

function answerOf({ bare, own, others, count }: Outcome): Answer {
  const bytes = (value: number) => (Number.isNaN(value) ? '' : `${(value / 1024).toFixed(2)} KiB`);
  const ratio = (value: number) => (Number.isNaN(value) ? '' : times(value));
  const all = [bare, ...own, ...others];
  return {
    question: 'idle-memory',
    title: `${count} idle subscribers`,
    head: ['server', 'resident, each', 'against the bare socket', 'heap and external, each', 'against it'],
    rows: all.map((one) => [
      one.name,
      bytes(one.residentBytes),
      ratio(one.residentBytes / bare.residentBytes),
      bytes(one.heapAndExternalBytes),
      ratio(one.heapAndExternalBytes / bare.heapAndExternalBytes),
    ]),
    verdicts: own.filter(({ name }) => MUST.has(name)).flatMap((one) => verdictsOf(one, bare)),
    notes: [
      `After a warm-up of ${WARM_UP} connections that went again; ours and the bare server's after garbage collection.`,
    ],
    charts: [
      {
        file: 'idle-memory',
        title: `Resident memory of an idle subscriber, of ${count}`,
        axis: 'KiB each; shorter is better',
        groups: [
          {
            label: '',
            bars: all.map(({ name, residentBytes }) => ({
              label: name,
              value: residentBytes,
              text: bytes(residentBytes),
            })),
          },
        ],
      },
    ],
    losses: others
      .filter((one) => one.residentBytes < (own[0]?.residentBytes ?? 0))
      .map((one) => `${one.name} keeps ${bytes(one.residentBytes)} resident for an idle subscriber.`),
    figures: Object.fromEntries(all.map((one) => [one.name, [one.residentBytes, one.heapAndExternalBytes]])),
  };
}

function verdictsOf(own: Measured, bare: Measured): Verdict[] {
  const verdict = (what: string, ratio: number): Verdict => ({
    must: `${own.name}: ${what} at most ${MUST_RATIO} times a bare socket's`,
    measured: times(ratio),
    pass: ratio <= MUST_RATIO,
  });
  return [
    verdict('heap and external', own.heapAndExternalBytes / bare.heapAndExternalBytes),
    verdict('resident memory', own.residentBytes / bare.residentBytes),
  ];
}
