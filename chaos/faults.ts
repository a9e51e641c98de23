/**
 * What is done to the servers and to Redis while messages go through: two rows of faults, one after the other in
 * each, dealt from a shuffled deck, so that each kind has its turn. Every fault mends what it broke.
 *
 * The master fails over only while the replica follows it, so that whatever was acknowledged as replicated is
 * there; except where loss is allowed: there the replica is first locked out for a while. Managers then stay
 * alive until it is over: what nobody lives to remember cannot be told.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerNode } from './fleet.ts';
import type { Random } from './random.ts';
import type { RedisProcess } from './redis-process.ts';
import { DOWN_AFTER_MS, type RedisTrio } from './redis-trio.ts';
import type { Tally } from './tally.ts';

export interface Stage {
  readonly nodes: readonly ServerNode[];
  readonly trio: RedisTrio | null;
  readonly random: Random;
  readonly tally: Tally;
  /** Whether a failover may lose what was acknowledged. */
  readonly mayLose: boolean;
  /** Whether an old master may go on taking messages while there is a new one. */
  readonly twoMasters: boolean;
  /** Between two faults of a row, at most. */
  readonly restMs: number;
  /** Told of each fault. */
  readonly say: (line: string) => void;
  /** Aborts when it has been enough; the fault that is going on is mended first. */
  readonly signal: AbortSignal;
}

type ServerFault = 'kill' | 'kill all' | 'stop' | 'pause';
type RedisFault =
  | 'kill the master'
  | 'lose the tail'
  | 'change over'
  | 'crash'
  | 'pause'
  | 'pause until failover'
  | 'two masters'
  | 'kill the replica'
  | 'pause the replica'
  | 'cut connections';

const MOST_PAUSE_MS = 3000;
const MOST_DOWN_MS = 1500;

/** How many of each are in a deck. */
const SERVER_DECK: Readonly<Record<ServerFault, number>> = { kill: 8, 'kill all': 1, stop: 2, pause: 2 };
const REDIS_DECK: Readonly<Record<RedisFault, number>> = {
  'kill the master': 3,
  'lose the tail': 0,
  'change over': 1,
  crash: 1,
  pause: 1,
  'pause until failover': 1,
  'two masters': 0,
  'kill the replica': 1,
  'pause the replica': 1,
  'cut connections': 1,
};

/** Resolves when the signal has aborted and everything runs again. */
export async function disturb(stage: Stage): Promise<void> {
  const row = { ...stage, isLosing: false };
  await Promise.all([new ServerRow(row).run(), row.trio === null ? null : runRedisRow(row, row.trio)]);
}

interface Row extends Stage {
  /** The log may be about to lose something. */
  isLosing: boolean;
}

class ServerRow {
  readonly #row: Row;
  readonly #random: Random;

  constructor(row: Row) {
    this.#row = row;
    this.#random = row.random.fork('servers');
  }

