/**
 * How long until a message is acknowledged, at 100 messages a second on one connection?
 *
 * The floor of the embedded log is a bare write and `fdatasync` at the same rate on the same disk; of Redis, what
 * the round trips cost. Runs are interleaved and their latencies merged before a percentile is taken.
 */
import { type Answer, type Bench, median } from '../answer.ts';
import { startAcknowledged, startFlush } from '../load/load.ts';
import { type Distribution, Histogram } from '../support/histogram.ts';
import { scratchDirectory } from '../support/processes.ts';
import { type Store, startRivercast } from '../targets.ts';

const BYTES = 128;
/** An entry with its key and header, as the embedded log writes it. */
const FLUSHED_BYTES = 200;
const PER_SECOND = 100;
const WARM_UP = 100;
const MUST_ABOVE_FLOOR_MS = 1;

const REDIS = 'Rivercast v1, Redis';
const EMBEDDED = 'Rivercast v1, embedded';
const FLOOR = 'write + fdatasync';

async function acknowledged(store: Store, messages: number): Promise<Distribution> {
  const server = await startRivercast({ store });
  const { remote, process: client } = startAcknowledged();
  try {
    const { port, path } = server.publish;
    const ask = { port, path, bytes: BYTES, perSecond: PER_SECOND, messages, warmUp: WARM_UP };
    return (await remote.call('pace', ask)).latencies;
  } finally {
    await client.stop();
    await server.stop();
  }
}

async function floor(messages: number): Promise<Distribution> {
  const { remote, process: child } = startFlush();
  try {
    const directory = scratchDirectory();
    const ask = { directory, bytes: FLUSHED_BYTES, perSecond: PER_SECOND, messages };
    return (await remote.call('pace', ask)).latencies;
  } finally {
    await child.stop();
  }
}

export async function publishLatency(bench: Bench): Promise<Answer> {
  const repeats = bench.quick ? 1 : 3;
  const messages = PER_SECOND * (bench.quick ? 5 : 15);
  const rows: readonly (readonly [string, () => Promise<Distribution>])[] = [
    [FLOOR, () => floor(messages)],
    [EMBEDDED, () => acknowledged('embedded', messages)],
    [REDIS, () => acknowledged('redis', messages)],
  ];
  const all: Record<string, Histogram> = {};
  const p50s: Record<string, number[]> = {};
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [name, measure] of rows) {
      const one = new Histogram();
      const distribution = await measure();
      one.merge(distribution);
      (all[name] ??= new Histogram()).merge(distribution);
      (p50s[name] ??= []).push(one.percentileUs(0.5) / 1000);
    }
  }
  const ms = (name: string, share: number): number => (all[name]?.percentileUs(share) ?? Number.NaN) / 1000;
  const above = median(p50s[EMBEDDED] ?? []) - median(p50s[FLOOR] ?? []);
  return {
    question: 'publish-latency',
    title: `From publish to acknowledgement, ${PER_SECOND} messages a second of ${BYTES} B`,
    head: ['who', 'p50', 'p99', 'max'],
    rows: rows.map(([name]) => [name, ...[0.5, 0.99, 1].map((share) => `${ms(name, share).toFixed(2)} ms`)]),
    verdicts: [
      {
        must: `embedded: p50 within ${MUST_ABOVE_FLOOR_MS} ms of a bare write and fdatasync`,
        measured: `${above.toFixed(2)} ms above`,
        pass: above <= MUST_ABOVE_FLOOR_MS,
      },
    ],
    notes: [
      `${repeats} interleaved runs of ${messages} messages each; timed from when each was due. One connection, v1.`,
    ],
    figures: Object.fromEntries(rows.map(([name]) => [name, [ms(name, 0.5), ms(name, 0.99)]])),
  };
}
