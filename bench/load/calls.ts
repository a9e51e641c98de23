/** What the runner asks of its load processes. Names of groups are free: `readers`, `stalled`. */
import type { Distribution } from '../support/histogram.ts';
import type { Dialect, Door } from './dialects.ts';

export interface ConnectAsk {
  readonly group: string;
  readonly count: number;
  readonly dialect: Dialect;
  readonly port: number;
  readonly path: string;
  readonly secure: boolean;
  /** For subscriber after subscriber, in turn, instead of `path`; empty = all at `path`. */
  readonly paths: readonly string[];
  /** Handshakes under way at once. */
  readonly atOnce: number;
  /** Size of a message, for the protocols that do not tell it. */
  readonly messageBytes: number;
  readonly reading: boolean;
  readonly verify: boolean;
  readonly latencies: boolean;
  readonly resume: boolean;
  /** Loopback addresses to connect from in turn; empty = the default one. One has about 28,000 ports. */
  readonly localAddresses: readonly string[];
}

export interface ConnectAnswer {
  readonly connected: number;
  /** When the first of them began to connect, and when the last was open. */
  readonly startedUs: number;
  readonly openUs: number;
  /** What went wrong, with how often. */
  readonly problems: Readonly<Record<string, number>>;
}

export interface ReachAsk {
  readonly group: string;
  /** One number for all, or one for each path of the group. */
  readonly messages: number | readonly number[];
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
  readonly highestLast: number;
  readonly closed: Readonly<Record<string, number>>;
  readonly resumed: number;
  readonly latencies: Distribution | null;
}

export type SubscriberCalls = {
  readonly connect: { readonly ask: ConnectAsk; readonly answer: ConnectAnswer };
  /** Answers once every subscriber of the group has received so many messages, or the time is up. */
  readonly reach: { readonly ask: ReachAsk; readonly answer: ReachAnswer };
  readonly report: { readonly ask: { readonly group: string }; readonly answer: GroupReport };
  /** Forgets the latencies so far: they were those of a warm-up. */
  readonly forget: { readonly ask: { readonly group: string }; readonly answer: null };
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
  /** One connection for each path, all at the same port; without paths one at the door's own. */
  readonly connect: { readonly ask: Door & { readonly paths?: readonly string[] }; readonly answer: null };
  /** As fast as the server takes them. */
  readonly burst: { readonly ask: BurstAsk; readonly answer: PublishAnswer };
  /** At a fixed rate, whatever the server does; message after message to connection after connection. */
  readonly pace: { readonly ask: PaceAsk; readonly answer: PublishAnswer };
};

interface PublishDoor {
  readonly port: number;
  readonly path: string;
  readonly bytes: number;
}

export type AcknowledgedCalls = {
  /** As many as possible with `window` unanswered on each connection; answers once all are acknowledged. */
  readonly flood: {
    readonly ask: PublishDoor & {
      readonly connections: number;
      readonly window: number;
      readonly messages: number;
      /** What the keys begin with; null: no keys. */
      readonly keys: string | null;
    };
    readonly answer: {
      readonly acknowledged: number;
      readonly startedUs: number;
      readonly endedUs: number;
    };
  };
  /** At a fixed rate on one connection; the first `warmUp` do not count. */
  readonly pace: {
    readonly ask: PublishDoor & {
      readonly perSecond: number;
      readonly messages: number;
      readonly warmUp: number;
    };
    readonly answer: { readonly latencies: Distribution };
  };
  /** Raw, as fast as the server takes them: what has become of them must be asked elsewhere. */
  readonly pour: {
    readonly ask: PublishDoor & { readonly connections: number; readonly messages: number };
    readonly answer: { readonly sent: number; readonly startedUs: number };
  };
};

export type FlushCalls = {
  readonly pace: {
    readonly ask: {
      readonly directory: string;
      readonly bytes: number;
      readonly perSecond: number;
      readonly messages: number;
    };
    readonly answer: { readonly latencies: Distribution };
  };
};

export type AttackKind = 'half-open' | 'fragments' | 'zero-window' | 'pings' | 'churn';

export interface AttackAsk {
  readonly kind: AttackKind;
  readonly port: number;
}

/** What an attack got done. */
export interface AttackAnswer {
  readonly opened: number;
  /** Connections that the server ended, or that ended themselves. */
  readonly ended: number;
  readonly bytes: number;
  readonly frames: number;
  /** How often the server said which close code. */
  readonly closes: Readonly<Record<string, number>>;
}

export type AttackerCalls = {
  /** It goes on until its end is asked for. */
  readonly begin: { readonly ask: AttackAsk; readonly answer: null };
  readonly end: { readonly ask: null; readonly answer: AttackAnswer };
};
