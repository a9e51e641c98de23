/**
 * What `rivercast doctor` looks at, one function for each: what is there, and what to do about it. A check finds out; it changes
 * nothing, and needs no server.
 */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { formatBytes, redactUrl } from '../config/values.ts';
import type { Config } from '../config.ts';
import { probeRedis, type RedisFacts } from './redis-probe.ts';
import { reasonOf } from './remote.ts';

export interface Finding {
  readonly name: string;
  /** `warn`: it runs, but not as well or as safely as it could; `fail`: it does not start, or loses what it stored. */
  readonly verdict: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do; absent where nothing is to be done. */
  readonly advice?: string;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const MIN_FREE_BYTES = 256 * MIB;
/** Every connection is a file, and the log and the rest have some. */
const SPARE_FILES = 200;
/** With fewer, the first limit met is this one, and not a setting. */
const MANY_FILES = 10_000;
/** As the server asks for: connections that were made and not taken yet. */
const BACKLOG = 4096;
const MAX_SKEW_MS = 1000;
const SLOW_ROUND_TRIP_MS = 5;
/** Nobody had this program before: a clock that says so is not set. */
const RELEASED_MS = Date.UTC(2026, 0, 1);

export function ok(name: string, found: string): Finding {
  return { name, verdict: 'ok', found };
}

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return ok('node', version);
  return { name: 'node', verdict: 'fail', found: version, advice: 'install Node 20.19 or newer' };
}

/** `limits`: the text of /proc/self/limits, which Node has raised as far as it may. */
export function checkFiles(limits: string | null, { quotas, limits: { maxSockets } }: Config): Finding {
  const name = 'open files';
  const text = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? '')?.[1];
  if (text === undefined) return ok(name, 'not known on this system');
  const files = text === 'unlimited' ? Infinity : Number(text);
  const { maxConnections } = quotas;
  const wanted = maxConnections > 0 ? maxSockets + SPARE_FILES : MANY_FILES;
  if (files >= wanted) return ok(name, `${text} at most`);
  const many = maxConnections > 0 ? `the ${maxConnections} of MAX_CONNECTIONS` : `${MANY_FILES} connections`;
  return {
    name,
    verdict: 'warn',
    found: `${text} at most, and each connection is one: fewer than ${many}`,
    advice: `if so many are to come: ulimit -n ${wanted}, LimitNOFILE=${wanted} (systemd), ulimits: nofile (compose); if not, a lower MAX_CONNECTIONS refuses them in words`,
  };
}

/** Where messages go: who forgot to name a Redis sees it here. */
export function checkLog({ log: { store, dataDir, redisUrl, stream } }: Config): Finding {
  const name = 'log';
  if (store === 'redis') return ok(name, `in Redis at ${redactUrl(redisUrl ?? '')}, stream ${stream}`);
  if (store === 'embedded') return ok(name, `embedded, in ${dataDir} (REDIS_URL would put it into Redis)`);
  const advice = 'without STORE=memory they are kept in DATA_DIR, or in the Redis of REDIS_URL';
  return { name, verdict: 'warn', found: 'in memory: nothing outlives the process', advice };
}

export function checkBacklog(text: string | null): Finding {
  const name = 'somaxconn';
  const length = Number(text ?? Number.NaN);
  if (Number.isNaN(length)) return ok(name, 'not known on this system');
  if (length >= BACKLOG) return ok(name, String(length));
  return {
    name,
    verdict: 'warn',
    found: `${length}: of more connections at one moment, as when all come back, some wait a second or more`,
    advice: `sysctl -w net.core.somaxconn=${BACKLOG}, and in /etc/sysctl.d to keep it`,
  };
}

export async function checkPorts({ http: { host, ports } }: Config): Promise<Finding[]> {
  return Promise.all(ports.filter((port) => port !== 0).map((port, i) => checkPort(host, port, i === 0)));
}

async function checkPort(host: string, port: number, isFirst: boolean): Promise<Finding> {
  const name = `port ${port}`;
  const code = await new Promise<string | null>((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port }, () => server.close(() => resolve(null)));
  });
  if (code === null) return ok(name, `free on ${host}`);
  const verdict = isFirst ? 'fail' : 'warn';
  if (code === 'EADDRINUSE') {
    const isOurs = await isRivercast(host, port);
    if (isOurs) return ok(name, 'a Rivercast is running there');
    return {
      name,
      verdict,
      found: 'taken',
      advice: `end what listens there (ss -ltnp 'sport = :${port}'), or choose another with --port`,
    };
  }
  if (code === 'EACCES') {
    return {
      name,
      verdict,
      found: 'not allowed',
      advice: 'take a port from 1024 up, or give node the right: setcap cap_net_bind_service=+ep',
    };
  }
  return { name, verdict, found: code, advice: `see whether ${host} is an address of this machine` };
}

async function isRivercast(host: string, port: number): Promise<boolean> {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  try {
    const url = `http://${name.includes(':') ? `[${name}]` : name}:${port}/readyz`;
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    return (await response.text()).includes('"checks"');
  } catch {
    return false;
  }
}

export function checkClock(nowMs: number): Finding {
  const found = new Date(nowMs).toISOString();
  if (nowMs >= RELEASED_MS) return ok('clock', found);
  return {
    name: 'clock',
    verdict: 'fail',
    found: `${found}, which has been`,
    advice: 'set the clock (timedatectl set-ntp true): ids and retention go by it',
  };
}

