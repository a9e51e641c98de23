/**
 * `GET /metrics`: every metric of Rivercast, and where its values come from. Nothing counts here: each row takes
 * its values from the readings of the moment (readings.ts).
 *
 * The values of every label are few: codes, formats, roles, and the classes of channels that the operator named;
 * never the name of a channel. What describes the process in general has the names that all clients of Prometheus
 * give it.
 */
import { type Metric, Registry } from 'prom-client';
import { Distribution } from './distribution.ts';
import type { BroadcasterReadings, ByLabel, ManagerReadings, Measured, Readings } from './readings.ts';

/** Null: the process has no such number, because of its role or its system. */
type Value = number | Distribution | readonly ByLabel[] | null;

interface Row {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly read: (readings: Readings, measured: Measured) => Value;
}

type Read<Of> = (readings: Of) => Value;

const counter = (help: string, read: Read<Readings>): Row => ({ type: 'counter', help, read });
const gauge = (help: string, read: Read<Readings>): Row => ({ type: 'gauge', help, read });
const spread = (help: string, pick: (measured: Measured) => Distribution): Row => ({
  type: 'histogram',
  help,
  read: (_readings, measured) => pick(measured),
});

/** Only where something is taken in. */
const taken = (row: typeof gauge, help: string, read: Read<ManagerReadings>): Row =>
  row(help, ({ manager }) => (manager === null ? null : read(manager)));

/** Only where something is delivered. */
const given = (row: typeof gauge, help: string, read: Read<BroadcasterReadings>): Row =>
  row(help, ({ broadcaster }) => (broadcaster === null ? null : read(broadcaster)));

function by(label: string, values: Iterable<readonly [string, number]>): ByLabel[] {
  return [...values].map(([name, value]) => ({ labels: { [label]: name }, value }));
}

/** One number of each format. */
function each<Of>(formats: Readonly<Record<string, Of>>, pick: (of: Of) => number): ByLabel[] {
  return by(
    'format',
    Object.entries(formats).map(([format, of]) => [format, pick(of)]),
  );
}

const GENERAL: Readonly<Record<string, Row>> = {
  rivercast_build_info: gauge('1, and what this process is.', ({ process: { version, role, store } }) => [
    { labels: { version, role, store, node: process.version }, value: 1 },
  ]),
  rivercast_ready: gauge('Whether /readyz says so: 1 or 0.', ({ isReady }) => Number(isReady)),
  rivercast_log_up: gauge('Whether the log answers: 1 or 0.', ({ log }) => Number(log.isUp)),
  rivercast_sockets: gauge('TCP connections of any kind that are open.', ({ sockets }) => sockets),
  rivercast_connections: gauge(
    'Publishers and subscribers that are connected, and other sockets, by role, format and class of channel.',
    ({ connections }) => connections,
  ),
  rivercast_connections_accepted_total: counter(
    'Publishers and subscribers that came.',
    ({ accepted }) => accepted,
  ),
  rivercast_bound_bytes: gauge(
    'What the settings allow: RING_BYTES, STALLED_BYTES, MANAGER_BUFFER_BYTES, INCOMPLETE_BYTES.',
    ({ bounds }) => bounds,
  ),
  rivercast_refusals_total: counter('What was refused: where, and by which code.', ({ refusals }) =>
    refusals.map(({ at, code, count }) => ({ labels: { at, code }, value: count })),
  ),
  rivercast_closes_total: counter('Connections closed by this side, by close code.', ({ closes }) =>
    by(
      'code',
      closes.map(({ code, count }) => [code, count]),
    ),
  ),
  rivercast_limits_crossed_total: counter(
    'How often clients crossed a limit of what one may cost, by limit.',
    ({ limits }) => by('limit', Object.entries(limits)),
  ),
  rivercast_incomplete_bytes: gauge(
    'Memory for what clients have begun and not finished.',
    ({ incompleteBytes }) => incompleteBytes,
  ),
};

