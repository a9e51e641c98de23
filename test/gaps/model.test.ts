/**
 * Whatever is done to a log, a reader from any old cursor is told of a gap exactly when something is missing, with
 * the count, and has everything kept after it: by an oracle that keeps a list (oracle.ts). A follower, too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { DEFAULT_RETENTION, type Retention } from '../../src/channels.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import type { Log, TrimPolicy } from '../../src/log/log.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import type { RedisLog } from '../../src/log/redis.ts';
import { compareIds, type EntryId } from '../../src/protocol/id.ts';
import { ManualClock } from '../support/clock.ts';
import { IS_LONG, SEED } from '../support/model-runs.ts';
import { openLog, ownChannel, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { FORMS, type Followed, type Form, followTo, followToEnd, inForm } from './follow.ts';
import { Oracle, type Place } from './oracle.ts';

type Hand =
  | { readonly do: 'DEL' | 'FLUSHALL' }
  | { readonly do: 'XADD' }
  | { readonly do: 'XDEL'; readonly pick: number };

type Step =
  | Hand
  | { readonly do: 'append'; readonly count: number }
  | { readonly do: 'trim'; readonly policy: TrimPolicy }
  | { readonly do: 'trimBefore'; readonly pick: number }
  | { readonly do: 'idle'; readonly ms: number }
  | { readonly do: 'reopen' }
  | { readonly do: 'live' }
  | {
      readonly do: 'read';
      readonly pick: number;
      readonly form: Form;
      readonly max: number;
      readonly fresh: boolean;
    };

/** A store with one channel. */
interface Store {
  readonly channel: string;
  log: Log;
  /** A log on the same data that knows nothing; the same one where there is only one. */
  fresh(): Promise<Log>;
  reopen(): Promise<void>;
  idle(ms: number): void;
  kept(): Promise<readonly EntryId[]>;
  /** Returns the id of what it wrote, or '' when it deleted nothing. */
  readonly hand?: (command: Hand['do'], argument: string) => Promise<string>;
}

const RETENTION: Retention = {
  ...DEFAULT_RETENTION,
  maxEntries: 25,
  maxBytes: 2000,
  maxAgeMs: 3 * 86_400_000,
};
const pick = fc.nat({ max: 80 });
const policy: fc.Arbitrary<TrimPolicy> = fc.oneof(
  fc.nat({ max: 12 }).map((maxEntries) => ({ maxEntries })),
  fc.nat({ max: 60 }).map((maxBytes) => ({ maxBytes })),
  fc.nat({ max: 10_000 }).map((maxAgeMs) => ({ maxAgeMs })),
);
const read = fc.record({
  do: fc.constant('read' as const),
  pick,
  form: fc.constantFrom(...FORMS),
  max: fc.integer({ min: 1, max: 8 }),
  fresh: fc.boolean(),
});
const own: fc.WeightedArbitrary<Step>[] = [
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('trim' as const), policy }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('trimBefore' as const), pick }) },
  { weight: 1, arbitrary: fc.constant({ do: 'idle' as const, ms: 86_400_000 }) },
  { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
  { weight: 3, arbitrary: fc.constant({ do: 'live' as const }) },
  { weight: 9, arbitrary: read },
];
const hands: fc.WeightedArbitrary<Step>[] = [
  { weight: 3, arbitrary: fc.constant({ do: 'XADD' as const }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('XDEL' as const), pick }) },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'DEL' as const }, { do: 'FLUSHALL' as const }) },
];

class Run {
  readonly #store: Store;
  readonly #oracle = new Oracle();
  /** Every place that somebody may come back to. */
  readonly #places: Place[];
  #live: Place;
  #written = 0;

  constructor(store: Store) {
    this.#store = store;
    this.#live = this.#oracle.placeOf(START) as Place;
    this.#places = [this.#live];
  }

  async step(step: Step): Promise<void> {
    const { log, channel } = this.#store;
    if (isHand(step)) return this.#hand(step);
    switch (step.do) {
      case 'append':
        return this.#append(step.count);
      case 'trim':
        await log.trim(channel, step.policy);
        return;
      case 'trimBefore':
        await log.trim(channel, { before: at(this.#oracle.ids, step.pick) ?? '0-0' });
        return;
      case 'idle':
        return this.#store.idle(step.ms);
      case 'reopen':
        return this.#store.reopen();
      case 'live':
        return this.#follow();
      case 'read':
        return this.#resume(step);
    }
  }

  async #append(count: number): Promise<void> {
    const { log, channel } = this.#store;
    const names = Array.from({ length: count }, () => `own ${++this.#written}`);
    const results = await log.append(channel, texts(...names));
    for (const [i, { id }] of results.entries()) this.#oracle.added(id, names[i] as string);
  }

  async #hand(step: Hand): Promise<void> {
    const { hand } = this.#store;
    if (hand === undefined) return;
    if (step.do === 'XADD') {
      const text = `foreign ${++this.#written}`;
      this.#oracle.added(await hand('XADD', text), text, true);
    } else if (step.do === 'XDEL') {
      await this.#look();
      const id = at(this.#oracle.keptIds, step.pick);
      if (id !== undefined) this.#oracle.deleted(await hand('XDEL', id));
    } else {
      await hand(step.do, '');
      this.#oracle.replaced();
    }
  }

  async #resume(step: Step & { do: 'read' }): Promise<void> {
    await this.#look();
    const { channel } = this.#store;
    const log = step.fresh ? await this.#store.fresh() : this.#store.log;
    const place = at(this.#places, step.pick) as Place;
    const asked = inForm(place.cursor, step.form);
    const followed = await followToEnd(log, channel, asked, step.max);
    this.#oracle.check(place, asked, followed);
    this.#remember(followed);
  }

  async #follow(): Promise<void> {
    await this.#look();
    const { log, channel } = this.#store;
    const { cursor } = this.#live;
    const followed = await followTo(log, channel, cursor, this.#oracle.tip);
    this.#oracle.check(this.#live, cursor, followed);
    this.#live = this.#oracle.placeOf(followed.end) as Place;
    this.#remember(followed);
  }

  /** The end, and each entry on the way as the pages give it. */
  #remember({ entries, end }: Followed): void {
    const on = entries.map(({ id, ordinal }) => ({ id, epoch: end.epoch, ordinal }));
    for (const cursor of [...on, end]) {
      const place = this.#oracle.placeOf(cursor);
      if (place !== null) this.#places.push(place);
    }
  }

  async #look(): Promise<void> {
    this.#oracle.keeps(new Set(await this.#store.kept()));
  }
}

