/** The server: how it is, and how it was in the last minutes. */
import { count, moment, rate, size, span } from '../format.ts';
import { useStore } from '../store.ts';
import { Chart, type ChartOptions, type Line } from './chart.tsx';
import { choose, type Numbers, numbers } from './history.ts';
import type { Readiness, Stats } from './stats.ts';

const CHARTS: readonly ChartOptions[] = [
  {
    title: 'Messages a second',
    format: rate,
    least: 10,
    lines: [
      { of: 'manager', column: 'stored', label: 'in', colour: '--line-1' },
      { of: 'broadcaster', column: 'delivered', label: 'out', colour: '--line-2' },
    ],
  },
  {
    title: 'Connections',
    format: count,
    least: 4,
    lines: [
      { of: 'broadcaster', column: 'subscribers', label: 'subscribers', colour: '--line-1' },
      { of: 'manager', column: 'publishers', label: 'publishers', colour: '--line-2' },
    ],
  },
  {
    title: 'Delivery time',
    format: span,
    least: 10,
    lines: [
      { of: 'broadcaster', column: 'deliveryMedianMs', label: 'median', colour: '--line-1' },
      { of: 'broadcaster', column: 'deliveryHighMs', label: 'p99', colour: '--line-2' },
    ],
  },
  {
    title: 'Storing time',
    format: span,
    least: 10,
    lines: [{ of: 'manager', column: 'appendHighMs', label: 'p99', colour: '--line-1' }],
  },
  {
    title: 'Furthest behind',
    format: span,
    least: 10,
    lines: [{ of: 'broadcaster', column: 'lagMs', label: 'the slowest subscriber', colour: '--line-1' }],
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
      {all.processes.length > 1 && <Which {...all} />}
      <Tiles {...all} />
      <div class="charts">
        {chartsOf(stats).map((chart) => (
          <Chart key={`${chart.title} ${chart.lines.length}`} {...chart} />
        ))}
      </div>
      <div class="pair">
        <Health readiness={readiness} stats={stats} />
        <Process stats={stats} />
      </div>
    </div>
  );
}

/** Whose numbers these are: there is nobody who knows those of all. */
function Which({ stats, processes }: Numbers) {
  return (
    <div class="bar">
      <label class="muted" for="process">
        {`${processes.length} processes answered in the last minutes. These are the numbers of`}
      </label>
      <select id="process" value={stats?.process.id} onChange={(event) => choose(event.currentTarget.value)}>
        {processes.map(({ id, role, isAway }) => (
          <option key={id} value={id}>
            {`${id} (${role})${isAway ? ', not seen lately' : ''}`}
          </option>
        ))}
      </select>
    </div>
  );
}

/** A process with one role has the lines of that. */
function chartsOf(stats: Stats | null): readonly ChartOptions[] {
  return CHARTS.map((chart) => ({ ...chart, lines: chart.lines.filter(({ of }) => has(stats, of)) })).filter(
    ({ lines }) => lines.length > 0,
  );
}

function has(stats: Stats | null, half: Line['of']): boolean {
  return stats === null || half === undefined || stats[half] !== null;
}

function Tiles({ stats, now }: Numbers) {
  const shown = (value: number | null | undefined, format: (value: number) => string): string =>
    value === null || value === undefined ? '–' : format(value);
  const tiles = [
    ['manager', 'In', shown(now?.stored, rate), 'messages a second'],
    ['broadcaster', 'Out', shown(now?.delivered, rate), 'deliveries a second'],
    ['manager', 'Publishers', shown(now?.publishers, count), 'connected'],
    [
      'broadcaster',
      'Subscribers',
      shown(now?.subscribers, count),
      stats?.broadcaster?.channels === 1
        ? 'of 1 channel'
        : `of ${shown(stats?.broadcaster?.channels, count)} channels`,
    ],
    ['broadcaster', 'Furthest behind', shown(now?.lagEntries, count), 'messages'],
    ['broadcaster', 'Delivered within', shown(now?.deliveryHighMs, span), 'for 99 of 100'],
  ] as const;
  return (
    <dl class="tiles">
      {tiles
        .filter(([half]) => has(stats, half))
        .map(([, label, value, unit]) => (
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
        {stats !== null && <Log {...stats} />}
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

/** What an acknowledgement means. */
const STORED: Readonly<Record<string, string>> = {
  memory: 'once Redis has it in memory',
  replicated: 'once replicas have it',
  fsync: 'once it is on disk',
};

function Log({ store, log, manager }: Stats) {
  const { up, since, trouble, durability } = log;
  const words = up ? 'answers' : 'does not answer';
  return (
    <>
      <Check
        label={logName(store)}
        ok={up}
        text={trouble === null ? words : `${words}, since ${moment(Date.parse(since))}`}
      />
      {trouble !== null && <Fact label={up ? 'Last trouble' : 'Trouble'} text={trouble} />}
      {manager !== null && durability !== null && (
        <Fact label="Acknowledges" text={STORED[durability] ?? durability} />
      )}
    </>
  );
}

function Fact({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{text}</dd>
    </div>
  );
}

function logName(store: string): string {
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
  const facts: readonly (readonly [string, string | null])[] =
    stats === null
      ? []
      : [
          ['Process', stats.process.id],
          ['Version', stats.version],
          ['Role', stats.role],
          ['Up for', span(stats.uptimeSeconds * 1000)],
          ['Memory', size(stats.process.residentBytes)],
          ['Sockets', count(stats.connections.sockets)],
          ['Not stored yet', stats.manager && size(stats.manager.unstoredBytes)],
          ['In memory to send', stats.broadcaster && size(stats.broadcaster.ringBytes)],
          ['Files open', filesOf(stats.process)],
        ];
  return (
    <section class="card">
      <header>
        <h2>Process</h2>
      </header>
      <dl class="facts two">
        {facts
          .filter(([, value]) => value !== null)
          .map(([label, value]) => (
            <Fact key={label} label={label} text={value ?? ''} />
          ))}
      </dl>
    </section>
  );
}

function filesOf({ openFds, maxFds }: Stats['process']): string {
  return openFds === null ? '–' : `${count(openFds)} of ${maxFds === null ? '?' : count(maxFds)}`;
}
