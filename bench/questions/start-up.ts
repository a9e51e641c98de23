/**
 * How long from the start of the process until it serves, and how much memory has it then?
 *
 * Ours counts as serving once `/readyz` says so: the log is open and an append would work. The others count from
 * their first accepted connection. Redis runs already. A log with a million entries must not make a start slow.
 */
import { type Answer, type Bench, median, short } from '../answer.ts';
import { startLoad } from '../load/load.ts';
import { fill } from '../measure.ts';
import { PEERS } from '../peers/index.ts';
import { residentMib } from '../support/proc.ts';
import { scratchDirectory } from '../support/processes.ts';
import { baseline, type RunningTarget, startRivercast } from '../targets.ts';

const MESSAGE_BYTES = 128;

interface Started {
  readonly readyMs: number;
  readonly mib: number;
}

type Starter = () => Promise<RunningTarget>;

async function startOnce(start: Starter): Promise<Started> {
  const running = await start();
  const { readyMs, pid } = running;
  const mib = residentMib(pid);
  await running.stop();
  return { readyMs, mib };
}

/** A data directory with so many entries. */
async function filledDirectory(messages: number): Promise<string> {
  const dataDirectory = scratchDirectory();
  const server = await startRivercast({ store: 'embedded', keep: { dataDirectory } });
  const load = startLoad();
  try {
    await fill(load, server, { messages, bytes: MESSAGE_BYTES });
    return dataDirectory;
  } finally {
    await load.stop();
    await server.stop();
  }
}

function readyOf(runs: readonly Started[]): number {
  return median(runs.map((run) => run.readyMs));
}

export async function startUp(bench: Bench): Promise<Answer> {
  const repeats = bench.quick ? 2 : 7;
  const entries = bench.quick ? 50_000 : 1_000_000;
  const dataDirectory = await filledDirectory(entries);
  const starters: Record<string, Starter> = {
    'Rivercast, embedded': () => startRivercast({ store: 'embedded' }),
    [`Rivercast, embedded, ${short(entries)} entries`]: () =>
      startRivercast({ store: 'embedded', keep: { dataDirectory } }),
    'Rivercast, Redis': () => startRivercast(),
  };
  for (const target of [baseline, ...PEERS]) starters[target.name] = () => target.start();
  const runs: Record<string, Started[]> = {};
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [name, start] of Object.entries(starters)) (runs[name] ??= []).push(await startOnce(start));
  }
  return {
    question: 'start-up',
    title: 'Start-up',
    head: ['server', 'until it serves', 'resident memory then'],
    rows: Object.entries(runs).map(([name, list]) => [
      name,
      `${readyOf(list).toFixed(0)} ms`,
      `${median(list.map((run) => run.mib)).toFixed(0)} MiB`,
    ]),
    verdicts: [],
    notes: [`Median of ${repeats} interleaved starts, in a warm file cache.`],
    losses: Object.entries(runs)
      .filter(([name]) => !name.startsWith('Rivercast'))
      .filter(([, list]) => readyOf(list) < readyOf(runs['Rivercast, embedded'] ?? []))
      .map(([name, list]) => `${name} serves after ${readyOf(list).toFixed(0)} ms.`),
    figures: Object.fromEntries(
      Object.entries(runs).map(([name, list]) => [`${name}: ms`, list.map((run) => run.readyMs)]),
    ),
  };
}
