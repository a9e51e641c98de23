/** The server: how it is, and how it was in the last minutes. */
import { count, rate, size, span } from '../format.ts';
import { useStore } from '../store.ts';
import { Chart, type ChartOptions } from './chart.tsx';
import { type Numbers, numbers } from './history.ts';
import type { Readiness, Stats } from './stats.ts';

const CHARTS: readonly ChartOptions[] = [
  {
    title: 'Messages a second',
    format: rate,
    least: 10,
    lines: [
      { column: 'stored', label: 'in', colour: '--line-1' },
      { column: 'delivered', label: 'out', colour: '--line-2' },
    ],
  },
  {
    title: 'Connections',
    format: count,
    least: 4,
    lines: [
      { column: 'subscribers', label: 'subscribers', colour: '--line-1' },
      { column: 'publishers', label: 'publishers', colour: '--line-2' },
    ],
  },
  {
    title: 'Delivery time',
    format: span,
    least: 10,
    lines: [
      { column: 'deliveryMedianMs', label: 'median', colour: '--line-1' },
      { column: 'deliveryHighMs', label: 'p99', colour: '--line-2' },
    ],
  },
  {
    title: 'Storing time',
    format: span,
    least: 10,
    lines: [{ column: 'appendHighMs', label: 'p99', colour: '--line-1' }],
  },
  {
    title: 'Furthest behind',
    format: span,
    least: 10,
    lines: [{ column: 'lagMs', label: 'the slowest subscriber', colour: '--line-1' }],
  },
  {
    title: 'Event loop delay',
    format: span,
    least: 10,
    lines: [{ column: 'loopMs', label: 'longest', colour: '--line-1' }],
  },
];

export function ServerView() {
  const all = useStore(numbers);
  const { stats, readiness } = all;
  return (
    <div class="page">
      <h1 class="hidden">Server</h1>
      <Tiles {...all} />
      <div class="charts">
        {CHARTS.map((chart) => (
          <Chart key={chart.title} {...chart} />
        ))}
      </div>
      <div class="pair">
        <Health readiness={readiness} stats={stats} />
        <Process stats={stats} />
      </div>
    </div>
  );
}

function Tiles({ stats, now }: Numbers) {
  const shown = (value: number | null | undefined, format: (value: number) => string): string =>
    value === null || value === undefined ? '–' : format(value);
  const tiles = [
    ['In', shown(now?.stored, rate), 'messages a second'],
    ['Out', shown(now?.delivered, rate), 'deliveries a second'],
    [
      'Subscribers',
      shown(now?.subscribers, count),
      stats?.broadcaster?.channels === 1
        ? 'of 1 channel'
        : `of ${shown(stats?.broadcaster?.channels, count)} channels`,
    ],
    ['Furthest behind', shown(now?.lagEntries, count), 'messages'],
    ['Delivered within', shown(now?.deliveryHighMs, span), 'for 99 of 100'],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([label, value, unit]) => (
        <div class="tile" key={label}>
          <dt>{label}</dt>
          <dd>
            <b>{value}</b> <span>{unit}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

const CHECKS: Readonly<Record<string, string>> = { append: 'Storing', delivery: 'Delivery' };

function Health({
  readiness,
  stats,
}: {
  readonly readiness: Readiness | null;
  readonly stats: Stats | null;
}) {
  const checks = Object.entries(readiness?.checks ?? {}).filter(([name]) => name in CHECKS);
  return (
    <section class="card">
      <header>
        <h2>Health</h2>
      </header>
      <dl class="facts">
        <Check label="Takes traffic" ok={readiness?.status === 'ready'} text={readiness?.reason ?? 'ready'} />
        {checks.map(([name, found]) => (
          <Check key={name} label={CHECKS[name] ?? name} ok={found === 'ok'} text={String(found)} />
        ))}
        {stats !== null && (
          <Check
            label={logName(stats)}
            ok={stats.log.up}
            text={stats.log.up ? 'answers' : 'does not answer'}
          />
        )}
        {stats?.lag && (
          <Check
            label="Trimming"
            ok={stats.lag.trimEdge.near === 0}
            text={
              stats.lag.trimEdge.near === 0
                ? 'nobody is near the edge'
                : `${count(stats.lag.trimEdge.near)} subscriptions are about to lose messages`
            }
          />
        )}
      </dl>
    </section>
  );
}

function logName({ store }: Stats): string {
  return store === 'redis' ? 'Redis' : store === 'memory' ? 'Log in memory' : 'Log on disk';
}

function Check({ label, ok, text }: { readonly label: string; readonly ok: boolean; readonly text: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd class={ok ? 'good' : 'bad'}>
        <i class="dot" />
        {text}
      </dd>
    </div>
  );
}

function Process({ stats }: { readonly stats: Stats | null }) {
  const facts: readonly (readonly [string, string])[] =
    stats === null
      ? []
      : [
          ['Version', stats.version],
          ['Role', stats.role],
          ['Up for', span(stats.uptimeSeconds * 1000)],
          ['Memory', size(stats.process.residentBytes)],
          ['Sockets', count(stats.connections.sockets)],
          ['Not stored yet', size(stats.manager?.unstoredBytes ?? 0)],
          ['In memory to send', size(stats.broadcaster?.ringBytes ?? 0)],
          ['Files open', filesOf(stats.process)],
        ];
  return (
    <section class="card">
      <header>
        <h2>Process</h2>
      </header>
      <dl class="facts two">
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function filesOf({ openFds, maxFds }: Stats['process']): string {
  return openFds === null ? '–' : `${count(openFds)} of ${maxFds === null ? '?' : count(maxFds)}`;
}