/** The folder of the embedded log, or the nearest one above it that is there. */
export function checkDisk({ log: { store, dataDir, retention } }: Config, nowMs: number): Finding[] {
  if (store !== 'embedded') return [];
  const name = 'disk';
  let folder = dataDir;
  while (!existsSync(folder)) folder = dirname(folder);
  if (!statSync(folder).isDirectory()) {
    const advice = 'name a folder for the log with DATA_DIR';
    return [{ name, verdict: 'fail', found: `${folder} is a file`, advice }];
  }
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch {
    return [
      {
        name,
        verdict: 'fail',
        found: `${folder} can not be written`,
        advice: 'give its folder to who runs the server, or name another with DATA_DIR',
      },
    ];
  }
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const found = `${roomOf(free)} free for ${dataDir}`;
  const wanted = Math.max(MIN_FREE_BYTES, retention.maxBytes);
  const advice = `a channel may keep ${formatBytes(retention.maxBytes)} (RETENTION_MAX_BYTES): make room, or keep less`;
  const space: Finding =
    free < MIN_FREE_BYTES
      ? { name, verdict: 'fail', found, advice }
      : free < wanted
        ? { name, verdict: 'warn', found, advice }
        : ok(name, found);
  return [space, ...checkTimes(dataDir, nowMs)];
}

function roomOf(bytes: number): string {
  const unit = bytes < 10 * GIB ? MIB : GIB;
  return formatBytes(Math.floor(bytes / unit) * unit);
}

/** A file that was changed later than now: the clock was set back. */
function checkTimes(dataDir: string, nowMs: number): Finding[] {
  const aheadMs = newestMsIn(dataDir) - nowMs;
  if (aheadMs < MAX_SKEW_MS) return [];
  return [
    {
      name: 'clock',
      verdict: 'warn',
      found: `files in ${dataDir} are ${Math.round(aheadMs / 1000)} s newer than now: the clock was set back`,
      advice: 'ids go on where they were; keep the clock with NTP, by small steps',
    },
  ];
}

/** 0: nothing is there, or it may not be looked at. */
function newestMsIn(folder: string): number {
  try {
    return Math.max(0, ...readdirSync(folder).map((file) => statSync(join(folder, file)).mtimeMs));
  } catch {
    return 0;
  }
}

export async function checkRedis({
  log: { store, redisUrl, redisCaFile, stream },
}: Config): Promise<Finding[]> {
  if (store !== 'redis' || redisUrl === null) return [];
  const name = 'redis';
  if (redisUrl.includes('+sentinel:')) {
    return [ok(name, 'behind sentinels: look at each of them with its own REDIS_URL')];
  }
  try {
    return judgeRedis(await probeRedis(redisUrl, { caFile: redisCaFile, stream }));
  } catch (error) {
    const advice = 'is it running, and are host, port, password and database right?';
    return [{ name, verdict: 'fail', found: `${redactUrl(redisUrl)}: ${reasonOf(error)}`, advice }];
  }
}

export function judgeRedis(facts: RedisFacts): Finding[] {
  const { version, isCluster, hasFile, maxMemory, policy, aheadMs, roundTripMs, streamType } = facts;
  const findings: Finding[] = [];
  const judge = (isFine: boolean, finding: Finding): void => {
    findings.push(isFine ? ok(finding.name, finding.found) : finding);
  };
  judge(Number.parseInt(version, 10) >= 7, {
    name: 'redis',
    verdict: 'fail',
    found: `version ${version}`,
    advice: 'Rivercast needs 7.0 or newer (or Valkey)',
  });
  if (isCluster) {
    findings.push({
      name: 'redis',
      verdict: 'fail',
      found: 'a cluster',
      advice: 'take a single Redis, or one behind sentinels',
    });
  }
  judge(streamType === 'none' || streamType === 'stream', {
    name: 'redis stream',
    verdict: 'fail',
    found: streamType === 'none' ? 'not there yet: it comes with the first message' : `a ${streamType}`,
    advice: 'the key of that name is something else: name another with STREAM',
  });
  judge(hasFile, {
    name: 'redis persistence',
    verdict: 'warn',
    found: hasFile
      ? 'append-only file'
      : 'no append-only file: a restart of Redis loses what came since its last snapshot',
    advice: 'redis-cli CONFIG SET appendonly yes, and appendonly yes in redis.conf',
  });
  judge(maxMemory === 0 || policy === 'noeviction', {
    name: 'redis eviction',
    verdict: 'fail',
    found: maxMemory === 0 ? 'never: maxmemory is not set' : policy,
    advice:
      'redis-cli CONFIG SET maxmemory-policy noeviction: it may remove whole channels when its memory is full',
  });
  judge(Math.abs(aheadMs) < MAX_SKEW_MS + roundTripMs, {
    name: 'redis clock',
    verdict: 'warn',
    found: `${Math.round(Math.abs(aheadMs))} ms ${aheadMs < 0 ? 'behind' : 'ahead of'} this one`,
    advice: 'keep both with NTP: ids carry the time of Redis',
  });
  judge(roundTripMs < SLOW_ROUND_TRIP_MS, {
    name: 'redis distance',
    verdict: 'warn',
    found: `${roundTripMs.toFixed(1)} ms there and back`,
    advice: 'run it near: each message goes there and back before it is acknowledged',
  });
  return findings;
}

export function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
