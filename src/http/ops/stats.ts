/** `GET /api/stats`: the numbers of the process for people, and for a page that shows them. */
import type { Distribution } from '../../distribution.ts';
import type { ByLabel, Measured, Readings } from '../../readings.ts';
import type { Totals } from './throughput.ts';

interface RatesOf {
  readonly windowSeconds: number;
  readonly rates: Totals;
}

/** What is sent: null stands for what this process does not do, or can not know. */
export function statsOf(
  readings: Readings,
  perSecond: RatesOf,
  measured: Measured,
): Readonly<Record<string, unknown>> {
  const { process, manager, broadcaster, connections, sockets, isReady, log } = readings;
  const { version, role, store, startedS, cpuS, openFds, maxFds } = process;
  return {
    version,
    role,
    store,
    startedAt: new Date(startedS * 1000).toISOString(),
    uptimeSeconds: Math.floor(Date.now() / 1000 - startedS),
    ready: isReady,
    log: {
      up: log.isUp,
      since: new Date(log.sinceMs).toISOString(),
      trouble: log.trouble,
      durability: log.durability,
    },
    perSecond: { windowSeconds: perSecond.windowSeconds, ...perSecond.rates },
    connections: { sockets, kinds: connections.map(kindOf) },
    lag: broadcaster === null ? null : lagOf(broadcaster.lag),
    seconds: process.loopDelayMaxS === null ? null : secondsOf(measured),
    manager: manager === null ? null : { ...manager, failures: Object.fromEntries(manager.failures) },
    broadcaster: broadcaster === null ? null : { ...broadcaster, lag: undefined },
    boundBytes: Object.fromEntries(readings.bounds.map(({ labels, value }) => [labels['bound'], value])),
    refusals: readings.refusals,
    closes: readings.closes,
    limits: readings.limits,
    incompleteBytes: readings.incompleteBytes,
    process: {
      id: process.id,
      residentBytes: process.residentBytes,
      heapUsedBytes: process.heapUsedBytes,
      heapTotalBytes: process.heapTotalBytes,
      externalBytes: process.externalBytes,
      cpuSeconds: cpuS.user + cpuS.system,
      openFds,
      maxFds,
      loopDelayMaxMs: process.loopDelayMaxS === null ? null : Math.round(process.loopDelayMaxS * 1000),
    },
  };
}

function kindOf({ labels, value }: ByLabel): Readonly<Record<string, unknown>> {
  const { role, format, channel_class: channelClass } = labels;
  return { role, format, channelClass, count: value };
}

type Lag = NonNullable<Readings['broadcaster']>['lag'];

function lagOf({
  entries,
  seconds,
  worstEntries,
  worstSeconds,
  edge,
}: Lag): Readonly<Record<string, unknown>> {
  return {
    worstEntries,
    worstSeconds,
    entries: spreadOf(entries),
    seconds: spreadOf(seconds),
    trimEdge: edge,
  };
}

/** Since the start, in s: whoever wants those of some time subtracts. */
function secondsOf({ appendSeconds, deliverySeconds }: Measured): Readonly<Record<string, unknown>> {
  const timesOf = ({ bounds, counts }: Distribution): { upTo: number | null; times: number }[] =>
    Array.from(counts, (times, at) => ({ upTo: bounds[at] ?? null, times }));
  return { append: timesOf(appendSeconds), delivery: timesOf(deliverySeconds) };
}

/** Subscriptions by how far they are behind: at most so much, and the rest. */
function spreadOf({ bounds, counts }: Distribution): { upTo: number | null; subscriptions: number }[] {
  return Array.from(counts, (subscriptions, at) => ({ upTo: bounds[at] ?? null, subscriptions }));
}
