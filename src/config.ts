/**
 * Every setting of Rivercast, once: this table makes the environment variables, the command line flags, the
 * frozen Config, the messages about bad values and docs/configuration.md. A setting comes from its flag, else
 * from its environment variable (an empty one counts as absent), else from its default; all three are text
 * and go through the same parser. Nothing else in the program reads process.env.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { isChannelName, type RetentionRule } from './channels.ts';
import { BROADCASTER_ROWS } from './config-broadcaster.ts';
import { MANAGER_ROWS } from './config-manager.ts';
import { RETENTION_ROWS, repeatedIn } from './config-retention.ts';
import { count, oneOf, parsed, type Row, time } from './config-rows.ts';
import type { Config } from './config-shape.ts';
import {
  DAY,
  isLoopback,
  isRedisUrl,
  MAX_TIMER_MS,
  MINUTE,
  parseOrigins,
  parsePorts,
  redactSecret,
} from './config-values.ts';

import { StartError } from './errors.ts';

export type {
  BroadcasterConfig,
  Config,
  HttpConfig,
  LogConfig,
  LogLevel,
  ManagerConfig,
  Role,
  Store,
} from './config-shape.ts';

export interface ConfigInput {
  /** Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** By the camel-case name of the setting (`redisUrl`), as a command line parser gives them. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

/** One or more settings are wrong: a line for each, with its name, its value and what is allowed. */
export class ConfigError extends StartError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'), 2);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** What documentation and command line need to know of a setting. */
export interface Setting {
  /** The environment variable: `REDIS_URL`. */
  readonly name: string;
  /** The command line flag: `--redis-url`. */
  readonly flag: string;
  /** The key among the flags: `redisUrl`. */
  readonly key: string;
  readonly section: string;
  /** As one would write it; empty = no value. */
  readonly defaultValue: string;
  readonly description: string;
  readonly allowed: string;
  readonly secret: boolean;
  /** Given alone on the command line, it means `true`. */
  readonly boolean: boolean;
}

const BOOLEAN = z.stringbool({ truthy: ['true', '1', 'yes', 'on'], falsy: ['false', '0', 'no', 'off'] });

const PROCESS = {
  ROLE: oneOf(
    'all',
    ['all', 'manager', 'broadcaster'],
    'What this process does: take messages in (`manager`), send them out (`broadcaster`), or both. Anything but `all` needs `REDIS_URL`.',
  ),
  LOG_LEVEL: oneOf(
    'info',
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    'The least severe log lines that are written.',
  ),
  DRAIN_TIMEOUT_MS: time(
    '10s',
    [0, MAX_TIMER_MS],
    'How long a stop may take to store what publishers sent and to tell subscribers.',
  ),
};

const HTTP = {
  HOST: {
    schema: z.string().regex(/^[A-Za-z0-9_.:%-]{1,255}$/),
    initial: '127.0.0.1',
    allowed: 'an IP address or host name',
    description: 'The address to listen on. Any but a loopback address needs `ALLOW_ANONYMOUS=true`.',
  },
  PORT: {
    schema: parsed(parsePorts),
    initial: '3000',
    allowed: 'one to eight port numbers from 0 to 65535, separated by commas; 0 is any free port',
    description: 'The ports to listen on. The first must be free; for the others a taken port is a warning.',
  },
  ALLOW_ANONYMOUS: {
    schema: BOOLEAN,
    initial: 'false',
    allowed: '`true`, `false`',
    description: 'Whether anybody who reaches a `HOST` that is not loopback may publish and subscribe.',
    boolean: true,
  },
  ALLOWED_ORIGINS: {
    schema: parsed(parseOrigins),
    initial: '',
    allowed: 'origins such as `https://example.com` or `https://*.example.com`, separated by commas',
    description:
      'The web pages that may connect. Empty: pages on loopback, and pages of the same origin where that is an IP address or `ALLOW_ANONYMOUS` is set.',
  },
  HEARTBEAT_MS: time(
    '25s',
    [100, MAX_TIMER_MS],
    'A connection silent for so long is pinged: below the 30 to 60 s after which proxies cut one.',
  ),
  IDLE_TIMEOUT_MS: time(
    '60s',
    [100, MAX_TIMER_MS],
    'A connection without any sign of life for so long is closed. More than `HEARTBEAT_MS`.',
  ),
  LINGER_MS: time(
    '30s',
    [0, MAX_TIMER_MS],
    'How long a subscriber closed as too slow may still read what was sent, and the close.',
  ),
  COMPRESSION: {
    schema: BOOLEAN,
    initial: 'off',
    allowed: '`on`, `off`',
    description:
      'Whether subscribers on `/ws/broadcast` that offer `permessage-deflate` are sent compressed messages, each compressed once for all. Costs the process time; gains nothing for messages below 1 KiB or compressed already.',
    boolean: true,
  },
};

