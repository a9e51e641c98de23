/**
 * How much may be received and not yet stored, by one publisher and by all of them. A publisher above either
 * bound is not read; it is read on once half of the bound is free again, so that it does not stop and start with
 * every batch, or after a while below it, since others may use up to the bound all the time.
 *
 * While a channel's log stands still, publishers that are answered are not kept waiting by the bound of all: they
 * are read, and refused (batcher.ts), since a refusal in time is what they were promised.
 */
import type { NewEntry } from '../log/log.ts';

/** What an entry costs beside its payload, so that empty messages are bounded too. */
const ENTRY_OVERHEAD_BYTES = 128;

/** What an entry counts for in every bound. */
export function costOf({ data, key }: NewEntry): number {
  return data.length + ENTRY_OVERHEAD_BYTES + (key === undefined ? 0 : key.length);
}

/** A source of entries that can be made to wait. */
export interface Pausable {
  /** As of its Submitter. */
  readonly isAnswered: boolean;
  /** The cost of what was received from it and not yet settled. */
  readonly unstoredBytes: number;
  /** Reads on. */
  resume(): void;
}

export interface PressureBounds {
  readonly publisherBufferBytes: number;
  readonly bufferBytes: number;
}

export class Pressure {
  readonly #bounds: PressureBounds;
  readonly #paused = new Set<Pausable>();
  #unstoredBytes = 0;
  #stalls = 0;

  constructor(bounds: PressureBounds) {
    this.#bounds = bounds;
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  /** Whether an entry that is answered has to be refused: there is no room for it, and nothing makes room. */
  get isHopeless(): boolean {
    return this.#stalls > 0 && this.#unstoredBytes > this.#bounds.bufferBytes;
  }

  mustPause(publisher: Pausable): boolean {
    const { publisherBufferBytes } = this.#bounds;
    if (publisher.unstoredBytes <= publisherBufferBytes && !this.#isFullFor(publisher)) return false;
    this.#paused.add(publisher);
    return true;
  }

  forget(publisher: Pausable): void {
    this.#paused.delete(publisher);
  }

  add(bytes: number): void {
    this.#unstoredBytes += bytes;
  }

  release(bytes: number): void {
    const half = this.#bounds.bufferBytes / 2;
    const wasFull = this.#unstoredBytes > half;
    this.#unstoredBytes -= bytes;
    if (!wasFull || this.#unstoredBytes > half) return;
    for (const paused of [...this.#paused]) this.#resume(paused);
  }

  /** Regular work: nobody waits long while there is room. */
  tick(): void {
    for (const paused of [...this.#paused]) if (!this.#isFullFor(paused)) this.#resume(paused);
  }

  /** The publisher's own bytes have fallen. */
  settled(publisher: Pausable): void {
    if (this.#paused.has(publisher) && !this.#isFullFor(publisher)) this.#resume(publisher);
  }

  /** A channel's log stands still: who is answered is read again, to be refused. */
  stallBegan(): void {
    this.#stalls += 1;
    for (const paused of [...this.#paused]) if (paused.isAnswered) this.#resume(paused);
  }

  stallEnded(): void {
    this.#stalls -= 1;
  }

  #isFullFor({ isAnswered }: Pausable): boolean {
    return this.#unstoredBytes > this.#bounds.bufferBytes && !(isAnswered && this.#stalls > 0);
  }

  #resume(publisher: Pausable): void {
    if (publisher.unstoredBytes > this.#bounds.publisherBufferBytes / 2) return;
    this.#paused.delete(publisher);
    publisher.resume();
  }
}
