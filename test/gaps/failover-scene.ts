/**
 * A failover to a replica that lacks the newest entries, with real servers: `c d` of every channel, which was
 * `a b c d`, stay with the primary, because its link to the replica is dead. The replica is then promoted, other
 * entries come to it as the outcome says, and only then does the process under test reach it.
 */
import type { RedisLog } from '../../src/log/redis.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { openLog, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { type Followed, followLive } from './follow.ts';

const DEADLINES = { connectMs: 300, appendMs: 1000, readMs: 1000, probeMs: 500, checkMs: 300 };

/** What the new primary has after `a b`. */
export const OUTCOMES = {
  'whose tip is behind the cursor': [],
  'whose tip is past the cursor': ['e', 'f', 'g'],
  'whose tip is past the cursor, with fewer entries': ['e'],
  'whose tip is past the cursor, by a foreign writer': ['e', 'f'],
  'that gave the ids again, to a foreign writer': ['x', 'y'],
  'that gave the ids again, with the chain intact': ['x', 'y'],
  'that gave the last id again, and later ones': ['y', 'e', 'f'],
} as const;
export type Outcome = keyof typeof OUTCOMES;

/** One entry as Rivercast writes it, with meta as it leaves it. */
const WRITE = `
  redis.call('XADD', KEYS[1], ARGV[1], 'data', ARGV[2], 'p', ARGV[3], 'n', ARGV[4])
  redis.call('HSET', KEYS[2], 'tip', ARGV[1], 'n', ARGV[4])`;

export interface LostTail {
  /** After each of `a b c d`, as delivered before the failover. */
  readonly cursors: readonly [Cursor, Cursor, Cursor, Cursor];
  /** One that waits all through the failover, until it has what the outcome says; null when nobody does. */
  readonly live: Promise<Followed> | null;
}

export class FailoverScene implements AsyncDisposable {
  readonly #channels = new Map<string, LostTail>();
  readonly #closers: (() => Promise<unknown>)[] = [];
  #replica: RedisServer | null = null;
  #lived: RedisLog | null = null;
  #latecomer: RedisLog | null = null;

  /** The process that followed every channel before the failover. */
  get lived(): RedisLog {
    return this.#lived as RedisLog;
  }

  /** A process that came so late that all it followed, of every channel named for it, was lost. */
  get latecomer(): RedisLog {
    return this.#latecomer as RedisLog;
  }

  /** `waiting` says whether somebody waits on the channel all through it. */
  async run(channels: ReadonlyMap<string, Outcome>, waiting: (name: string) => boolean): Promise<void> {
    const primary = this.#own(await RedisServer.start('--repl-diskless-sync-delay', '0'));
    const link = this.#own(await TcpProxy.start(primary.port));
    const replica = this.#own(await RedisServer.start('--replicaof', `127.0.0.1 ${link.port}`));
    const clients = this.#own(await TcpProxy.start(primary.port));
    this.#replica = replica;
    this.#lived = await this.#open(`redis://127.0.0.1:${clients.port}`);
    this.#latecomer = await this.#open(`redis://127.0.0.1:${clients.port}`);
    const { lived, latecomer } = this;
    const names = [...channels.keys()];
    await Promise.all(names.map((name) => lived.append(name, texts('a', 'b'))));
    while ((await offsetOf(replica)) < (await offsetOf(primary)));
    link.drop('up');
    link.drop('down');
    await Promise.all(names.map((name) => lived.append(name, texts('c', 'd'))));
    for (const [name, outcome] of channels) {
      const cursors = await witness(lived, name);
      const live = waiting(name) ? followLive(lived, name, cursors[3], OUTCOMES[outcome].length) : null;
      live?.catch(() => undefined);
      if (name.endsWith('latecomer')) await followLive(latecomer, name, cursors[1], 2);
      this.#channels.set(name, { cursors, live });
    }
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    const other = await this.fresh();
    for (const [name, outcome] of channels) await this.#become(other, name, outcome);
    await other.close();
    clients.retarget(replica.port);
    await primary.kill();
  }

  /** A process that knows nothing of what was. */
  fresh(): Promise<RedisLog> {
    return this.#open((this.#replica as RedisServer).url);
  }

  of(name: string): LostTail {
    return this.#channels.get(name) as LostTail;
  }

  async epochOf(name: string): Promise<string> {
    return (this.#replica as RedisServer).cli('HGET', `{local-q:${name}}:meta`, 'epoch');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers.toReversed()) await close();
  }

  async #become(other: RedisLog, name: string, outcome: Outcome): Promise<void> {
    const replica = this.#replica as RedisServer;
    const [, b, c, d] = this.of(name).cursors.map(({ id }) => id) as [string, string, string, string];
    const key = `local-q:${name}`;
    const write = (...entry: string[]): Promise<string> =>
      replica.cli('EVAL', WRITE, '2', key, `{${key}}:meta`, ...entry);
    switch (outcome) {
      case 'whose tip is behind the cursor':
        return;
      case 'whose tip is past the cursor':
      case 'whose tip is past the cursor, with fewer entries':
        await other.append(name, texts(...OUTCOMES[outcome]));
        return;
      case 'whose tip is past the cursor, by a foreign writer':
        await replica.cli('XADD', key, '*', 'message', 'e');
        await replica.cli('XADD', key, '*', 'message', 'f');
        return;
      case 'that gave the ids again, to a foreign writer':
        await replica.cli('XADD', key, c, 'message', 'x');
        await replica.cli('XADD', key, d, 'message', 'y');
        return;
      case 'that gave the ids again, with the chain intact':
        await write(c, 'x', b, '3');
        await write(d, 'y', c, '4');
        return;
      case 'that gave the last id again, and later ones':
        await write(d, 'y', b, '3');
        await other.append(name, texts('e', 'f'));
    }
  }

  async #open(url: string): Promise<RedisLog> {
    return openLog({ after: (close) => this.#closers.push(close) }, url, { deadlines: DEADLINES });
  }

  #own<T extends AsyncDisposable>(owned: T): T {
    this.#closers.push(() => Promise.resolve(owned[Symbol.asyncDispose]()));
    return owned;
  }
}

/** Follows the channel to `d` as a live tail does, and leaves; the cursors are those it was at on the way. */
async function witness(log: RedisLog, name: string): Promise<LostTail['cursors']> {
  const { entries, end } = await followLive(log, name, START, 4);
  const cursors = entries.map(({ id, ordinal }) => ({ id, epoch: end.epoch, ordinal }));
  return cursors as unknown as LostTail['cursors'];
}

async function offsetOf(server: RedisServer): Promise<number> {
  const info = await server.cli('INFO', 'replication');
  return Number(/(?:master|slave)_repl_offset:(\d+)/.exec(info)?.[1]);
}
