/** A child process that holds groups of subscribers and tells the runner what they received. */
import { setTimeout as sleep } from 'node:timers/promises';
import { answerCalls } from '../support/calls.ts';
import { nowUs } from '../support/clock.ts';
import { Histogram } from '../support/histogram.ts';
import type {
  ConnectAnswer,
  ConnectAsk,
  GroupReport,
  ReachAnswer,
  ReachAsk,
  SubscriberCalls,
} from './calls.ts';
import { Subscriber } from './subscriber.ts';

interface Group {
  readonly subscribers: Subscriber[];
  readonly latencies: Histogram | null;
  missing: number;
  onReached: (atUs: number) => void;
}

const groups: Map<string, Group> = new Map();

function groupOf(name: string): Group {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`no group "${name}"`);
  return group;
}

function noted(group: Group, subscriber: Subscriber): void {
  if (subscriber.done || subscriber.tally.messages < subscriber.target) return;
  subscriber.done = true;
  if (--group.missing === 0) group.onReached(nowUs());
}

async function connectGroup(ask: ConnectAsk): Promise<ConnectAnswer> {
  const group: Group = groups.get(ask.group) ?? {
    subscribers: [],
    latencies: ask.latencies ? new Histogram() : null,
    missing: 0,
    onReached: () => {},
  };
  groups.set(ask.group, group);
  const problems: Record<string, number> = {};
  const startedUs = nowUs();
  // Each has its number, whatever the order they open in: paths and targets go by it.
  const before = group.subscribers.length;
  let started = 0;
  let connected = 0;
  const connectSome = async (): Promise<void> => {
    while (started < ask.count) {
      const number = started++;
      const localAddress = ask.localAddresses[number % ask.localAddresses.length] ?? null;
      const onMessages = (one: Subscriber) => noted(group, one);
      const path = ask.paths[number % ask.paths.length] ?? ask.path;
      const subscriber = new Subscriber({
        ...ask,
        path,
        localAddress,
        latencies: group.latencies,
        onMessages,
      });
      const problem = await subscriber.connect();
      if (problem === null) {
        connected++;
        group.subscribers[number + before] = subscriber;
      } else {
        problems[problem] = (problems[problem] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: ask.atOnce }, connectSome));
  return { connected, startedUs, openUs: nowUs(), problems };
}

async function reach(ask: ReachAsk): Promise<ReachAnswer> {
  const group = groupOf(ask.group);
  const { messages } = ask;
  group.missing = group.subscribers.length;
  group.subscribers.forEach((subscriber, index) => {
    subscriber.done = false;
    subscriber.target =
      typeof messages === 'number' ? messages : (messages[index % messages.length] as number);
  });
  const timeout = new AbortController();
  const reached = new Promise<ReachAnswer>((resolve) => {
    group.onReached = (atUs) => resolve({ reached: true, atUs });
  });
  for (const subscriber of group.subscribers) noted(group, subscriber);
  const gaveUp = sleep(ask.timeoutMs, undefined, { signal: timeout.signal }).then(
    () => ({ reached: false, atUs: nowUs() }),
    () => ({ reached: false, atUs: nowUs() }),
  );
  const answer = await Promise.race([reached, gaveUp]);
  timeout.abort();
  return answer;
}

function report(name: string): GroupReport {
  const { subscribers, latencies } = groupOf(name);
  const tallies = subscribers.map((subscriber) => subscriber.tally);
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const counts = tallies.map((tally) => tally.messages);
  const firsts = tallies.map((tally) => tally.firstSequence);
  const lasts = tallies.map((tally) => tally.lastSequence);
  const closed: Record<string, number> = {};
  for (const { closed: how } of subscribers) if (how !== null) closed[how] = (closed[how] ?? 0) + 1;
  return {
    subscribers: subscribers.length,
    messages: sum(counts),
    bytes: sum(tallies.map((tally) => tally.bytes)),
    least: Math.min(...counts),
    most: Math.max(...counts),
    breaks: sum(tallies.map((tally) => tally.breaks)),
    lowestFirst: Math.min(...firsts),
    highestFirst: Math.max(...firsts),
    lowestLast: Math.min(...lasts),
    highestLast: Math.max(...lasts),
    closed,
    resumed: sum(subscribers.map((subscriber) => subscriber.resumed)),
    latencies: latencies?.distribution() ?? null,
  };
}

answerCalls<SubscriberCalls>({
  connect: connectGroup,
  reach,
  report: ({ group }) => report(group),
  forget: ({ group }) => {
    groupOf(group).latencies?.clear();
    return null;
  },
  read: ({ group }) => {
    for (const subscriber of groupOf(group).subscribers) subscriber.read();
    return null;
  },
  end: ({ group }) => {
    for (const subscriber of groupOf(group).subscribers) subscriber.end();
    groups.delete(group);
    return null;
  },
});