const LOG = {
  REDIS_URL: {
    schema: z.string().refine(isRedisUrl).optional(),
    initial: '',
    allowed:
      '`redis://host:port/db` or `rediss://…`, with `user:password@` before the host if needed; `redis+sentinel://host:port,host:port/master/db`; or the path of a Unix socket, as `unix://user:password@/path` if needed',
    description: 'The Redis that keeps the log. Absent: the log is embedded, in `DATA_DIR`.',
    secret: true,
  },
  REDIS_CA_FILE: {
    schema: z
      .string()
      .min(1)
      .transform((path) => resolve(path))
      .optional(),
    initial: '',
    allowed: 'a file of certificates in PEM form',
    description: 'Trusted for `rediss://` instead of the well-known certificate authorities.',
  },
  STORE: {
    ...oneOf('', ['memory', 'embedded', 'redis'], ''),
    schema: z.enum(['memory', 'embedded', 'redis']).optional(),
    description:
      'Where the log is kept. Absent: `redis` when `REDIS_URL` is set, else `embedded`. `memory` keeps nothing beyond the process.',
  },
  STREAM: {
    schema: z.string().refine(isChannelName),
    initial: 'local-q',
    allowed: '1 to 128 characters of `A-Z a-z 0-9 _ . : -`',
    description: 'The key of the stream, which is also the name of the default channel.',
  },
  DATA_DIR: {
    schema: z
      .string()
      .min(1)
      .transform((path) => resolve(path)),
    initial: './data',
    allowed: 'a directory, made when it is missing',
    description: 'Where the embedded log keeps its files. One process at a time.',
  },
  DURABILITY: oneOf(
    'memory',
    ['memory', 'replicated', 'fsync'],
    'What it means that a message is stored in Redis: Redis has it (`memory`), `DURABILITY_REPLICAS` replicas have it too (`replicated`), or it is on the disk of Redis (`fsync`). The embedded log always flushes to disk first.',
  ),
  DURABILITY_REPLICAS: count(
    '1',
    [1, 100],
    'How many replicas must have a message before it is acknowledged. Only for `DURABILITY=replicated`.',
  ),
  DURABILITY_TIMEOUT_MS: time(
    '1s',
    [10, MINUTE],
    'How long replicas, or the disk of Redis, may take; then publishers are told `not_replicated` or `not_synced`.',
  ),
  IDEMPOTENCY_WINDOW_MS: time(
    '10m',
    [1000, DAY],
    'For how long a message published again with the same key is known, and not stored twice.',
  ),
  IDEMPOTENCY_MAX_KEYS: count(
    '1000000',
    [1000, 100_000_000],
    'Keys a channel remembers. Above it the oldest are forgotten before the window is over, with a warning.',
  ),
  ...RETENTION_ROWS,
};

const SECTIONS = {
  Process: PROCESS,
  Listening: HTTP,
  Log: LOG,
  Manager: MANAGER_ROWS,
  Broadcaster: BROADCASTER_ROWS,
};
const TABLE = { ...PROCESS, ...HTTP, ...LOG, ...MANAGER_ROWS, ...BROADCASTER_ROWS };
type Name = keyof typeof TABLE;
type Shape = { [Key in Name]: (typeof TABLE)[Key]['schema'] };

const SCHEMA = z.object(
  Object.fromEntries(Object.entries(TABLE).map(([name, row]) => [name, row.schema])) as unknown as Shape,
);
type Values = z.output<typeof SCHEMA>;

