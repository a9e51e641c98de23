/**
 * One timer for all connections. Each connection lies in one of the wheel's slots; a tick visits one slot, so
 * every connection is visited once a round and the work is spread evenly. Ten thousand timers of their own
 * would cost about as much as all the messages of a quiet server.
 */

/** A connection is visited at least this often per heartbeat, so that a ping is late by a quarter at most. */
export const VISITS_PER_HEARTBEAT = 4;

export interface Visited {
  /** The slot it lies in; the wheel's own, -1 outside the wheel. */
  wheelSlot: number;
  visit(): void;
}

export class TimerWheel {
  readonly #slots: Set<Visited>[];
  #current = 0;
  #next = 0;

  constructor(slots: number) {
    this.#slots = Array.from({ length: Math.max(1, slots) }, () => new Set<Visited>());
  }

  add(visited: Visited): void {
    visited.wheelSlot = this.#next;
    this.#slots[this.#next]?.add(visited);
    this.#next = (this.#next + 1) % this.#slots.length;
  }

  remove(visited: Visited): void {
    this.#slots[visited.wheelSlot]?.delete(visited);
    visited.wheelSlot = -1;
  }

  tick(): void {
    this.#current = (this.#current + 1) % this.#slots.length;
    for (const visited of this.#slots[this.#current] as Set<Visited>) visited.visit();
  }
}