const INTAKE: Readonly<Record<string, Row>> = {
  rivercast_received_entries_total: taken(counter, 'Entries that came from publishers.', ({ received }) =>
    each(received, ({ entries }) => entries),
  ),
  rivercast_received_bytes_total: taken(counter, 'Payload bytes of these.', ({ received }) =>
    each(received, ({ bytes }) => bytes),
  ),
  rivercast_stored_entries_total: taken(counter, 'Entries appended to the log.', ({ stored }) => stored),
  rivercast_duplicate_entries_total: taken(
    counter,
    'Entries that were stored already, by their keys.',
    ({ duplicates }) => duplicates,
  ),
  rivercast_failed_entries_total: taken(
    counter,
    'Entries not known to be stored as asked, by code.',
    ({ failures }) => by('code', failures),
  ),
  rivercast_append_seconds: spread('From the append of a batch to its end.', (m) => m.appendSeconds),
  rivercast_batch_entries: spread('Entries of a batch.', (m) => m.batchEntries),
  rivercast_unstored_bytes: taken(
    gauge,
    'Received and not stored yet, 128 bytes for each entry included.',
    ({ unstoredBytes }) => unstoredBytes,
  ),
  rivercast_paused_publishers: taken(
    gauge,
    'Publishers that are not read for now, since too much is not stored.',
    ({ paused }) => paused,
  ),
  rivercast_posts: taken(gauge, 'Requests to publish without an answer yet.', ({ posts }) => posts),
  rivercast_trimmed_entries_total: taken(
    counter,
    'Entries removed because somebody asked for it.',
    ({ trimmed }) => trimmed,
  ),
  rivercast_sweeps_total: taken(counter, 'Sweeps by this process, by how they ended.', ({ sweeps }) =>
    by('result', [
      ['done', sweeps.done],
      ['failed', sweeps.failed],
    ]),
  ),
  rivercast_swept_entries_total: taken(
    counter,
    'Entries that sweeps removed.',
    ({ sweeps }) => sweeps.removed,
  ),
  rivercast_forgotten_channels_total: taken(
    counter,
    'Channels that sweeps forgot.',
    ({ sweeps }) => sweeps.forgotten,
  ),
};

const DELIVERY: Readonly<Record<string, Row>> = {
  rivercast_delivered_entries_total: given(
    counter,
    'Entries written, once for each subscriber.',
    ({ sent }) => each(sent, ({ entries }) => entries),
  ),
  rivercast_delivered_bytes_total: given(counter, 'Bytes written to subscribers.', ({ sent }) =>
    each(sent, ({ bytes }) => bytes),
  ),
  rivercast_writes_total: given(counter, 'Writes to subscribers.', ({ sent }) =>
    each(sent, ({ writes }) => writes),
  ),
  rivercast_block_entries: spread('Entries of a block that came from the log.', (m) => m.blockEntries),
  rivercast_delivery_seconds: spread(
    'From the time in the id of the oldest entry of a pass to the end of the pass: all who read have been written it.',
    (m) => m.deliverySeconds,
  ),
  rivercast_pass_seconds: spread(
    'The same from the arrival of the entry in this process.',
    (m) => m.passSeconds,
  ),
  rivercast_pass_slices_total: given(counter, 'Slices that passes took.', ({ slices }) => slices),
  rivercast_pass_slice_max_seconds: given(
    gauge,
    'The longest of them since the start.',
    ({ longestSliceMs }) => longestSliceMs / 1000,
  ),
  rivercast_channels: given(gauge, 'Channels that are followed.', ({ channels }) => channels),
  rivercast_subscriptions: given(gauge, 'Subscriptions to them.', ({ subscriptions }) => subscriptions),
  rivercast_subscriber_lag_entries: {
    type: 'histogram',
    help: 'How many entries subscriptions are behind, all of them at this moment: no rates of it.',
    read: ({ broadcaster }) => broadcaster?.lag.entries ?? null,
  },
  rivercast_subscriber_lag_seconds: {
    type: 'histogram',
    help: 'For how long the oldest entry that a subscription was not sent waits, of all at this moment: no rates of it.',
    read: ({ broadcaster }) => broadcaster?.lag.seconds ?? null,
  },
  rivercast_subscriber_lag_max_entries: given(gauge, 'The worst of these.', ({ lag }) => lag.worstEntries),
  rivercast_subscriber_lag_max_seconds: given(gauge, 'The worst of these.', ({ lag }) => lag.worstSeconds),
  rivercast_trim_edge_max_ratio: given(
    gauge,
    'How much of what is kept of a channel lies behind the furthest subscription that reads from the log.',
    ({ lag }) => lag.edge.worstRatio,
  ),
  rivercast_trim_edge_subscriptions: given(
    gauge,
    'Subscriptions with more than 0.8 of it behind them: trimming is about to take what they need.',
    ({ lag }) => lag.edge.near,
  ),
  rivercast_gaps_total: given(counter, 'Gaps that subscribers met, by reason.', ({ gaps }) =>
    by('reason', Object.entries(gaps)),
  ),
  rivercast_resets_total: given(
    counter,
    'Histories of followed channels that were replaced.',
    ({ resets }) => resets,
  ),
  rivercast_resumes_total: given(
    counter,
    'Subscriptions that began at a cursor, by where it was found.',
    ({ resumedFromMemory, resumedFromLog }) =>
      by('source', [
        ['memory', resumedFromMemory],
        ['log', resumedFromLog],
      ]),
  ),
  rivercast_catch_up_reads_total: given(
    counter,
    'Reads of the log for subscribers behind what is in memory.',
    ({ catchUpReads }) => catchUpReads,
  ),
  rivercast_catching_up: given(
    gauge,
    'Subscriptions on a long way to the present.',
    ({ catchingUp }) => catchingUp,
  ),
  rivercast_ring_bytes: given(
    gauge,
    'Memory for recent entries, of RING_BYTES.',
    ({ ringBytes }) => ringBytes,
  ),
  rivercast_stalled_subscribers: given(
    gauge,
    'Subscribers whose sockets take nothing.',
    ({ stalled }) => stalled,
  ),
  rivercast_stalled_bytes: given(
    gauge,
    'Memory that they keep alive, of STALLED_BYTES.',
    ({ stalledBytes }) => stalledBytes,
  ),
  rivercast_slow_closes_total: given(
    counter,
    'Subscribers closed as too slow, or cut because too much was pending.',
    ({ closedTooSlow, cutForRoom }) =>
      by('reason', [
        ['too_slow', closedTooSlow],
        ['stalled_bytes', cutForRoom],
      ]),
  ),
};