function isHand(step: Step): step is Hand {
  return ['XADD', 'XDEL', 'DEL', 'FLUSHALL'].includes(step.do);
}

function at<T>(values: readonly T[], pick: number): T | undefined {
  return values.length === 0 ? undefined : values[pick % values.length];
}

function holds(open: () => Promise<Store>, steps: fc.WeightedArbitrary<Step>[]): fc.IAsyncProperty<[Step[]]> {
  return fc.asyncProperty(fc.array(fc.oneof(...steps), { maxLength: 60, size: 'max' }), async (all) => {
    const store = await open();
    try {
      const run = new Run(store);
      for (const step of all) await run.step(step);
    } finally {
      await store.log.close();
    }
  });
}

/** The entries that a store without a second door keeps: those from the floor on. */
async function fromFloor(log: Log, channel: string, given: readonly EntryId[]): Promise<EntryId[]> {
  const { floor } = await log.bounds(channel);
  return floor === null ? [] : given.filter((id) => compareIds(id, floor) >= 0);
}

/** A log that notes the ids it gave, for `fromFloor`. */
function local(open: () => Promise<Log>, log: Log, clock: ManualClock): Store {
  const given: EntryId[] = [];
  const noting = (inner: Log): Log => {
    const append = inner.append.bind(inner);
    inner.append = async (channel, entries) => {
      const results = await append(channel, entries);
      given.push(...results.map(({ id }) => id));
      return results;
    };
    return inner;
  };
  const store: Store = {
    channel: 'c',
    log: noting(log),
    fresh: async () => store.log,
    reopen: async () => {
      store.log = noting(await open());
    },
    idle: (ms) => clock.advance(ms),
    kept: () => fromFloor(store.log, 'c', given),
  };
  return store;
}

const runs = (usual: number): number => (IS_LONG ? 10 * usual : usual);

test('memory: told if and only if something is missing', async () => {
  const open = async (): Promise<Store> => {
    const clock = new ManualClock();
    const log = new MemoryLog({ clock, retention: () => RETENTION });
    return local(async () => log, log, clock);
  };
  await fc.assert(holds(open, own), { numRuns: runs(200), seed: SEED });
});

test('embedded: told if and only if something is missing', async (t) => {
  const parent = await tempDir(t);
  let opened = 0;
  const open = async (): Promise<Store> => {
    const clock = new ManualClock();
    const dataDir = `${parent}/${++opened}`;
    let log = await EmbeddedLog.open({ dataDir, clock, retention: () => RETENTION });
    const reopen = async (): Promise<Log> => {
      await log.close();
      log = await EmbeddedLog.open({ dataDir, clock, retention: () => RETENTION });
      return log;
    };
    return local(reopen, log, clock);
  };
  await fc.assert(holds(open, own), { numRuns: runs(40), seed: SEED });
});

test('Redis: told if and only if something is missing, whatever others do to it', async (t) => {
  await using server = await RedisServer.start();
  // Small nodes, so that MAXLEN ~ trims, and trims here and there.
  await server.cli('CONFIG', 'SET', 'stream-node-max-entries', '4');
  const opened: RedisLog[] = [];
  const openRedis = async (): Promise<RedisLog> => {
    const log = await openLog(t, server.url, { deadlines: { checkMs: 30 }, retention: () => RETENTION });
    opened.push(log);
    return log;
  };
  const open = async (): Promise<Store> => {
    await Promise.all(opened.splice(0).map((log) => log.close()));
    const { channel, key } = ownChannel();
    const store: Store = {
      channel,
      log: await openRedis(),
      fresh: openRedis,
      reopen: async () => {
        store.log = await openRedis();
      },
      idle: () => undefined,
      kept: async () => {
        const listed = await server.cli('EVAL', IDS, '1', key);
        return listed === '' ? [] : listed.split('\n');
      },
      hand: async (command, argument) => {
        if (command === 'FLUSHALL') return server.cli('FLUSHALL');
        if (command === 'DEL') return server.cli('DEL', key);
        if (command === 'XADD') return server.cli('XADD', key, '*', 'message', argument);
        return (await server.cli('XDEL', key, argument)) === '1' ? argument : assert.fail(argument);
      },
    };
    return store;
  };
  await fc.assert(holds(open, [...own, ...hands]), {
    numRuns: runs(15),
    seed: SEED,
    interruptAfterTimeLimit: runs(20_000),
  });
});

const IDS = `
  local ids = {}
  for i, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do ids[i] = entry[1] end
  return ids`;