export const SETTINGS: readonly Setting[] = Object.entries(SECTIONS).flatMap(([section, rows]) =>
  Object.entries<Row>(rows).map(([name, row]) => {
    const kebab = name.toLowerCase().replaceAll('_', '-');
    return {
      name,
      flag: `--${kebab}`,
      key: kebab.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      section,
      defaultValue: row.initial,
      description: row.description,
      allowed: row.allowed,
      secret: row.secret ?? false,
      boolean: row.boolean ?? false,
    };
  }),
);

/** The frozen configuration, or a ConfigError that names everything wrong with it at once. */
export function loadConfig(input: ConfigInput = {}): Config {
  const { env = process.env, flags = {} } = input;
  const raw: Record<string, string | undefined> = {};
  for (const setting of SETTINGS) raw[setting.name] = rawValue(setting, env, flags);

  const known = new Set(SETTINGS.map((setting) => setting.key));
  const problems = Object.keys(flags)
    .filter((key) => !known.has(key))
    .map((key) => `${JSON.stringify(key)} is not a setting`);
  const result = SCHEMA.safeParse(raw);
  if (result.success) problems.push(...contradictions(result.data));
  else problems.push(...mistakes(result.error.issues, raw, flags));
  if (!result.success || problems.length > 0) throw new ConfigError(problems);
  return freeze(assemble(result.data));
}

/** A line for each setting that has a bad value, in the order of the table. */
function mistakes(
  issues: readonly z.core.$ZodIssue[],
  raw: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, unknown>>,
): string[] {
  const wrong = new Map(issues.map((issue) => [issue.path[0], issue]));
  return SETTINGS.flatMap((setting) => {
    const issue = wrong.get(setting.name);
    if (issue === undefined) return [];
    const reason = issue.code === 'custom' && issue.params?.['isExplained'] === true ? issue.message : null;
    return [describeProblem(setting, raw[setting.name] ?? '', { flags, reason })];
  });
}

function rawValue(
  setting: Setting,
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, unknown>>,
): string | undefined {
  const flag = flags[setting.key];
  if (flag !== undefined) return typeof flag === 'string' ? flag : JSON.stringify(flag);
  const value = env[setting.name]?.trim() || setting.defaultValue;
  return value === '' && setting.name !== 'ALLOWED_ORIGINS' ? undefined : value;
}

function describeProblem(
  setting: Setting,
  value: string,
  { flags, reason }: { flags: Readonly<Record<string, unknown>>; reason: string | null },
): string {
  const shown = JSON.stringify(setting.secret ? redactSecret(value) : value.slice(0, 200));
  const where = flags[setting.key] === undefined ? `${setting.name}=` : `${setting.flag} `;
  const why = reason === null ? '' : `: ${reason}`;
  return `${where}${shown} is not allowed${why}. Allowed: ${setting.allowed.replaceAll('`', '')}.`;
}

/** What is wrong with settings that are each fine alone. */
function contradictions(values: Values): string[] {
  const problems = logContradictions(values);
  const { HOST, HEARTBEAT_MS, IDLE_TIMEOUT_MS } = values;
  if (values.REDIS_CA_FILE !== undefined && !/^rediss/i.test(values.REDIS_URL ?? '')) {
    problems.push('REDIS_CA_FILE needs a REDIS_URL that begins with rediss: nothing else is encrypted.');
  }
  if (!values.ALLOW_ANONYMOUS && !isLoopback(HOST)) {
    const risk =
      'anybody who reaches it could publish and subscribe. If that is wanted, set ALLOW_ANONYMOUS=true.';
    problems.push(`HOST="${HOST}" is not a loopback address: ${risk}`);
  }
  if (values.STALLED_BYTES < values.MAX_MESSAGE_BYTES) {
    problems.push('STALLED_BYTES must be at least MAX_MESSAGE_BYTES: one message may be pending whole.');
  }
  const repeated = repeatedIn(rulesOf(values));
  if (repeated !== null) {
    problems.push(
      `RETENTION and RETENTION_FILE both name the channels ${repeated}. Name them in one of them.`,
    );
  }
  if (IDLE_TIMEOUT_MS <= HEARTBEAT_MS) {
    problems.push(`IDLE_TIMEOUT_MS="${IDLE_TIMEOUT_MS}" must be more than HEARTBEAT_MS (${HEARTBEAT_MS}).`);
  }
  return problems;
}

