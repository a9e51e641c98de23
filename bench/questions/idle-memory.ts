/**
 * What does a subscriber that waits cost in memory?
 *
 * Both servers start the same way, are warmed up with connections that go again (code is compiled, pools are
 * filled), then hold 10,000. The difference after a collection, divided by their number, is what one costs:
 * resident memory is what the operator pays, heap and external what the design decides. The bare server keeps
 * a net.Socket after an upgrade answered by hand and nothing else. What the kernel keeps for a socket is in
 * neither.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, type Bench, times } from '../answer.ts';
import { connectGroup, startSubscribers } from '../load/load.ts';
import type { Memory } from '../support/instruments.ts';
import { startFloor, startInstrumented } from '../targets.ts';

const WARM_UP = 1000;
const AIM_RATIO = 2;
/** Closed sockets leave in the turns after their peer has gone. */
const SETTLE_MS = 1500;

interface Measured {
  readonly residentBytes: number;
  readonly heapAndExternalBytes: number;
}

interface Subject {
  readonly port: number;
  readonly path: string;
  readonly memory: () => Promise<Memory>;
  readonly stop: () => Promise<void>;
}

/** Stops the server too. */
async function measure({ port, path, memory, stop }: Subject, count: number): Promise<Measured> {
  const { remote, process: client } = startSubscribers();
  try {
    await connectGroup(remote, { port, path, count: WARM_UP, group: 'warm-up' });
    await remote.call('end', { group: 'warm-up' });
    await sleep(SETTLE_MS);
    const before = await memory();
    await connectGroup(remote, { port, path, count });
    await sleep(SETTLE_MS);
    const after = await memory();
    return {
      residentBytes: (after.residentBytes - before.residentBytes) / count,
      heapAndExternalBytes: (after.heapAndExternalBytes - before.heapAndExternalBytes) / count,
    };
  } finally {
    await client.stop();
    await stop();
  }
}

export async function idleMemory(bench: Bench): Promise<Answer> {
  const count = bench.quick ? 3000 : 10_000;
  const server = await startInstrumented();
  const own = await measure(
    { ...server, path: server.subscribePath, memory: () => server.remote.call('memory', null) },
    count,
  );
  const floor = await startFloor();
  const bare = await measure({ ...floor, path: '/', memory: () => floor.remote.call('memory', null) }, count);
  return answerOf(own, bare, count);
}

function answerOf(own: Measured, bare: Measured, count: number): Answer {
  const ratio = own.heapAndExternalBytes / bare.heapAndExternalBytes;
  const residentRatio = own.residentBytes / bare.residentBytes;
  const bytes = (value: number) => `${(value / 1024).toFixed(2)} KiB`;
  return {
    question: 'idle-memory',
    title: `${count} idle subscribers`,
    head: ['server', 'resident, each', 'heap and external, each'],
    rows: [
      ['Rivercast', bytes(own.residentBytes), bytes(own.heapAndExternalBytes)],
      ['bare net.Socket', bytes(bare.residentBytes), bytes(bare.heapAndExternalBytes)],
      ['ratio', times(residentRatio), times(ratio)],
    ],
    verdicts: [],
    notes: [
      `The aim is at most ${AIM_RATIO} times; most of what is above it is the object that ws keeps for a connection.`,
      `After a warm-up of ${WARM_UP} connections that went again, and after garbage collection.`,
    ],
    figures: {
      residentBytes: own.residentBytes,
      heapAndExternalBytes: own.heapAndExternalBytes,
      bareResidentBytes: bare.residentBytes,
      bareHeapAndExternalBytes: bare.heapAndExternalBytes,
    },
  };
}
