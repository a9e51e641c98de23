/**
 * One connection to Redis with one life: opened, used, closed, never reconnected and never resent. What has
 * to outlive it (a batch, a blocked read) is somebody else's to send again, on a new Link. This is the only
 * file that knows the client library, which connects, encrypts and authenticates (wire.ts does the rest).
 *
 * Every call has a deadline; a call that misses it takes the whole Link down, because on a half-open
 * connection no later reply can be trusted to come either.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { errorIn, type Reply, ReplyReader } from './reply.ts';
import type { Endpoint } from './target.ts';
import { type Argument, Wire } from './wire.ts';

/**
 * connection: the Link is gone; redis: Redis answered with an error; configuration: trying again can not
 * help until somebody changes a setting. The message never holds a password: the client's own error objects
 * do (they carry the arguments of AUTH) and go no further than this file.
 */
export type RedisFaultKind = 'connection' | 'redis' | 'configuration';

export class RedisFault extends Error {
  readonly kind: RedisFaultKind;

  constructor(kind: RedisFaultKind, message: string) {
    super(message);
    this.name = 'RedisFault';
    this.kind = kind;
  }

  /** Redis' error word, such as WRONGTYPE. */
  get word(): string {
    return /^-?([A-Z]+)\b/.exec(this.message)?.[1] ?? '';
  }
}

/** Refused credentials, database or certificate; and TLS spoken to a port without it. */
const REFUSED =
  /^(NOAUTH|WRONGPASS|NOPERM|ERR (invalid password|AUTH|DB index|invalid DB|SELECT))|certificate|wrong version number/;

/** What Redis answered instead of a value; null when it answered one. */
export function faultIn(reply: Buffer): RedisFault | null {
  const error = errorIn(reply);
  return error === null ? null : new RedisFault(REFUSED.test(error) ? 'configuration' : 'redis', error);
}

const LATE = 'did not answer in time';

export class Link {
  readonly #redis: Redis;
  #wire: Wire | null = null;
  #alive = true;
  #reason: string | null = null;
  /** Redis' number for this connection, by which CLIENT UNBLOCK names it. */
  clientId = 0;
  /** What the server said it is: `master` or `replica`. */
  role = '';

  private constructor(redis: Redis) {
    this.#redis = redis;
    redis.on('end', () => {
      this.#alive = false;
    });
  }

