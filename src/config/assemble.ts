/** From settings by their names to a configuration by who reads it. */
import type { RetentionRule } from '../channels.ts';
import { modeOf } from './contradictions.ts';
import type {
  AuthConfig,
  BroadcasterConfig,
  Config,
  HttpConfig,
  LimitsConfig,
  ObservabilityConfig,
  QuotaConfig,
  TlsFiles,
} from './shape.ts';
import type { Values } from './table.ts';
import { isLoopback } from './values.ts';

/** Above those that may stay: requests, and who is not let in yet. */
const SOCKETS_SHARE = 1.1;
const SPARE_SOCKETS = 1000;

export function assemble(values: Values): Config {
  const auth = authOf(values);
  return {
    role: values.ROLE,
    http: httpOf(values, auth),
    auth,
    quotas: quotasOf(values),
    limits: limitsOf(values),
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
    broadcaster: broadcasterOf(values),
    observability: observabilityOf(values),
    drain: {
      delayMs: values.DRAIN_DELAY_SECONDS,
      spreadMs: values.DRAIN_SECONDS,
      timeoutMs: values.DRAIN_TIMEOUT_MS,
    },
    logLevel: values.LOG_LEVEL,
  };
}

function httpOf(values: Values, auth: AuthConfig): HttpConfig {
  return {
    host: values.HOST,
    ports: values.PORT,
    allowedOrigins: values.ALLOWED_ORIGINS,
    allowAnonymous: values.ALLOW_ANONYMOUS,
    isReachedByAnyName: values.ALLOW_ANONYMOUS || !isLoopback(values.HOST) || auth.mode === 'required',
    trustProxy: values.TRUST_PROXY,
    heartbeatMs: values.HEARTBEAT_MS,
    idleTimeoutMs: values.IDLE_TIMEOUT_MS,
    lingerMs: values.LINGER_MS,
    compression: values.COMPRESSION,
    console: values.CONSOLE,
    tls: tlsOf(values),
  };
}

function authOf(values: Values): AuthConfig {
  return {
    mode: modeOf(values),
    secrets: values.AUTH_HS256_SECRET ?? [],
    publicKeyFile: values.AUTH_PUBLIC_KEY ?? null,
    jwksUrl: values.AUTH_JWKS_URL ?? null,
    audience: values.AUTH_AUDIENCE,
    issuer: values.AUTH_ISSUER ?? null,
    apiKeysFile: values.API_KEYS_FILE ?? null,
  };
}

function quotasOf(values: Values): QuotaConfig {
  return {
    maxConnections: values.MAX_CONNECTIONS,
    maxPerAddress: values.MAX_CONNECTIONS_PER_IP,
    maxPerSubject: values.MAX_CONNECTIONS_PER_SUBJECT,
    maxChannels: values.MAX_CHANNELS_PER_CONNECTION,
    maxPublishesPerSecond: values.MAX_PUBLISHES_PER_SECOND,
    maxPublishesPerSecondPerSubject: values.MAX_PUBLISHES_PER_SECOND_PER_SUBJECT,
  };
}

function tlsOf({ TLS_CERT: cert, TLS_KEY: key }: Values): TlsFiles | null {
  return cert === undefined || key === undefined ? null : { cert, key };
}

function broadcasterOf(values: Values): BroadcasterConfig {
  return {
    ringBytes: values.RING_BYTES,
    writeBytes: values.WRITE_BYTES,
    stalledBytes: values.STALLED_BYTES,
    slowAfterMs: values.SLOW_AFTER_MS,
    slowEntries: values.SLOW_ENTRIES,
    slowBytes: values.SLOW_BYTES,
    maxCatchUps: values.MAX_CATCH_UPS,
  };
}

function observabilityOf({ METRICS, TRACING, CHANNEL_CLASSES = [] }: Values): ObservabilityConfig {
  return { metrics: METRICS, tracing: TRACING, channelClasses: CHANNEL_CLASSES };
}

function rulesOf({ RETENTION = [], RETENTION_FILE = [] }: Values): RetentionRule[] {
  return [...RETENTION, ...RETENTION_FILE];
}

function limitsOf(values: Values): LimitsConfig {
  return {
    handshakeTimeoutMs: values.HANDSHAKE_TIMEOUT_MS,
    requestTimeoutMs: values.REQUEST_TIMEOUT_MS,
    maxHeaders: values.MAX_HEADERS,
    maxHeaderBytes: values.MAX_HEADER_BYTES,
    maxFragments: values.MAX_FRAGMENTS,
    maxControlFramesPerSecond: values.MAX_CONTROL_FRAMES_PER_SECOND,
    maxSubscriberFramesPerSecond: values.MAX_SUBSCRIBER_FRAMES_PER_SECOND,
    incompleteBytes: values.INCOMPLETE_BYTES,
    maxSockets: values.MAX_SOCKETS || Math.floor(values.MAX_CONNECTIONS * SOCKETS_SHARE) + SPARE_SOCKETS,
  };
}