  async run(): Promise<void> {
    const { signal, restMs } = this.#row;
    const deal = dealer(SERVER_DECK, 'kill', this.#random);
    while (!signal.aborted) {
      await rest(this.#random.between(100, restMs), signal);
      if (!signal.aborted) await this.#do(deal());
    }
  }

  async #do(fault: ServerFault): Promise<void> {
    const { nodes, isLosing, tally, say } = this.#row;
    const mortal = nodes.filter(({ role }) => role === 'broadcaster' || !isLosing);
    const all = fault === 'kill all' ? mortal : [this.#random.pick(mortal)];
    say(`${fault === 'kill all' ? 'kill' : fault} ${all.map(({ name }) => name).join(', ')}`);
    const downMs = this.#random.between(0, MOST_DOWN_MS);
    if (fault === 'pause') {
      const [node] = all as [ServerNode];
      tally.add('servers paused');
      node.pause();
      await delay(this.#random.between(200, MOST_PAUSE_MS));
      return node.resume();
    }
    for (const node of all) {
      if (fault === 'stop') {
        const code = await node.stop();
        tally.add(code === 0 ? 'servers stopped' : 'servers stopped with something undone');
      } else {
        tally.add('kills of servers');
        await node.kill();
      }
    }
    await delay(downMs);
    tally.add('restarts of servers', all.length);
    await Promise.all(all.map((node) => node.start()));
  }
}

async function runRedisRow(row: Row, trio: RedisTrio): Promise<void> {
  const random = row.random.fork('redis');
  const deck = { ...REDIS_DECK, 'lose the tail': row.mayLose ? 3 : 0, 'two masters': row.twoMasters ? 2 : 0 };
  const deal = dealer(deck, row.mayLose ? 'lose the tail' : 'kill the master', random);
  while (!row.signal.aborted) {
    await rest(random.between(100, row.restMs), row.signal);
    if (row.signal.aborted) return;
    const fault = deal();
    row.say(`Redis: ${fault}`);
    row.isLosing = row.mayLose;
    await REDIS_FAULTS[fault](trio, random, row.tally);
    await trio.settled();
    row.isLosing = false;
  }
}

type Deed = (trio: RedisTrio, random: Random, tally: Tally) => Promise<void>;

const REDIS_FAULTS: Readonly<Record<RedisFault, Deed>> = {
  'kill the master': killMaster,
  'lose the tail': async (trio, random, tally) => {
    await trio.lockReplicaOut();
    await delay(random.between(200, MOST_DOWN_MS));
    tally.add('failovers without the tail');
    await killMaster(trio, random, tally);
  },
  'change over': async (trio, _random, tally) => {
    await trio.failover(() => trio.askForFailover());
    tally.add('failovers');
  },
  crash: async (trio, _random, tally) => {
    const { master } = trio;
    tally.add('kills of Redis');
    await master.kill();
    await trio.comeBack(master);
    tally.add('restarts of Redis');
  },
  pause: async (trio, random, tally) => {
    const { master } = trio;
    tally.add('pauses of Redis');
    master.pause();
    await delay(random.between(50, DOWN_AFTER_MS / 2));
    master.resume();
  },
  'pause until failover': async (trio, random, tally) => {
    const old = await pauseMaster(trio, tally);
    // What it was sent meanwhile, and never took, dies with it.
    tally.add('kills of Redis');
    await old.kill();
    await comeBack(trio, old, random, tally);
  },
  'two masters': async (trio, random, tally) => {
    const old = await pauseMaster(trio, tally);
    await delay(random.between(0, MOST_DOWN_MS));
    tally.add('old masters that woke up');
    old.resume();
  },
  'kill the replica': async (trio, random, tally) => {
    const { replica } = trio;
    tally.add('kills of Redis');
    await replica.kill();
    await comeBack(trio, replica, random, tally);
  },
  'pause the replica': async (trio, random, tally) => {
    const { replica } = trio;
    tally.add('pauses of Redis');
    replica.pause();
    await delay(random.between(200, MOST_PAUSE_MS));
    replica.resume();
  },
  'cut connections': async (trio, _random, tally) => {
    tally.add('connections to Redis cut');
    await trio.master.ask('CLIENT', 'KILL', 'TYPE', 'normal');
  },
};

async function killMaster(trio: RedisTrio, random: Random, tally: Tally): Promise<void> {
  const { master } = trio;
  tally.add('kills of Redis');
  await trio.failover(() => master.kill());
  tally.add('failovers');
  await comeBack(trio, master, random, tally);
}

/** Until the sentinel takes it for dead; returns the one that was the master. */
async function pauseMaster(trio: RedisTrio, tally: Tally): Promise<RedisProcess> {
  const { master } = trio;
  tally.add('pauses of Redis');
  await trio.failover(async () => master.pause());
  tally.add('failovers');
  return master;
}

async function comeBack(trio: RedisTrio, node: RedisProcess, random: Random, tally: Tally): Promise<void> {
  await delay(random.between(0, MOST_DOWN_MS));
  await trio.rejoin(node);
  tally.add('restarts of Redis');
}

/** Deals the cards of a shuffled deck, and then of another. `first` comes first, so that no run goes without it. */
function dealer<Name extends string>(
  deck: Readonly<Record<Name, number>>,
  first: Name,
  random: Random,
): () => Name {
  const names = Object.keys(deck) as Name[];
  const cards: Name[] = [first];
  return () => {
    if (cards.length === 0)
      cards.push(...random.shuffle(names.flatMap((name) => new Array(deck[name]).fill(name))));
    return cards.shift() as Name;
  };
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
