/** What the runner asks of its load processes. Names of groups are free: `readers`, `stalled`. */
import type { Distribution } from '../support/histogram.ts';

export interface ConnectAsk {
  readonly group: string;
  readonly count: number;
  readonly port: number;
  readonly path: string;
  readonly reading: boolean;
  readonly verify: boolean;
  readonly latencies: boolean;
  readonly resume: boolean;
  /** Loopback addresses to connect from in turn; empty = the default one. One has about 28,000 ports. */
  readonly localAddresses: readonly string[];
}

export interface ConnectAnswer {
  readonly connected: number;
  /** What went wrong, with how often. */
  readonly problems: Readonly<Record<string, number>>;
}

export interface ReachAsk {
  readonly group: string;
  readonly messages: number;
  readonly timeoutMs: number;
}

export interface ReachAnswer {
  readonly reached: boolean;
  readonly atUs: number;
}

export interface GroupReport {
  readonly subscribers: number;
  readonly messages: number;
  readonly bytes: number;
  /** The subscriber that has received least, and most. */
  readonly least: number;
  readonly most: number;
  /** Sequence numbers that were not one above the last, over all subscribers. */
  readonly breaks: number;
  readonly lowestFirst: number;
  readonly highestFirst: number;
  /** The last sequence number at the subscriber that is least far. */
  readonly lowestLast: number;
  readonly closed: Readonly<Record<string, number>>;
  readonly resumed: number;
  readonly latencies: Distribution | null;
}

export type SubscriberCalls = {
  readonly connect: { readonly ask: ConnectAsk; readonly answer: ConnectAnswer };
  /** Answers once every subscriber of the group has received so many messages, or the time is up. */
  readonly reach: { readonly ask: ReachAsk; readonly answer: ReachAnswer };
  readonly report: { readonly ask: { readonly group: string }; readonly answer: GroupReport };
  readonly read: { readonly ask: { readonly group: string }; readonly answer: null };
  readonly end: { readonly ask: { readonly group: string }; readonly answer: null };
};

export interface BurstAsk {
  readonly messages: number;
  readonly bytes: number;
  readonly first: number;
}

export interface PaceAsk extends BurstAsk {
  readonly perSecond: number;
}

export interface PublishAnswer {
  readonly startedUs: number;
  /** When the last message was handed to the kernel. */
  readonly endedUs: number;
  /** How late the latest message left, against its schedule. */
  readonly maxLateUs: number;
}

export type PublisherCalls = {
  readonly connect: { readonly ask: { readonly port: number; readonly path: string }; readonly answer: null };
  /** As fast as the server takes them. */
  readonly burst: { readonly ask: BurstAsk; readonly answer: PublishAnswer };
  /** At a fixed rate, whatever the server does. */
  readonly pace: { readonly ask: PaceAsk; readonly answer: PublishAnswer };
};
