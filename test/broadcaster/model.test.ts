/**
 * Delivery against a model (test/support/delivery-model.ts): random publishing, subscribing at any position,
 * leaving, resuming, stalling, trimming, restarting and losing the newest entries, on every store and at every
 * door. Whatever happens, each client receives what it is owed once and in order, and is told what it misses:
 * no hole, no duplicate, no wrong gap.
 *
 *   npm run test:model                     1,000 runs in memory, 1,000 embedded, 100 on Redis
 *   MODEL_SEED=<seed> npm run test:model   the same runs again
 *
 * A failure names its seed, its path and its replayPath: with MODEL_SEED, MODEL_PATH and MODEL_REPLAY it is run alone.
 */
import { type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import { ManualClock } from '../support/clock.ts';
import type { Client, Door } from '../support/delivery-client.ts';
import { EmbeddedStore, type Loss, MemoryStore, RedisStore, type Store } from '../support/delivery-stores.ts';
import { CHANNELS, type Channel, type Form, turn, type Wanted, World } from '../support/delivery-world.ts';
import { IS_LONG, SEED } from '../support/model-runs.ts';
import { RedisServer } from '../support/redis-server.ts';

const PATH = process.env['MODEL_PATH'];
const REPLAY = process.env['MODEL_REPLAY'];
/** A failure that is still being made smaller by then is told as it is. */
const LIMIT_MS = IS_LONG ? 3_000_000 : 30_000;
const MAX_CLIENTS = 12;

/** What a command may look at before it runs: fast-check hands out no private parts. */
interface Stage {
  readonly world: World;
}

/** One thing that happens; `isPossible` leaves out what makes no sense now, so that a failure shrinks to what does. */
class Happening implements fc.AsyncCommand<Stage, World> {
  readonly #name: string;
  readonly #isPossible: (world: World) => boolean;
  readonly #happen: (world: World) => Promise<void> | void;

  constructor(
    name: string,
    happen: (world: World) => Promise<void> | void,
    isPossible: (world: World) => boolean = () => true,
  ) {
    this.#name = name;
    this.#happen = happen;
    this.#isPossible = isPossible;
  }

  check({ world }: Readonly<Stage>): boolean {
    return this.#isPossible(world);
  }

  async run(_stage: Stage, world: World): Promise<void> {
    await this.#happen(world);
  }

  toString(): string {
    return this.#name;
  }
}

type Happenings = fc.Arbitrary<fc.AsyncCommand<Stage, World>>;

const CHANNEL = fc.constantFrom<Channel[]>('local-q', 'local-q', 'other');
const DOOR = fc.constantFrom<Door[]>('raw-fail', 'raw-skip', 'v1-fail', 'v1-skip', 'v1-skip', 'sse', 'sse');
const FORM = fc.constantFrom<Form[]>('cursor', 'cursor', 'epoch', 'id');
const TYPE = fc.constantFrom('text' as const, 'json' as const, 'binary' as const);
/** So many entries before the newest: more often a few. */
const NEAR = fc.oneof(fc.nat(4), fc.nat(25));
const WANTED: fc.Arbitrary<Wanted> = fc.record({
  form: fc.constantFrom<Wanted['form'][]>('earliest', 'latest', 'last', 'time', 'cursor', 'epoch', 'id'),
  n: NEAR,
});
const SIZE = fc.oneof(
  { weight: 40, arbitrary: fc.nat(20) },
  { weight: 8, arbitrary: fc.integer({ min: 1000, max: 9000 }) },
  { weight: 1, arbitrary: fc.constant(40_000) },
);
/** Only the newest block, a few, all of them. */
const RING_BYTES = fc.constantFrom(1, 16_000, 1_000_000);
const ENTRY = fc.tuple(TYPE, SIZE);

const publish: Happenings = fc.tuple(CHANNEL, fc.array(ENTRY, { minLength: 1, maxLength: 6 })).map(
  ([channel, entries]) =>
    new Happening(
      `publish ${channel} ${entries.map(([type, size]) => `${type}:${size}`).join(' ')}`,
      (world) =>
        world.publish(
          channel,
          entries.map(([type, size]) => world.make(type, size)),
        ),
    ),
);

const join: Happenings = fc
  .tuple(DOOR, fc.uniqueArray(CHANNEL, { minLength: 1, maxLength: 2 }), WANTED, WANTED)
  .map(([door, channels, first, second]) => {
    const own = door.startsWith('v1') ? channels : channels.slice(0, 1);
    const wanted = new Map(own.map((channel, i) => [channel, i === 0 ? first : second]));
    const name = [...wanted].map(([channel, { form, n }]) => `${channel} ${form} ${n}`).join(', ');
    return new Happening(
      `join ${door}: ${name}`,
      (world) => world.join(door, wanted),
      (world) => world.clients.length < MAX_CLIENTS,
    );
  });

type Move = (world: World, client: Client) => Promise<void> | void;

/** Something that happens to one client of those it can happen to. */
function toOne(name: string, move: Move, isPossible: (client: Client) => boolean): Happenings {
  const candidates = (world: World): Client[] => world.clients.filter(isPossible);
  return fc.nat(MAX_CLIENTS).map(
    (who) =>
      new Happening(
        `${name} ${who}`,
        (world) => {
          const able = candidates(world);
          return move(world, able[who % able.length] as Client);
        },
        (world) => candidates(world).length > 0,
      ),
  );
}

const isHere = ({ connection }: Client): boolean => connection?.isOpen === true && !connection.isClosing;
const isReading = (client: Client): boolean => isHere(client) && client.connection?.stalls === false;
const isV1 = (client: Client): boolean => client.door.startsWith('v1') && isReading(client);
const follows = (client: Client, channel: Channel): boolean =>
  client.strands.get(channel)?.isFollowed === true;

const stall = toOne(
  'stall',
  (_world, { connection }) => {
    if (connection !== null) connection.stalls = true;
  },
  isReading,
);
const clientMoves: Happenings[] = [
  stall,
  stall,
  toOne(
    'drain',
    (world, client) => world.drain(client),
    (client) => isHere(client) && !isReading(client),
  ),
  toOne(
    'drain',
    (world, client) => world.drain(client),
    (client) => isHere(client) && !isReading(client),
  ),
  toOne('close', (world, client) => world.disconnect(client, 'closed'), isHere),
  toOne('cut', (world, client) => world.disconnect(client, 'cut'), isHere),
  toOne(
    'begin to close',
    (_world, { connection }) => {
      if (connection !== null) connection.isClosing = true;
    },
    isHere,
  ),
  toOne(
    'end the close',
    (world, client) => world.disconnect(client, 'begun'),
    ({ connection }) => connection?.isClosing === true,
  ),
  toOne('visit', (world, client) => world.visit(client), isReading),
  ...(['cursor', 'epoch', 'id'] as const).map((form) =>
    toOne(
      `resume by ${form}`,
      (world, client) => world.resume(client, form),
      ({ connection, strands }) => connection === null && strands.size > 0,
    ),
  ),
  ...CHANNELS.map((channel) =>
    toOne(
      `leave ${channel}`,
      (world, client) => world.leave(client, channel),
      (client) => isV1(client) && follows(client, channel),
    ),
  ),
  fc.tuple(CHANNEL, WANTED, FORM).chain(([channel, wanted, form]) =>
    toOne(
      `follow ${channel} ${wanted.form} ${wanted.n}, or again by ${form}`,
      (world, client) => world.follow(client, channel, wanted, form),
      (client) => isV1(client) && !follows(client, channel),
    ),
  ),
];

const trim: Happenings = fc
  .tuple(CHANNEL, NEAR, fc.constantFrom('count' as const, 'id' as const))
  .map(
    ([channel, keep, by]) =>
      new Happening(`trim ${channel} to ${keep} by ${by}`, (world) => world.trim(channel, keep, by)),
  );
const settle: Happenings = fc.constant(new Happening('settle', (world) => world.settle()));
const pause: Happenings = fc.constant(new Happening('turn', turn));
const tick: Happenings = fc.constant(new Happening('tick', (world) => world.tick()));
const copy: Happenings = fc.constant(new Happening('copy', (world) => world.copy()));
const restart: Happenings = FORM.map(
  (form) => new Happening(`restart, back by ${form}`, (world) => world.restart(form)),
);

function lose(losses: readonly Loss[]): Happenings {
  return fc.tuple(fc.constantFrom(...losses), FORM, fc.option(CHANNEL)).map(
    ([loss, form, channel]) =>
      new Happening(
        `lose by ${loss}, back by ${form}${channel === null ? '' : `, publish ${channel}`}`,
        async (world) => {
          await world.lose(loss, form);
          // Who meets the loss first: an append, or a look.
          if (channel !== null) await world.publish(channel, [world.make('text', 5)]);
          await world.noticed();
        },
        (world) => world.canLose(loss),
      ),
  );
}

const strangers: Happenings[] = [
  fc.tuple(CHANNEL, ENTRY).map(
    ([channel, [type, size]]) =>
      new Happening(
        `XADD ${channel} ${type}:${size}`,
        (world) => world.addForeign(channel, world.make(type, size)),
        (world) => world.model(channel).epoch !== null,
      ),
  ),
  fc
    .tuple(CHANNEL, fc.nat(12))
    .map(([channel, n]) => new Happening(`XDEL ${channel} ${n}`, (world) => world.deleteEntry(channel, n))),
];

function happenings(store: 'memory' | 'embedded' | 'redis'): Happenings[] {
  const often = [publish, publish, publish, publish, publish, join, join, join, pause, pause, pause, settle];
  const common = [...often, ...clientMoves, trim, trim, trim, tick, restart];
  switch (store) {
    case 'memory':
      return [...common, lose(['process'])];
    case 'embedded':
      return [...common, copy, lose(['restored'])];
    case 'redis':
      return [
        ...common,
        ...strangers,
        ...strangers,
        copy,
        copy,
        lose(['stream', 'keys', 'failover', 'restored']),
      ];
  }
}

interface Runs {
  readonly store: 'memory' | 'embedded' | 'redis';
  readonly short: number;
  readonly long: number;
  readonly open: (clock: ManualClock) => Promise<Store>;
}

async function holds(t: TestContext, { store, short, long, open }: Runs): Promise<void> {
  const numRuns = IS_LONG ? long : short;
  // Unbiased: small cases, which fast-check prefers, have no history to go wrong with.
  const commands = fc.noBias(
    fc.commands(happenings(store), {
      maxCommands: 100,
      size: 'max',
      ...(REPLAY === undefined ? {} : { replayPath: REPLAY }),
    }),
  );
  const property = fc.asyncProperty(RING_BYTES, commands, async (ringBytes, steps) => {
    const clock = new ManualClock();
    await using world = new World(await open(clock), clock, ringBytes);
    await fc.asyncModelRun(() => ({ model: { world }, real: world }), steps);
    await world.finish();
  });
  await fc.assert(property, {
    numRuns,
    seed: SEED,
    ...(PATH === undefined ? {} : { path: PATH, endOnFailure: true }),
    interruptAfterTimeLimit: LIMIT_MS,
    markInterruptAsFailure: true,
  });
  t.diagnostic(`${numRuns} runs over ${store}, seed ${SEED}: no hole, no duplicate, no wrong gap`);
}

const options = { timeout: IS_LONG ? 3_600_000 : 110_000 };

test('over a log in memory, every client receives what it is owed, or is told what it misses', options, (t) =>
  holds(t, { store: 'memory', short: 300, long: 1000, open: async (clock) => new MemoryStore(clock) }),
);

test('over an embedded log, every client receives what it is owed, or is told what it misses', options, (t) =>
  holds(t, { store: 'embedded', short: 80, long: 1000, open: (clock) => EmbeddedStore.open(clock) }),
);

test('over Redis, every client receives what it is owed, or is told what it misses', options, async (t) => {
  await using server = await RedisServer.start();
  await holds(t, { store: 'redis', short: 40, long: 100, open: () => RedisStore.open(server.url) });
});
