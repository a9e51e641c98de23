/** The runner's side of the load: processes on the load core, and what they used of it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Remote } from '../support/calls.ts';
import { cpuSince, cpuTime } from '../support/proc.ts';
import { type Started, start } from '../support/processes.ts';
import type {
  AcknowledgedCalls,
  AttackerCalls,
  ConnectAnswer,
  ConnectAsk,
  FlushCalls,
  GroupReport,
  PublisherCalls,
  ReachAnswer,
  SubscriberCalls,
} from './calls.ts';
import type { Dialect } from './dialects.ts';

export interface Load {
  readonly subscribers: Remote<SubscriberCalls>;
  readonly publisher: Remote<PublisherCalls>;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

export interface GroupOptions {
  readonly dialect: Dialect;
  readonly port: number;
  readonly path: string;
  readonly count: number;
  readonly secure?: boolean;
  readonly paths?: readonly string[];
  readonly atOnce?: number;
  readonly messageBytes?: number;
  readonly group?: string;
  readonly reading?: boolean;
  readonly latencies?: boolean;
  readonly resume?: boolean;
  readonly localAddresses?: readonly string[];
}

/** Enough to keep the server busy, few enough for its accept queue. */
const CONNECTING_AT_ONCE = 64;

const here = import.meta.dirname;

export function startSubscribers(): { readonly remote: Remote<SubscriberCalls>; readonly process: Started } {
  const started = start(process.execPath, [join(here, 'subscribers-process.js')], {
    core: 'load',
    calls: true,
  });
  return { remote: new Remote<SubscriberCalls>(started.child), process: started };
}

/** Connections that publish and are answered. */
export function startAcknowledged(): {
  readonly remote: Remote<AcknowledgedCalls>;
  readonly process: Started;
} {
  const started = start(process.execPath, [join(here, 'acknowledged-process.js')], {
    core: 'load',
    calls: true,
  });
  return { remote: new Remote<AcknowledgedCalls>(started.child), process: started };
}

/** `chrt -r 1 npm run bench` keeps everybody else on the machine out of the figures; the attacker is to have no part in it. */
const hasPolicies: boolean = spawnSync('chrt', ['--other', '0', 'true']).status === 0;

/** On the core of the clients, but behind them. */
export function startAttacker(): { readonly remote: Remote<AttackerCalls>; readonly process: Started } {
  const command = [process.execPath, join(here, 'attacker-process.js')];
  const [file, ...args] = hasPolicies ? ['chrt', '--other', '0', ...command] : command;
  const started = start(file as string, args, { core: 'load', calls: true });
  return { remote: new Remote<AttackerCalls>(started.child), process: started };
}

/** What a disk needs at least, on the core of the servers. */
export function startFlush(): { readonly remote: Remote<FlushCalls>; readonly process: Started } {
  const started = start(process.execPath, [join(here, 'flush-process.js')], { core: 'server', calls: true });
  return { remote: new Remote<FlushCalls>(started.child), process: started };
}

export function startLoad(): Load {
  const { remote, process: receiving } = startSubscribers();
  const publishing = start(process.execPath, [join(here, 'publisher-process.js')], {
    core: 'load',
    calls: true,
  });
  return {
    subscribers: remote,
    publisher: new Remote<PublisherCalls>(publishing.child),
    pids: [receiving.pid, publishing.pid],
    stop: async () => {
      await Promise.all([receiving.stop(), publishing.stop()]);
    },
  };
}

/** Connects a group and fails when not every one got through: a figure for fewer would be another figure. */
export async function connectGroup(
  remote: Remote<SubscriberCalls>,
  options: GroupOptions,
): Promise<ConnectAnswer> {
  const ask: ConnectAsk = {
    group: 'readers',
    reading: true,
    verify: true,
    latencies: false,
    resume: false,
    secure: false,
    localAddresses: [],
    paths: [],
    atOnce: CONNECTING_AT_ONCE,
    messageBytes: 128,
    ...options,
  };
  const answer = await remote.call('connect', ask);
  const { connected, problems } = answer;
  if (connected !== options.count) {
    throw new Error(`${connected} of ${options.count} subscribers connected: ${JSON.stringify(problems)}`);
  }
  return answer;
}

/** Seconds of CPU that `work` cost each of the processes, and its answer. */
export async function withCpu<Answer>(
  pids: readonly number[],
  work: () => Promise<Answer>,
): Promise<{ readonly answer: Answer; readonly cpuSeconds: readonly number[] }> {
  const before = pids.map(cpuTime);
  const answer = await work();
  const cpuSeconds = pids.map((pid, index) => cpuSince(pid, before[index] as ReturnType<typeof cpuTime>));
  return { answer, cpuSeconds };
}

/** Everything delivered, once, in order, to everyone: null, or what was wrong. */
export function wrongDelivery(report: GroupReport, messages: number, first = 0): string | null {
  const closed = Object.entries(report.closed).map(([how, count]) => `${count} × ${how}`);
  if (closed.length > 0) return `closed: ${closed.join(', ')}`;
  if (report.breaks > 0) return `${report.breaks} breaks of order`;
  if (report.least !== messages || report.most !== messages) {
    return `received between ${report.least} and ${report.most} of ${messages}`;
  }
  if (report.lowestFirst !== first || report.highestFirst !== first) {
    return `first sequence between ${report.lowestFirst} and ${report.highestFirst}, not ${first}`;
  }
  return null;
}

export function reachedOrThrow(answer: ReachAnswer, report: GroupReport, messages: number): void {
  if (!answer.reached) {
    throw new Error(`not delivered in time: ${wrongDelivery(report, messages) ?? 'unknown reason'}`);
  }
}