const PROCESS: Readonly<Record<string, Row>> = {
  rivercast_event_loop_delay_seconds: spread(
    'How late the event loop was, looked at every 20 ms.',
    (m) => m.loopDelaySeconds,
  ),
  rivercast_event_loop_delay_max_seconds: gauge(
    'The most of it in the last 30 s.',
    ({ process: { loopDelayMaxS } }) => loopDelayMaxS,
  ),
  process_cpu_user_seconds_total: counter('CPU time in user mode.', (r) => r.process.cpuS.user),
  process_cpu_system_seconds_total: counter('CPU time in the kernel.', (r) => r.process.cpuS.system),
  process_cpu_seconds_total: counter('CPU time in all.', ({ process: { cpuS } }) => cpuS.user + cpuS.system),
  process_resident_memory_bytes: gauge('Resident memory.', (r) => r.process.residentBytes),
  process_start_time_seconds: gauge('Start of the process, since 1970.', (r) => r.process.startedS),
  process_open_fds: gauge('File descriptors that are open.', (r) => r.process.openFds),
  process_max_fds: gauge('How many there may be.', (r) => r.process.maxFds),
  nodejs_heap_size_used_bytes: gauge('JavaScript heap in use.', (r) => r.process.heapUsedBytes),
  nodejs_heap_size_total_bytes: gauge('JavaScript heap.', (r) => r.process.heapTotalBytes),
  nodejs_external_memory_bytes: gauge('Memory of buffers, outside of it.', (r) => r.process.externalBytes),
};

const ROWS: Readonly<Record<string, Row>> = { ...GENERAL, ...INTAKE, ...DELIVERY, ...PROCESS };

export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** The readings in the text format of Prometheus. */
export async function metricsText(readings: Readings, measured: Measured): Promise<string> {
  const registry = new Registry();
  for (const [name, { type, help, read }] of Object.entries(ROWS)) {
    const value = read(readings, measured);
    if (value === null) continue;
    const metric = {
      get: async () => ({ name, help, type, values: samplesOf(name, value), aggregator: 'sum' }),
    };
    registry.registerMetric({ name, ...metric } as unknown as Metric);
  }
  return registry.metrics();
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

function samplesOf(name: string, value: number | Distribution | readonly ByLabel[]): Sample[] {
  if (typeof value === 'number') return [{ metricName: name, labels: {}, value }];
  if (value instanceof Distribution) return bucketsOf(name, value);
  return value.map((sample) => ({ metricName: name, ...sample }));
}

function bucketsOf(name: string, { bounds, counts, sum }: Distribution): Sample[] {
  let count = 0;
  const buckets = Array.from(counts, (more, at) => {
    count += more;
    return { metricName: `${name}_bucket`, labels: { le: bounds[at] ?? '+Inf' }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: sum },
    { metricName: `${name}_count`, labels: {}, value: count },
  ];
}
