/** The stores under the model of delivery, each with what can happen to it. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import type { EntryType, Log } from '../../src/log/log.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import { Link } from '../../src/log/redis/connection/link.ts';
import { parseTarget } from '../../src/log/redis/connection/target.ts';
import { channelKeys } from '../../src/log/redis/keys.ts';
import { RedisLog } from '../../src/log/redis.ts';
import type { EntryId } from '../../src/protocol/id.ts';
import type { ManualClock } from './clock.ts';

/**
 * How the newest entries are lost: all of them with the process (memory), the stream, all keys; or all since a
 * copy was made, which is put back under the running server (as a failover does) or while it is down.
 */
export type Loss = 'process' | 'stream' | 'keys' | 'failover' | 'restored';

export interface Store extends AsyncDisposable {
  readonly log: Log;
  readonly losses: readonly Loss[];
  /** Whether the server has to be down to make a copy. */
  readonly isCopiedClosed: boolean;
  /** Closes the log and opens it anew, with `meanwhile` in between. A log in memory stays. */
  reopen(meanwhile?: () => Promise<void>): Promise<void>;
  copy(channels: readonly string[]): Promise<void>;
  lose(loss: Loss, channels: readonly string[]): Promise<void>;
  /** Somebody else's hands on a stream; null: there is none. */
  readonly stranger: Stranger | null;
}

export interface Stranger {
  add(channel: string, type: EntryType, data: Buffer): Promise<EntryId>;
  delete(channel: string, id: EntryId): Promise<void>;
}

const retention = (): typeof DEFAULT_RETENTION => DEFAULT_RETENTION;

export class MemoryStore implements Store {
  readonly losses = ['process'] as const;
  readonly isCopiedClosed = false;
  readonly stranger = null;
  readonly #clock: ManualClock;
  log: Log;

  constructor(clock: ManualClock) {
    this.#clock = clock;
    this.log = new MemoryLog({ clock, retention });
  }

  async reopen(meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
    await meanwhile();
  }

  copy(): Promise<void> {
    return assert.fail('nothing can copy it');
  }

  async lose(): Promise<void> {
    await this.log.close();
    this.#clock.advance(1);
    this.log = new MemoryLog({ clock: this.#clock, retention });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log.close();
  }
}

export class EmbeddedStore implements Store {
  readonly losses = ['restored'] as const;
  readonly isCopiedClosed = true;
  readonly stranger = null;
  readonly #clock: ManualClock;
  readonly #dir: string;
  log: Log;

  private constructor(clock: ManualClock, dir: string, log: Log) {
    this.#clock = clock;
    this.#dir = dir;
    this.log = log;
  }

  static async open(clock: ManualClock): Promise<EmbeddedStore> {
    const dir = await mkdtemp(join(tmpdir(), 'rivercast-'));
    const log = await EmbeddedLog.open({ dataDir: join(dir, 'data'), clock, retention });
    return new EmbeddedStore(clock, dir, log);
  }

  async reopen(meanwhile?: () => Promise<void>): Promise<void> {
    await this.log.close();
    await meanwhile?.();
    this.log = await EmbeddedLog.open({ dataDir: join(this.#dir, 'data'), clock: this.#clock, retention });
  }

  async copy(): Promise<void> {
    await this.#move('data', 'copy');
  }

  async lose(): Promise<void> {
    await this.#move('copy', 'data');
    // Whoever restores a backup does so later than it lost what came after it.
    this.#clock.advance(1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #move(from: string, to: string): Promise<void> {
    await rm(join(this.#dir, to), { recursive: true, force: true });
    await cp(join(this.#dir, from), join(this.#dir, to), {
      recursive: true,
      filter: (path) => !path.endsWith('.sock'),
    });
  }
}

const STREAM = 'local-q';
const DEADLINE_MS = 5000;
/** Copies streams and their meta in one step, as a replica takes them. */
const COPY_ALL = `for i = 1, #KEYS, 2 do
  redis.call('DEL', KEYS[i + 1])
  redis.call('COPY', KEYS[i], KEYS[i + 1])
end`;

export class RedisStore implements Store {
  readonly losses = ['stream', 'keys', 'failover', 'restored'] as const;
  readonly isCopiedClosed = false;
  readonly #url: string;
  readonly #link: Link;
  readonly stranger: Stranger = {
    add: async (channel, type, data) => {
      const fields = type === 'text' ? ['message', data] : ['data', data, 'type', type];
      return String(await this.#call('xadd', [this.#keys(channel).stream, '*', ...fields]));
    },
    delete: async (channel, id) => {
      assert.equal(await this.#call('xdel', [this.#keys(channel).stream, id]), 1);
    },
  };
  log: Log;

  private constructor(url: string, link: Link, log: Log) {
    this.#url = url;
    this.#link = link;
    this.log = log;
  }

  static async open(url: string): Promise<RedisStore> {
    const link = await Link.open(parseTarget(url).redis, DEADLINE_MS, new AbortController().signal);
    await link.call('flushall', [], DEADLINE_MS);
    return new RedisStore(url, link, await openRedis(url));
  }

  async reopen(meanwhile?: () => Promise<void>): Promise<void> {
    await this.log.close();
    await meanwhile?.();
    this.log = await openRedis(this.#url);
  }

  async copy(channels: readonly string[]): Promise<void> {
    await this.#copyAll(channels, (key) => [key, `copy of ${key}`]);
  }

  async lose(loss: Loss, channels: readonly string[]): Promise<void> {
    if (loss === 'stream') {
      await this.#call(
        'del',
        channels.map((channel) => this.#keys(channel).stream),
      );
    } else if (loss === 'keys') await this.#call('flushall', []);
    else await this.#copyAll(channels, (key) => [`copy of ${key}`, key]);
    // So that no id is given twice.
    const lostMs = Date.now();
    while (Date.now() < lostMs + 2) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log.close();
    this.#link.destroy('the test is over');
  }

  #keys(channel: string): ReturnType<typeof channelKeys> {
    return channelKeys(STREAM, channel);
  }

  async #copyAll(channels: readonly string[], pair: (key: string) => [string, string]): Promise<void> {
    const keys = channels.map((channel) => this.#keys(channel)).flatMap(({ stream, meta }) => [stream, meta]);
    const pairs = keys.flatMap(pair);
    await this.#call('eval', [COPY_ALL, `${pairs.length}`, ...pairs]);
  }

  #call(name: string, args: readonly (string | Buffer)[]): Promise<unknown> {
    return this.#link.call(name, args, DEADLINE_MS);
  }
}

function openRedis(url: string): Promise<Log> {
  return RedisLog.open({ url, stream: STREAM, clock: systemClock, retention, deadlines: { checkMs: 20 } });
}
