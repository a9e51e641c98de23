/** What a configuration holds, grouped by who reads it. All of it is frozen. */
import type { Retention, RetentionRule } from '../channels.ts';

/** A value, or what is wrong with its text. */
export type Explained<Value> = { readonly ok: Value } | { readonly wrong: string };

export const ROLES = ['all', 'manager', 'broadcaster'] as const;
export type Role = (typeof ROLES)[number];
export type Store = 'memory' | 'embedded' | 'redis';
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export type AuthMode = 'off' | 'required' | 'publish-only';

/** What tokens may be signed with; `kid`: its name in their headers. */
export interface Secret {
  readonly kid: string | null;
  readonly secret: string;
}

export interface AuthConfig {
  readonly mode: AuthMode;
  readonly secrets: readonly Secret[];
  /** An absolute path. */
  readonly publicKeyFile: string | null;
  readonly jwksUrl: string | null;
  /** Empty: not looked at. */
  readonly audience: readonly string[];
  readonly issuer: string | null;
  /** An absolute path. */
  readonly apiKeysFile: string | null;
}

/** `prefix`: how many bits of the address count. */
export interface AddressRange {
  readonly address: string;
  readonly prefix: number;
}

/** 0 where there is no such limit. */
export interface QuotaConfig {
  readonly maxConnections: number;
  readonly maxPerAddress: number;
  readonly maxPerSubject: number;
  readonly maxChannels: number;
  /** Messages a second. */
  readonly maxPublishesPerSecond: number;
  readonly maxPublishesPerSecondPerSubject: number;
}

/** Absolute paths of PEM files. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

export interface HttpConfig {
  readonly host: string;
  /** The first must be listened on; the others are best effort. 0 = any free port. */
  readonly ports: readonly number[];
  /** Exact origins or `https://*.example.com`; empty = same origin and loopback. */
  readonly allowedOrigins: readonly string[];
  readonly allowAnonymous: boolean;
  /**
   * Whether a name that the server is reached by need not be known to it: it is meant for others than its own
   * machine, or lets nobody in without a token.
   */
  readonly isReachedByAnyName: boolean;
  readonly trustProxy: readonly AddressRange[];
  readonly heartbeatMs: number;
  readonly idleTimeoutMs: number;
  readonly lingerMs: number;
  readonly compression: boolean;
  readonly console: boolean;
  /** Null: connections are not encrypted here. */
  readonly tls: TlsFiles | null;
}

/** What a client may cost. */
export interface LimitsConfig {
  readonly handshakeTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly maxHeaders: number;
  readonly maxHeaderBytes: number;
  readonly maxFragments: number;
  readonly maxControlFramesPerSecond: number;
  readonly maxSubscriberFramesPerSecond: number;
  readonly incompleteBytes: number;
  readonly maxSockets: number;
}

export type DurabilityLevel = 'memory' | 'replicated' | 'fsync';

/** What an acknowledgement means in Redis. */
export interface Durability {
  readonly level: DurabilityLevel;
  readonly replicas: number;
  readonly timeoutMs: number;
}

/** For how long, and of how many entries of a channel, keys are remembered. */
export interface Idempotency {
  readonly windowMs: number;
  readonly maxKeys: number;
}

export interface LogConfig {
  readonly store: Store;
  /** Set exactly when `store` is `redis`. May hold a password: print it through redactUrl only. */
  readonly redisUrl: string | null;
  /** Certificates to trust instead of the well-known ones: an absolute path. */
  readonly redisCaFile: string | null;
  /** The stream's key, which is also the name of the default channel. */
  readonly stream: string;
  /** An absolute path. */
  readonly dataDir: string;
  /** Of channels that no rule names, and for bounds that a rule does not. */
  readonly retention: Retention;
  readonly retentionRules: readonly RetentionRule[];
  readonly sweepMs: number;
  readonly durability: Durability;
  readonly idempotency: Idempotency;
}

export interface ManagerConfig {
  readonly maxMessageBytes: number;
  readonly publisherBufferBytes: number;
  readonly bufferBytes: number;
  readonly batchMaxEntries: number;
  readonly batchMaxBytes: number;
  readonly batchWaitMs: number;
  readonly overloadedAfterMs: number;
}

export interface BroadcasterConfig {
  readonly ringBytes: number;
  readonly writeBytes: number;
  readonly stalledBytes: number;
  readonly slowAfterMs: number;
  readonly slowEntries: number;
  readonly slowBytes: number;
  readonly maxCatchUps: number;
}

/** How a stop goes. */
export interface DrainConfig {
  /** Until connections are refused. */
  readonly delayMs: number;
  /** For the closes of subscribers. */
  readonly spreadMs: number;
  /** For everything else. */
  readonly timeoutMs: number;
}

/** Channels that are told apart in numbers, under one name. */
export interface ChannelClass {
  readonly name: string;
  /** A pattern. */
  readonly channels: string;
}

export interface ObservabilityConfig {
  readonly metrics: boolean;
  readonly tracing: boolean;
  readonly channelClasses: readonly ChannelClass[];
}

export interface Config {
  readonly role: Role;
  readonly http: HttpConfig;
  readonly auth: AuthConfig;
  readonly quotas: QuotaConfig;
  readonly limits: LimitsConfig;
  readonly log: LogConfig;
  readonly manager: ManagerConfig;
  readonly broadcaster: BroadcasterConfig;
  readonly observability: ObservabilityConfig;
  readonly drain: DrainConfig;
  readonly logLevel: LogLevel;
}
