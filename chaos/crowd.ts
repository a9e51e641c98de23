/** Who publishes and who subscribes in a run: publishers of each way of publishing, subscribers of each door and habit. */
import type { Book } from './book.ts';
import type { DoorName } from './doors.ts';
import type { ServerNode } from './fleet.ts';
import { HttpPublisher } from './http-publisher.ts';
import { Publisher } from './publisher.ts';
import type { Random } from './random.ts';
import { type Habit, Subscriber } from './subscriber.ts';
import type { Tally } from './tally.ts';
import type { Violation } from './violation.ts';

export interface CrowdOptions {
  readonly books: readonly Book[];
  readonly nodes: readonly ServerNode[];
  readonly random: Random;
  readonly tally: Tally;
  /** Messages a second, of all publishers. */
  readonly rate: number;
  /** How many subscribers there are of each door and habit. */
  readonly each: number;
  readonly mayForgetEpoch: boolean;
  readonly ms: number;
  readonly onViolation: (violation: Violation) => void;
}

export interface Crowd {
  readonly publishers: readonly (Publisher | HttpPublisher)[];
  readonly subscribers: readonly Subscriber[];
}

const V1_PUBLISHERS = 6;
const HTTP_BATCHES: readonly number[] = [1, 1, 1, 12];
/** What a publisher over HTTP publishes of what one over v1 does: each request has its cost. */
const HTTP_SHARE = 0.4;

const STAYS: Habit = { name: 'stays', leavesOneOf: null, awayMs: 0, stallsOneOf: null, comesAfterMs: 0 };
const HABITS: readonly Habit[] = [
  STAYS,
  { ...STAYS, name: 'leaves', leavesOneOf: 4, awayMs: 2000 },
  { ...STAYS, name: 'is long away', leavesOneOf: 15, awayMs: 20_000 },
  { ...STAYS, name: 'stalls', leavesOneOf: 30, awayMs: 1000, stallsOneOf: 4 },
];
const DOORS: readonly DoorName[] = ['raw', 'v1', 'sse'];

export function gather(options: CrowdOptions): Crowd {
  return { subscribers: subscribersOf(options), publishers: publishersOf(options) };
}

function publishersOf(options: CrowdOptions): (Publisher | HttpPublisher)[] {
  const { books, random, tally, rate, onViolation, nodes } = options;
  const share = rate / (V1_PUBLISHERS + HTTP_BATCHES.length * HTTP_SHARE);
  const common = (number: number): Omit<ConstructorParameters<typeof Publisher>[0], 'rate' | 'window'> => {
    const own = random.fork(`publisher ${number}`);
    const manager = chooser(nodes, 'manager', own);
    return { number, book: books[number % books.length] as Book, random: own, tally, manager, onViolation };
  };
  return [
    ...Array.from(
      { length: V1_PUBLISHERS },
      (_, i) => new Publisher({ ...common(i), rate: share, window: 40 }),
    ),
    ...HTTP_BATCHES.map((batch, i) => {
      const number = V1_PUBLISHERS + i;
      return new HttpPublisher({ ...common(number), rate: share * HTTP_SHARE, window: 4 * batch, batch });
    }),
  ];
}

function subscribersOf({ books, nodes, random, each, ms, ...rest }: CrowdOptions): Subscriber[] {
  const subscribers: Subscriber[] = [];
  for (const door of DOORS) {
    for (const habit of HABITS) {
      for (let i = 0; i < each * (door === 'v1' ? 1 : books.length); i++) {
        const name = `${door} ${habit.name} ${i}`;
        const own = random.fork(name);
        // Whoever stays is there from the first message on; of the others every second comes later.
        const comesAfterMs = habit === STAYS || i % 2 === 0 ? 0 : own.next() * ms;
        const broadcaster = chooser(nodes, 'broadcaster', own);
        const followed = door === 'v1' ? books : [books[i % books.length] as Book];
        subscribers.push(
          new Subscriber({
            ...rest,
            name,
            door,
            books: followed,
            habit: { ...habit, comesAfterMs },
            random: own,
            broadcaster,
          }),
        );
      }
    }
  }
  return subscribers;
}

/** Any node of the part; most often one that is there. */
function chooser(
  nodes: readonly ServerNode[],
  part: 'manager' | 'broadcaster',
  random: Random,
): (scheme: 'ws' | 'http') => string {
  const able = nodes.filter(({ role }) => role === 'all' || role === part);
  return (scheme) => {
    const up = able.filter(({ isUp }) => isUp);
    return random.pick(up.length > 0 && random.chance(0.8) ? up : able).url(scheme, '');
  };
}
