/**
 * A Redis with one replica, and a sentinel that watches over them, all real. Which of the two is the master
 * changes; `master` is the one that the sentinel names.
 *
 * The replica signs in as a user of its own, so that it can be locked out: a failover then loses the tail.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisProcess } from './redis-process.ts';

const NAME = 'chaos';
const REPLICA_USER = 'copyist';
const PASSWORD = 'copies';
const POLL_MS = 50;
/** After so long without an answer the sentinel takes the master for dead. */
export const DOWN_AFTER_MS = 700;
const FAILOVER_MS = 20_000;
const SYNC_MS = 30_000;
/** As short as will do, since failovers are what is wanted. A busy machine is no reason to sit still (tilt). */
const HURRY =
  'info-period 200 ping-period 150 ask-period 200 publish-period 500 tilt-trigger 20000 slave-reconf-timeout 2000';

export class RedisTrio {
  readonly #sentinel: RedisProcess;
  readonly #pair: readonly [RedisProcess, RedisProcess];
  #master: RedisProcess;

  private constructor(sentinel: RedisProcess, pair: readonly [RedisProcess, RedisProcess]) {
    this.#sentinel = sentinel;
    this.#pair = pair;
    [this.#master] = pair;
  }

  static async start(folder: string): Promise<RedisTrio> {
    const [a, b, sentinel] = await Promise.all(
      ['redis-a', 'redis-b', 'sentinel'].map((name) => RedisProcess.make(name, folder)),
    );
    if (a === undefined || b === undefined || sentinel === undefined) throw new Error('no processes');
    const trio = new RedisTrio(sentinel, [a, b]);
    try {
      await a.start(...trio.#args(a));
      await b.start(...trio.#args(b), '--replicaof', '127.0.0.1', String(a.port));
      const file = join(sentinel.folder, 'sentinel.conf');
      writeFileSync(file, sentinelFile(sentinel, a));
      await sentinel.start(file, '--sentinel');
      await sentinel.ask('SENTINEL', 'DEBUG', ...HURRY.split(' '));
      await trio.settled();
    } catch (error) {
      await trio.end();
      throw error;
    }
    return trio;
  }

  get url(): string {
    return `redis+sentinel://127.0.0.1:${this.#sentinel.port}/${NAME}`;
  }

  get master(): RedisProcess {
    return this.#master;
  }

  get replica(): RedisProcess {
    const [a, b] = this.#pair;
    return this.#master === a ? b : a;
  }

  /** Resolves once everything runs, the sentinel's master is one, and the other follows it. */
  async settled(): Promise<void> {
    await this.#untilTrue('the replica is in sync', SYNC_MS, async () => {
      await this.#look();
      const [master, replica] = await Promise.all([info(this.master), info(this.replica)]);
      return (
        master['role'] === 'master' &&
        replica['role'] === 'slave' &&
        Number(replica['master_port']) === this.master.port &&
        replica['master_link_status'] === 'up' &&
        replica['master_sync_in_progress'] === '0' &&
        /state=online/.test(master['slave0'] ?? '') &&
        (await this.#sentinelSees())
      );
    });
  }

  /** Resolves once the sentinel has made the other one the master; `deed` is what is to bring it about. */
  async failover(deed: () => Promise<unknown>): Promise<void> {
    const old = this.#master;
    await deed();
    await this.#untilTrue('the sentinel names another master', FAILOVER_MS, async () => {
      await this.#look();
      return this.#master !== old && (await info(this.#master))['role'] === 'master';
    });
  }

  /** Asks the sentinel to change the two over, as an operator does; asked again while it is not ready to. */
  async askForFailover(): Promise<void> {
    await this.#untilTrue('the sentinel agrees to a failover', FAILOVER_MS, async () => {
      return (await this.#sentinel.ask('SENTINEL', 'FAILOVER', NAME)) === 'OK';
    });
  }

  /** The one that was killed comes back and follows the master. */
  async rejoin(node: RedisProcess): Promise<void> {
    await node.mendFile();
    await node.start(...this.#args(node), '--replicaof', '127.0.0.1', String(this.#master.port));
  }

  /** The one that was killed comes back as it was, before the sentinel has noticed. */
  async comeBack(node: RedisProcess): Promise<void> {
    await node.mendFile();
    await node.start(...this.#args(node));
  }

  /** From now on the replica gets nothing, and the master takes messages nevertheless; its restart ends that. */
  async lockReplicaOut(): Promise<void> {
    await this.#master.ask('CONFIG', 'SET', 'min-replicas-to-write', '0');
    await this.#master.ask('ACL', 'SETUSER', REPLICA_USER, 'off');
    await this.#master.ask('CLIENT', 'KILL', 'USER', REPLICA_USER);
    await this.#untilTrue('the replica is cut off', SYNC_MS, async () => {
      return (await info(this.replica))['master_link_status'] === 'down';
    });
  }

  async end(): Promise<void> {
    await Promise.all([this.#sentinel, ...this.#pair].map((process) => process.kill()));
  }

  async #look(): Promise<void> {
    const [, port] = (await this.#sentinel.ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)).split('\n');
    const named = this.#pair.find((one) => one.port === Number(port));
    if (named !== undefined) this.#master = named;
  }

  /** Whether the sentinel would find a replica to promote. */
  async #sentinelSees(): Promise<boolean> {
    const lines = (await this.#sentinel.ask('SENTINEL', 'REPLICAS', NAME)).split('\n');
    const member = (name: string): string => lines[lines.indexOf(name) + 1] ?? '';
    return member('flags') === 'slave' && member('master-link-status') === 'ok';
  }

  #args(node: RedisProcess): string[] {
    const lines = [
      `--port ${node.port} --bind 127.0.0.1 --dir ${node.folder} --appendonly yes --appendfsync always`,
      // So that a master nobody follows any more takes nothing while another one does already.
      '--min-replicas-to-write 1 --min-replicas-max-lag 10',
      '--repl-diskless-sync-delay 0 --repl-ping-replica-period 1 --repl-backlog-size 16mb',
      `--masteruser ${REPLICA_USER} --masterauth ${PASSWORD}`,
      `--user ${REPLICA_USER} on >${PASSWORD} ~* &* +@all`,
    ];
    return [...lines.flatMap((line) => line.split(' ')), '--save', ''];
  }

  async #untilTrue(what: string, ms: number, holds: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + ms;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`waited ${ms} ms until ${what}`);
      await delay(POLL_MS);
    }
  }
}

async function info(node: RedisProcess): Promise<Readonly<Record<string, string>>> {
  const text = await node.ask('INFO', 'replication');
  return Object.fromEntries(text.split(/\r?\n/).map((line) => line.split(/:(.*)/) as [string, string]));
}

function sentinelFile(sentinel: RedisProcess, master: RedisProcess): string {
  return [
    `port ${sentinel.port}`,
    'bind 127.0.0.1',
    `dir ${sentinel.folder}`,
    `sentinel monitor ${NAME} 127.0.0.1 ${master.port} 1`,
    `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
    // Also how long after a failover the next may begin: twice this.
    `sentinel failover-timeout ${NAME} 1500`,
    `sentinel parallel-syncs ${NAME} 1`,
    '',
  ].join('\n');
}
