/** What is wrong with settings that are each fine alone, a line for each. */
import { repeatedIn } from './retention.ts';
import type { AuthMode } from './shape.ts';
import type { Values } from './table.ts';
import { isLoopback } from './values.ts';

export function contradictions(values: Values): string[] {
  const problems = logContradictions(values);
  const { HOST } = values;
  problems.push(...fileContradictions(values), ...authContradictions(values));
  if (modeOf(values) === 'off' && !values.ALLOW_ANONYMOUS && !isLoopback(HOST)) {
    const risk =
      'anybody who reaches it could publish and subscribe. Set AUTH_HS256_SECRET (or other keys), or ALLOW_ANONYMOUS=true if that is wanted.';
    problems.push(`HOST="${HOST}" is not a loopback address: ${risk}`);
  }
  if (values.STALLED_BYTES < values.MAX_MESSAGE_BYTES) {
    problems.push('STALLED_BYTES must be at least MAX_MESSAGE_BYTES: one message may be pending whole.');
  }
  const repeated = repeatedIn([...(values.RETENTION ?? []), ...(values.RETENTION_FILE ?? [])]);
  if (repeated !== null) {
    problems.push(
      `RETENTION and RETENTION_FILE both name the channels ${repeated}. Name them in one of them.`,
    );
  }
  problems.push(...timeContradictions(values));
  return problems;
}

function timeContradictions(values: Values): string[] {
  const problems: string[] = [];
  const { HEARTBEAT_MS, IDLE_TIMEOUT_MS } = values;
  if (IDLE_TIMEOUT_MS <= HEARTBEAT_MS) {
    problems.push(`IDLE_TIMEOUT_MS="${IDLE_TIMEOUT_MS}" must be more than HEARTBEAT_MS (${HEARTBEAT_MS}).`);
  }
  if (values.REQUEST_TIMEOUT_MS < values.HANDSHAKE_TIMEOUT_MS) {
    problems.push('REQUEST_TIMEOUT_MS must be at least HANDSHAKE_TIMEOUT_MS, which is a part of it.');
  }
  return problems;
}

const KEYS = ['AUTH_HS256_SECRET', 'AUTH_PUBLIC_KEY', 'AUTH_JWKS_URL', 'API_KEYS_FILE'] as const;

/** Keys that are given are meant to be needed. */
export function modeOf(values: Values): AuthMode {
  return values.AUTH ?? (KEYS.some((name) => values[name] !== undefined) ? 'required' : 'off');
}

function authContradictions(values: Values): string[] {
  const { AUTH } = values;
  const given = KEYS.find((name) => values[name] !== undefined);
  if (AUTH === 'off' && given !== undefined) {
    return [`AUTH="off" and ${given} contradict each other. Set one of them.`];
  }
  if (AUTH !== undefined && AUTH !== 'off' && given === undefined) {
    return [`AUTH="${AUTH}" needs keys to know tokens by: ${KEYS.join(', ')}, or several of them.`];
  }
  return [];
}

function fileContradictions(values: Values): string[] {
  const problems: string[] = [];
  if (values.REDIS_CA_FILE !== undefined && !/^rediss/i.test(values.REDIS_URL ?? '')) {
    problems.push('REDIS_CA_FILE needs a REDIS_URL that begins with rediss: nothing else is encrypted.');
  }
  if ((values.TLS_CERT === undefined) !== (values.TLS_KEY === undefined)) {
    problems.push('TLS_CERT and TLS_KEY belong together. Set both of them, or none.');
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
