/**
 * Whether what the log holds arrives here: the tip that a channel has when it is asked for must soon be reached by its
 * tail. A tail that stands still meanwhile is stuck. One that moves and does not get there has some seconds more, for
 * a burst is no fault. An idle channel has nothing to reach.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Log } from '../log/log.ts';
import { compareIds, type EntryId } from '../protocol/id.ts';
import type { Tail } from './tail.ts';

const STUCK_MS = 1000;
const BEHIND_MS = 10_000;
const LOOK_MS = 10;

type Followed = Pick<Tail, 'channel' | 'ring' | 'isGone'>;

interface Owed {
  readonly tip: EntryId;
  readonly sinceMs: number;
}

export class Progress {
  readonly #log: Log;
  readonly #clock: Clock;
  /** What tails that move, but slowly, still have to reach. */
  readonly #owed = new WeakMap<Followed, Owed>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Null when all keep up; else what is wrong with one. Takes somewhat more than STUCK_MS at most, if the log answers. */
  async check(tails: Iterable<Followed>): Promise<string | null> {
    const found = await Promise.all([...tails].map((tail) => this.#checkOne(tail)));
    return found.find((reason) => reason !== null) ?? null;
  }

  async #checkOne(tail: Followed): Promise<string | null> {
    const tip = await this.#tipOf(tail);
    if (tip === null) return null;
    const startMs = this.#clock.monotonic();
    const start = tail.ring.end.id;
    while (!hasReached(tail, tip)) {
      if (this.#clock.monotonic() - startMs >= STUCK_MS) {
        return start === tail.ring.end.id ? this.#stuck(tail) : this.#behind(tail, { tip, sinceMs: startMs });
      }
      await delay(LOOK_MS);
    }
    this.#owed.delete(tail);
    return null;
  }

  /** Null: one channel that can not be looked at says nothing of the reader. */
  async #tipOf({ channel }: Followed): Promise<EntryId | null> {
    try {
      return (await this.#log.bounds(channel)).tip;
    } catch {
      return null;
    }
  }

  /** Unless the channel is the fault, which the log itself tells of: its neighbours are read all the same. */
  async #stuck({ channel, ring }: Followed): Promise<string | null> {
    try {
      await this.#log.read(channel, ring.end, { maxEntries: 1, maxBytes: 1 });
    } catch {
      return null;
    }
    return `what is new in ${channel} is not read`;
  }

  #behind(tail: Followed, now: Owed): string | null {
    const owed = this.#owed.get(tail);
    if (owed === undefined || hasReached(tail, owed.tip)) {
      this.#owed.set(tail, now);
      return null;
    }
    const behindMs = this.#clock.monotonic() - owed.sinceMs;
    return behindMs < BEHIND_MS
      ? null
      : `what is new in ${tail.channel} is read ${Math.round(behindMs)} ms late`;
  }
}

function hasReached(tail: Followed, tip: EntryId): boolean {
  return tail.isGone || compareIds(tail.ring.end.id, tip) >= 0;
}