function logContradictions({ ROLE, STORE, REDIS_URL, DURABILITY }: Values): string[] {
  const problems: string[] = [];
  if (STORE === 'redis' && REDIS_URL === undefined) {
    problems.push('STORE="redis" needs REDIS_URL, for example redis://127.0.0.1:6379.');
  }
  if (STORE !== undefined && STORE !== 'redis' && REDIS_URL !== undefined) {
    problems.push(`STORE="${STORE}" and REDIS_URL contradict each other. Set one of them.`);
  }
  if (ROLE !== 'all' && REDIS_URL === undefined) {
    problems.push(`ROLE="${ROLE}" needs REDIS_URL: only in Redis can a manager and a broadcaster meet.`);
  }
  if (DURABILITY === 'replicated' && REDIS_URL === undefined) {
    problems.push('DURABILITY="replicated" needs REDIS_URL: the embedded log has no replicas.');
  }
  if (DURABILITY === 'fsync' && STORE === 'memory') {
    problems.push('DURABILITY="fsync" and STORE="memory" contradict each other. Set one of them.');
  }
  return problems;
}

function rulesOf({ RETENTION = [], RETENTION_FILE = [] }: Values): RetentionRule[] {
  return [...RETENTION, ...RETENTION_FILE];
}

function assemble(values: Values): Config {
  return {
    role: values.ROLE,
    http: {
      host: values.HOST,
      ports: values.PORT,
      allowedOrigins: values.ALLOWED_ORIGINS,
      allowAnonymous: values.ALLOW_ANONYMOUS,
      heartbeatMs: values.HEARTBEAT_MS,
      idleTimeoutMs: values.IDLE_TIMEOUT_MS,
      lingerMs: values.LINGER_MS,
      compression: values.COMPRESSION,
    },
    log: {
      store: values.STORE ?? (values.REDIS_URL === undefined ? 'embedded' : 'redis'),
      redisUrl: values.REDIS_URL ?? null,
      redisCaFile: values.REDIS_CA_FILE ?? null,
      stream: values.STREAM,
      dataDir: values.DATA_DIR,
      retention: {
        maxEntries: values.RETENTION_MAX_ENTRIES,
        maxBytes: values.RETENTION_MAX_BYTES,
        maxAgeMs: values.RETENTION_MAX_AGE_MS,
      },
      retentionRules: rulesOf(values),
      sweepMs: values.SWEEP_MS,
      durability: {
        level: values.DURABILITY,
        replicas: values.DURABILITY_REPLICAS,
        timeoutMs: values.DURABILITY_TIMEOUT_MS,
      },
      idempotency: { windowMs: values.IDEMPOTENCY_WINDOW_MS, maxKeys: values.IDEMPOTENCY_MAX_KEYS },
    },
    manager: {
      maxMessageBytes: values.MAX_MESSAGE_BYTES,
      publisherBufferBytes: values.PUBLISHER_BUFFER_BYTES,
      bufferBytes: values.MANAGER_BUFFER_BYTES,
      batchMaxEntries: values.BATCH_MAX_ENTRIES,
      batchMaxBytes: values.BATCH_MAX_BYTES,
      batchWaitMs: values.BATCH_WAIT_MS,
      overloadedAfterMs: values.OVERLOADED_AFTER_MS,
    },
    broadcaster: {
      ringBytes: values.RING_BYTES,
      writeBytes: values.WRITE_BYTES,
      stalledBytes: values.STALLED_BYTES,
      slowAfterMs: values.SLOW_AFTER_MS,
      slowEntries: values.SLOW_ENTRIES,
      slowBytes: values.SLOW_BYTES,
      maxCatchUps: values.MAX_CATCH_UPS,
    },
    drainTimeoutMs: values.DRAIN_TIMEOUT_MS,
    logLevel: values.LOG_LEVEL,
  };
}

function freeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}
