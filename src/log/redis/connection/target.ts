/**
 * Which Redis: redis://, rediss:// (TLS) or the path of a Unix socket, with user, password and database
 * number; or the sentinels that know which one it is just now. Passwords stay in here: `name` is what may be
 * logged.
 */
import { StartError } from '../../../errors.ts';

/** One address, and how to be let in there. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** Of a Unix socket; the host and the port do not count then. */
  readonly path: string | null;
  readonly tls: boolean;
  /** Certificates in PEM form that are trusted instead of the well-known ones; null: those. */
  readonly ca: string | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  /** What has to answer there. */
  readonly mode: 'standalone' | 'sentinel';
  /** The address alone, for logs and messages. */
  readonly name: string;
}

export interface Target {
  /** Redis. Where sentinels know its address, this one has none. */
  readonly redis: Endpoint;
  readonly sentinels: SentinelTarget | null;
}

export interface SentinelTarget {
  /** By which the sentinels know the master. */
  readonly masterName: string;
  readonly endpoints: readonly Endpoint[];
}

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;
const FORMS =
  'redis://[user:password@]host[:port][/database], rediss://… for TLS, redis+sentinel://[user:password@]host[:port],…/master[/database], or /path/to/socket';
/** URL takes no user without a host. */
const SOCKET = /^(?:unix:\/\/(?:([^@/?#]*)@)?)?(\/.+)$/i;
/** URL takes one host only. */
const SENTINELS = /^(rediss?)\+sentinel:\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/([^/?#]+)(?:\/([0-9]*))?(\?[^#]*)?$/i;

/** `ca` as in Endpoint. Never quotes the text: it may hold a password. */
export function parseTarget(text: string, ca: string | null = null): Target {
  try {
    const socket = SOCKET.exec(text);
    if (socket !== null) return { redis: socketEndpoint(socket[2] as string, socket[1]), sentinels: null };
    return sentinelTarget(text, ca) ?? { redis: networkEndpoint(new URL(text), ca), sentinels: null };
  } catch {
    throw new StartError(`REDIS_URL can not be understood; it has the form ${FORMS}`);
  }
}

function networkEndpoint(url: URL, ca: string | null): Endpoint {
  const tls = url.protocol === 'rediss:';
  if ((!tls && url.protocol !== 'redis:') || url.hostname === '') throw new TypeError('not a Redis URL');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const database = parseDatabase(url.pathname.slice(1));
  const name = `${url.hostname}:${port}`;
  return {
    ...credentials(`${url.username}:${url.password}`),
    host,
    port,
    path: null,
    tls,
    ca,
    database,
    mode: 'standalone',
    name,
  };
}

/** `/path/to/socket?db=2`, also as `unix://user:password@/path/to/socket?db=2`. */
function socketEndpoint(text: string, user: string | undefined): Endpoint {
  const [path, query] = text.split('?', 2) as [string, string | undefined];
  const database = parseDatabase(new URLSearchParams(query ?? '').get('db') ?? '');
  const plain = { host: '', port: DEFAULT_PORT, tls: false, ca: null, mode: 'standalone' } as const;
  return { ...credentials(user), ...plain, path, database, name: path };
}

/** Null when the URL is of another kind. User and password are those of Redis; sentinels may ask for others. */
function sentinelTarget(text: string, ca: string | null): Target | null {
  if (!/^rediss?\+sentinel:/i.test(text)) return null;
  const parts = SENTINELS.exec(text);
  if (parts === null) throw new TypeError('not the URL of sentinels');
  const [, scheme = '', user = '', hosts = '', master = '', database = '', query = ''] = parts;
  const tls = scheme.toLowerCase() === 'rediss';
  const parameters = new URLSearchParams(query.replaceAll('+', '%2B'));
  const sentinel = {
    path: null,
    tls,
    ca,
    username: parameters.get('sentinel_user'),
    password: parameters.get('sentinel_password'),
    database: 0,
    mode: 'sentinel',
  } as const;
  const endpoints = hosts.split(',').map((host) => ({ ...sentinel, ...sentinelAddress(host) }));
  const masterName = decodeURIComponent(master);
  const at = { host: '', port: 0, path: null, tls, ca, mode: 'standalone' } as const;
  const redis = {
    ...at,
    ...credentials(user),
    database: parseDatabase(database),
    name: masterName,
  };
  return { redis, sentinels: { masterName, endpoints } };
}

function sentinelAddress(text: string): { host: string; port: number; name: string } {
  const url = new URL(`redis://${text}`);
  const port = url.port === '' ? DEFAULT_SENTINEL_PORT : Number(url.port);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port, name: `${url.hostname}:${port}` };
}

/** From `user:password`, percent-encoded. */
function credentials(text: string = ''): { username: string | null; password: string | null } {
  const [user = '', ...rest] = text.split(':');
  const username = decodeURIComponent(user);
  const password = decodeURIComponent(rest.join(':'));
  return { username: username === '' ? null : username, password: password === '' ? null : password };
}

function parseDatabase(text: string): number {
  if (text === '') return 0;
  if (!/^[0-9]{1,9}$/.test(text)) throw new TypeError('not a database number');
  return Number(text);
}
