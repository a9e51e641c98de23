/**
 * Which Redis: redis://, rediss:// (TLS) or the path of a Unix socket, with user, password and database
 * number. The password stays in the Target: `name` is what may be logged.
 */
import { StartError } from '../../errors.ts';

export interface Target {
  readonly host: string | null;
  readonly port: number;
  readonly path: string | null;
  readonly tls: boolean;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  /** The address alone, for logs and messages. */
  readonly name: string;
}

const DEFAULT_PORT = 6379;
const FORMS = 'redis://[user:password@]host[:port][/database], rediss://… for TLS, or /path/to/socket';

/** Never quotes the text: it may hold a password. */
export function parseTarget(text: string): Target {
  try {
    return text.startsWith('/') ? socketTarget(text) : networkTarget(new URL(text));
  } catch {
    throw new StartError(`REDIS_URL can not be understood; it has the form ${FORMS}`);
  }
}

function networkTarget(url: URL): Target {
  const tls = url.protocol === 'rediss:';
  if (url.protocol === 'unix:') return socketTarget(`${url.pathname}${url.search}`, url);
  if ((!tls && url.protocol !== 'redis:') || url.hostname === '') throw new TypeError('not a Redis URL');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const database = parseDatabase(url.pathname.slice(1));
  return { ...credentials(url), host, port, path: null, tls, database, name: `${url.hostname}:${port}` };
}

/** `/path/to/socket?db=2`, also as `unix://user:password@/path/to/socket?db=2`. */
function socketTarget(text: string, url?: URL): Target {
  const [path, query] = text.split('?', 2) as [string, string | undefined];
  const database = parseDatabase(new URLSearchParams(query ?? '').get('db') ?? '');
  const user = url === undefined ? { username: null, password: null } : credentials(url);
  return { ...user, host: null, port: DEFAULT_PORT, path, tls: false, database, name: path };
}

function credentials(url: URL): { username: string | null; password: string | null } {
  const username = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  return { username: username === '' ? null : username, password: password === '' ? null : password };
}

function parseDatabase(text: string): number {
  if (text === '') return 0;
  if (!/^[0-9]{1,9}$/.test(text)) throw new TypeError('not a database number');
  return Number(text);
}
