/** The rows of the table of settings (config.ts) about the log. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { DEFAULT_CHANNEL, isChannelName } from '../channels.ts';
import { RETENTION_ROWS, type RetentionValues } from './retention.ts';
import { count, oneOf, type Rows, time } from './rows.ts';
import type { DurabilityLevel, Store } from './shape.ts';
import { DAY, isRedisUrl, MINUTE } from './values.ts';

export interface LogValues extends RetentionValues {
  REDIS_URL: string | undefined;
  REDIS_CA_FILE: string | undefined;
  STORE: Store | undefined;
  STREAM: string;
  DATA_DIR: string;
  DURABILITY: DurabilityLevel;
  DURABILITY_REPLICAS: number;
  DURABILITY_TIMEOUT_MS: number;
  IDEMPOTENCY_WINDOW_MS: number;
  IDEMPOTENCY_MAX_KEYS: number;
}

export const LOG_ROWS: Rows<LogValues> = {
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
    initial: DEFAULT_CHANNEL,
    allowed: '1 to 128 characters of `A-Z a-z 0-9 _ . : -`, and not `.` or `..` alone',
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
    'For how long a message published again with the same key is known, and not stored twice. The client and `rivercast publish` are told, and send nothing again in the last minute of it: below `2m` they soon give up on what was under way when a connection was lost.',
  ),
  IDEMPOTENCY_MAX_KEYS: count(
    '1000000',
    [1000, 100_000_000],
    'Keys a channel remembers. Above it the oldest are forgotten before the window is over, with a warning.',
  ),
  ...RETENTION_ROWS,
};
