/**
 * A subscriber by one of the doors, with a habit: some stay for good, most leave now and then and come back
 * with the cursor they have, at any node; some stop reading for a while; some come late. Whatever cuts it, it
 * comes back.
 */

import type { Book } from './book.ts';
import { type Door, type DoorName, openRaw, openSse, openV1, type Strand } from './doors.ts';
import type { Random } from './random.ts';
import { Story } from './story.ts';
import type { Tally } from './tally.ts';
import type { Violation } from './violation.ts';

export interface Habit {
  readonly name: string;
  /** Each second, one of so many leaves; null: it stays. */
  readonly leavesOneOf: number | null;
  /** At most so long. */
  readonly awayMs: number;
  /** Each second, one of so many stops reading; null: it always reads. */
  readonly stallsOneOf: number | null;
  /** When it comes for the first time, after the run has begun. */
  readonly comesAfterMs: number;
}

export interface SubscriberOptions {
  readonly name: string;
  readonly door: DoorName;
  readonly books: readonly Book[];
  readonly habit: Habit;
  readonly random: Random;
  readonly tally: Tally;
  /** The address of a broadcaster, any of them. */
  readonly broadcaster: (scheme: 'ws' | 'http') => string;
  /** Whether it may come back with a plain id: that says nothing of the history it was in. */
  readonly mayForgetEpoch: boolean;
  readonly onViolation: (violation: Violation) => void;
}

const TICK_MS = 50;
const RECONNECT_MS = 100;
const MOST_STALL_MS = 4000;
/** How long a raw one that was cut waits for others to tell its last entry's id, before it begins anew. */
const PATIENCE_MS = 3000;

export class Subscriber {
  readonly stories: readonly Story[];
  readonly #options: SubscriberOptions;
  readonly #strands: readonly Strand[];
  readonly #timer: NodeJS.Timeout;
  readonly #since = performance.now();
  #door: Door | null = null;
  #comesAt: number;
  #leftAt = 0;
  #readsAt: number | null = null;
  #isSettling = false;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    const { books, name, habit, random } = options;
    this.#strands = books.map((book, i) => ({
      story: new Story(name, book),
      // One is there from the very beginning on every channel; the others come as they like.
      after:
        habit.leavesOneOf === null || i > 0 ? 'earliest' : random.pick(['earliest', 'latest', 'last:100']),
      cursor: null,
    }));
    this.stories = this.#strands.map(({ story }) => story);
    this.#comesAt = this.#since + habit.comesAfterMs;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Stays from now on, and reads. */
  settle(): void {
    this.#isSettling = true;
    this.#comesAt = Math.min(this.#comesAt, performance.now());
    this.#readOn();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#door?.cut();
  }

  #tick(): void {
    const now = performance.now();
    const { habit, random, tally } = this.#options;
    if (this.#door === null) {
      if (now >= this.#comesAt) this.#come(now);
      return;
    }
    if (this.#readsAt !== null && now >= this.#readsAt) this.#readOn();
    if (this.#isSettling) return;
    const isTime = (oneOf: number | null): boolean => oneOf !== null && random.chance(TICK_MS / 1000 / oneOf);
    if (isTime(habit.leavesOneOf)) {
      tally.add('subscribers that left');
      this.#comesAt = now + random.next() * habit.awayMs;
      this.#door.cut();
    } else if (this.#readsAt === null && isTime(habit.stallsOneOf)) {
      tally.add('subscribers that stopped reading');
      this.#readsAt = now + random.next() * MOST_STALL_MS;
      this.#door.pause();
    }
  }

  #readOn(): void {
    if (this.#readsAt !== null) this.#door?.resume();
    this.#readsAt = null;
  }

  #come(now: number): void {
    for (const strand of this.#strands) if (!this.#prepare(strand, now)) return;
    const { door, broadcaster, tally, random } = this.#options;
    const [strand] = this.#strands as [Strand];
    const isBack = this.#strands.some(({ cursor }) => cursor !== null);
    const address = broadcaster(door === 'sse' ? 'http' : 'ws');
    for (const { story, cursor, after } of this.#strands) story.note(`${address} after ${cursor ?? after}`);
    const ends = {
      open: (): void => tally.add(isBack ? 'resumes' : 'subscriptions begun'),
      gone: (why: string): void => {
        tally.add(`subscribers disconnected: ${why}`);
        for (const { story } of this.#strands) story.note(`disconnected: ${why}`);
        this.#door = null;
        this.#readsAt = null;
        this.#leftAt = performance.now();
        this.#comesAt = Math.max(this.#comesAt, this.#leftAt + RECONNECT_MS * (1 + random.next()));
      },
      foreign: (story: Story, what: string): void => {
        const account = `${story.book.channel}: ${story.subscriber} was sent what nobody published: ${what.slice(0, 200)}`;
        this.#options.onViolation({ fault: 'foreign', account });
      },
      unreadable: (what: string): void => {
        const account = `${this.#options.name} at ${address} was told what it can not read: ${what.slice(0, 200)}`;
        this.#options.onViolation({ fault: 'misbehaved', account });
      },
    };
    if (door === 'raw') this.#door = openRaw(address, strand, ends);
    else if (door === 'sse') this.#door = openSse(address, strand, ends);
    else this.#door = openV1(address, this.#strands, ends);
  }

  /** Where it comes back; false: it does not know yet. */
  #prepare(strand: Strand, now: number): boolean {
    const { random, mayForgetEpoch } = this.#options;
    const { cursor } = strand.story;
    const hasBegun = strand.story.items.some(({ kind }) => kind === 'start');
    strand.cursor = null;
    if (!hasBegun) return true;
    if (cursor !== null) {
      strand.cursor = mayForgetEpoch && random.chance(0.3) ? (cursor.split('@')[0] ?? cursor) : cursor;
      return true;
    }
    if (now - this.#leftAt < PATIENCE_MS) return false;
    strand.after = `last:${random.between(50, 500)}`;
    return true;
  }
}