  /** Connects, authenticates, selects the database and looks at what kind of server it is. */
  static async open(endpoint: Endpoint, deadlineMs: number, signal: AbortSignal): Promise<Link> {
    const redis = new Redis(clientOptions(endpoint));
    const link = new Link(redis);
    let trouble: string | null = null;
    redis.on('error', (error: Error) => {
      trouble ??= messageOf(error);
      link.#reason ??= messageOf(error);
    });
    const timer = setTimeout(() => link.destroy(LATE), deadlineMs);
    const onAbort = (): void => link.destroy('closed');
    signal.addEventListener('abort', onAbort);
    try {
      signal.throwIfAborted();
      // What came before, such as asking sentinels, may have taken all of it: a process can stand still meanwhile.
      if (deadlineMs <= 0) throw new Error(LATE);
      await redis.connect();
      if (trouble !== null) throw new Error(trouble);
      link.#wire = new Wire(redis.stream);
      await link.#greet(endpoint.mode, deadlineMs);
      return link;
    } catch (error) {
      const message = trouble ?? link.#reason ?? messageOf(error);
      link.destroy(message);
      if (error instanceof RedisFault && error.kind === 'configuration') throw error;
      const kind = REFUSED.test(message) ? 'configuration' : 'connection';
      const what = endpoint.mode === 'sentinel' ? 'the sentinel' : 'Redis';
      throw new RedisFault(
        kind,
        `${what} at ${endpoint.name}: ${message}${endpoint.tls ? tlsHint(message) : ''}`,
      );
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Rejects with a RedisFault. */
  async call(name: string, args: readonly Argument[], deadlineMs: number): Promise<Reply> {
    const reply = await this.callRaw(name, args, deadlineMs);
    return new ReplyReader(reply).value();
  }

  /** The reply's bytes, for a ReplyReader. */
  async callRaw(name: string, args: readonly Argument[], deadlineMs: number): Promise<Buffer> {
    return (await this.pipeline([[name, ...args]], deadlineMs))[0] as Buffer;
  }

  /** Sends the commands in one piece; rejects with the first error among their replies. */
  async pipeline(commands: readonly (readonly Argument[])[], deadlineMs: number): Promise<Buffer[]> {
    const replies = await this.exchange(commands, deadlineMs);
    for (const reply of replies) {
      const fault = faultIn(reply);
      if (fault !== null) throw fault;
    }
    return replies;
  }

  /** Sends the commands in one piece; errors are among the replies, for `faultIn`. */
  async exchange(commands: readonly (readonly Argument[])[], deadlineMs: number): Promise<Buffer[]> {
    if (!this.#alive || this.#wire === null) throw this.#gone('is closed');
    const late = `did not answer ${String(commands[0]?.[0])} within ${Math.round(deadlineMs)} ms`;
    const timer = setTimeout(() => this.destroy(late), deadlineMs);
    try {
      return await this.#wire.send(commands);
    } catch (error) {
      throw this.#gone(messageOf(error));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes at once; calls that wait are rejected. */
  destroy(reason: string): void {
    this.#reason ??= reason;
    this.#alive = false;
    this.#wire?.fail(new Error(reason));
    this.#redis.disconnect();
    this.#redis.stream?.destroy();
  }

  #gone(message: string): RedisFault {
    return new RedisFault('connection', `the connection to Redis is gone: ${this.#reason ?? message}`);
  }

  /** HELLO without arguments needs no permission and tells version, mode, role and connection number in one go. */
  async #greet(mode: Endpoint['mode'], deadlineMs: number): Promise<void> {
    const reply = await this.call('hello', [], deadlineMs);
    if (!Array.isArray(reply)) throw new Error('does not answer HELLO as Redis does');
    const fields = new Map<string, string>();
    for (let i = 0; i + 1 < reply.length; i += 2) fields.set(String(reply[i]), String(reply[i + 1]));
    this.clientId = Number(fields.get('id'));
    this.role = fields.get('role') ?? '';
    const fault = unfit(mode, fields.get('mode') ?? 'standalone', fields.get('version') ?? '');
    if (fault !== null) throw new RedisFault('configuration', fault);
  }
}

/** What Redis does to a client that speaks TLS otherwise than it wants it, without saying why. */
function tlsHint(message: string): string {
  if (/in time/.test(message)) return ' (does it speak TLS at this port?)';
  return /ECONNRESET|closed/.test(message) ? ' (does it ask for a certificate? set tls-auth-clients no)' : '';
}

function unfit(wanted: Endpoint['mode'], mode: string, version: string): string | null {
  if (mode !== wanted) {
    if (mode === 'sentinel') return 'REDIS_URL names a sentinel: write redis+sentinel://host:port/master';
    if (wanted === 'sentinel') return 'REDIS_URL names as a sentinel what is none';
    return `Redis runs in ${mode} mode, which Rivercast does not support yet`;
  }
  if (Number.parseInt(version, 10) >= 7 || mode === 'sentinel') return null;
  return `Redis ${version} is too old: Rivercast needs 7.0 or newer`;
}

function clientOptions(endpoint: Endpoint): RedisOptions & { replyMapping: 'legacy' } {
  const { host, port, path, username, password, database, tls, ca } = endpoint;
  return {
    ...(path === null ? { host, port } : { path }),
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(tls ? { tls: ca === null ? {} : { ca } } : {}),
    db: database,
    // Whoever opens has a deadline for all of it.
    connectTimeout: 0,
    lazyConnect: true,
    retryStrategy: null,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    connectionName: 'rivercast',
    replyMapping: 'legacy',
  };
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] as string;
}
