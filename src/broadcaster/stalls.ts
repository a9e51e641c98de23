/**
 * The subscribers whose sockets took less than was written, longest stalled first, and the memory that their
 * pending bytes keep alive. Sockets that wait with the same bytes keep them alive once: it is the memory that
 * counts, or a thousand readers a moment behind would look like a thousand dead ones.
 *
 * The memory is bounded twice. The next write to anybody gets smaller as it adds up, so that ten thousand
 * dead sockets end up with a few KB each instead of a quarter MB; and above the bound the longest stalled
 * socket is destroyed.
 */
import type { Subscription } from './subscription.ts';

/** A run that is smaller costs more in system calls than it saves in memory. */
const MIN_WRITE_BYTES = 4096;

/** What can stall: a subscriber, whose connection is given up when too much is pending. */
export interface Stallable {
  destroy(): void;
}

/** What had come through a channel when its subscriber stalled. */
export interface Mark {
  readonly subscription: Subscription;
  readonly entries: number;
  readonly bytes: number;
}

/** Told apart by identity. */
export type Memory = { readonly byteLength: number };

export interface Stall {
  /** What the pending write keeps alive: the memory it is a view of, or, once encrypted, one of its own. */
  readonly memory: Memory;
  readonly sinceMs: number;
  /** Of its subscriptions; those that begin during the stall are added. */
  readonly marks: Mark[];
}

export class Stalls<Member extends Stallable> {
  readonly #maxBytes: number;
  readonly #writeBytes: number;
  /** In the order of stalling. */
  readonly #stalls = new Map<Member, Stall>();
  /** How many sockets wait with each piece of memory. */
  readonly #pinned = new Map<Memory, number>();
  #bytes = 0;
  /** How many were destroyed to make room. */
  cut = 0;

  constructor(options: { maxBytes: number; writeBytes: number }) {
    this.#maxBytes = options.maxBytes;
    this.#writeBytes = options.writeBytes;
  }

  get count(): number {
    return this.#stalls.size;
  }

  /** The memory kept alive. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How large the next write may be: a power of two, so that subscribers go on sharing their runs. */
  get writeBytes(): number {
    if (this.#bytes === 0) return this.#writeBytes;
    const share = this.#writeBytes * (1 - this.#bytes / this.#maxBytes);
    return Math.max(MIN_WRITE_BYTES, 2 ** Math.round(Math.log2(Math.max(1, share))));
  }

  get(subscriber: Member): Stall | undefined {
    return this.#stalls.get(subscriber);
  }

  add(subscriber: Member, stall: Stall): void {
    this.#stalls.set(subscriber, stall);
    const waiting = this.#pinned.get(stall.memory) ?? 0;
    this.#pinned.set(stall.memory, waiting + 1);
    if (waiting === 0) this.#bytes += stall.memory.byteLength;
    for (const longest of this.#stalls.keys()) {
      if (this.#bytes <= this.#maxBytes || longest === subscriber) break;
      this.cut += 1;
      longest.destroy();
    }
  }

  remove(subscriber: Member): void {
    const stall = this.#stalls.get(subscriber);
    if (stall === undefined) return;
    this.#stalls.delete(subscriber);
    const waiting = this.#pinned.get(stall.memory) as number;
    if (waiting > 1) {
      this.#pinned.set(stall.memory, waiting - 1);
      return;
    }
    this.#pinned.delete(stall.memory);
    this.#bytes -= stall.memory.byteLength;
  }

  [Symbol.iterator](): IterableIterator<Member> {
    return this.#stalls.keys();
  }
}
