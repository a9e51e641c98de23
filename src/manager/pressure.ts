/**
 * How much may be received and not yet stored: by one publisher, for one channel, and in all. A publisher above a bound
 * is not read; it is read on once half of the bound is free again, so that it does not stop and start with every
 * batch, or after a while below it, since others may use up to the bound all the time.
 *
 * A channel whose log stands still must not take the others' room: what such channels hold counts in a room of its
 * own, of the same size. Only when that is full as well, as when nothing can be stored at all, is there no room for
 * anybody, and nothing that makes room: publishers that are answered are then read, and refused (batcher.ts), since a
 * refusal in time is what they were promised.
 */
import type { NewEntry } from '../log/log.ts';

/** What an entry costs beside its payload, so that empty messages are bounded too. */
const ENTRY_OVERHEAD_BYTES = 128;

/** What an entry counts for in every bound. */
export function costOf({ data, key }: NewEntry): number {
  return data.length + ENTRY_OVERHEAD_BYTES + (key === undefined ? 0 : key.length);
}

/** What one channel holds. */
export interface Share {
  bytes: number;
  isStalled: boolean;
}

/** A source of entries that can be made to wait. */
export interface Pausable {
  /** As of its Submitter. */
  readonly isAnswered: boolean;
  /** The cost of what was received from it and not yet settled. */
  readonly unstoredBytes: number;
  /** That of the one channel which all it brings goes to; absent where that differs, null where nothing is held. */
  readonly share?: Share | null;
  /** Reads on. */
  resume(): void;
}

export interface PressureBounds {
  readonly publisherBufferBytes: number;
  readonly bufferBytes: number;
}

/** Of the bound of all, for one channel: so that a channel is full before it stands still, not all of them. */
const SHARE = 1 / 4;

export class Pressure {
  readonly #bounds: PressureBounds;
  readonly #paused = new Set<Pausable>();
  #unstoredBytes = 0;
  /** Of that, what channels hold that stand still. */
  #stalledBytes = 0;

  constructor(bounds: PressureBounds) {
    this.#bounds = bounds;
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  /** Publishers that are not read for now. */
  get paused(): number {
    return this.#paused.size;
  }

  /** Whether an entry that is answered has to be refused: there is no room for it, and nothing makes room. */
  get isHopeless(): boolean {
    return this.#isFull && this.#isOverflowing;
  }

  mustPause(publisher: Pausable): boolean {
    const { publisherBufferBytes } = this.#bounds;
    if (publisher.unstoredBytes <= publisherBufferBytes && !this.#isClosedTo(publisher)) return false;
    this.#paused.add(publisher);
    return true;
  }

  forget(publisher: Pausable): void {
    this.#paused.delete(publisher);
  }

  add(share: Share, bytes: number): void {
    share.bytes += bytes;
    this.#unstoredBytes += bytes;
    if (share.isStalled) this.#stalledBytes += bytes;
  }

  release(share: Share, bytes: number): void {
    const before = { all: this.#countedBytes, own: share.bytes };
    share.bytes -= bytes;
    this.#unstoredBytes -= bytes;
    if (share.isStalled) this.#stalledBytes -= bytes;
    const { bufferBytes } = this.#bounds;
    const isFreed =
      falls(before.all, this.#countedBytes, bufferBytes / 2) ||
      falls(before.own, share.bytes, (bufferBytes * SHARE) / 2);
    if (isFreed) this.#resumeAll();
  }

  /** Regular work: nobody waits long while there is room. */
  tick(): void {
    this.#resumeAll();
  }

  /** The publisher's own bytes have fallen. */
  settled(publisher: Pausable): void {
    if (this.#paused.has(publisher)) this.#resume(publisher);
  }

  /** The channel's log stands still: the others have their room again. */
  stallBegan(share: Share): void {
    share.isStalled = true;
    this.#stalledBytes += share.bytes;
    this.#resumeAll();
  }

  stallEnded(share: Share): void {
    share.isStalled = false;
    this.#stalledBytes -= share.bytes;
    this.#resumeAll();
  }

  /** What counts for the bound of all: not what stands still, up to the same bound. */
  get #countedBytes(): number {
    return this.#unstoredBytes - Math.min(this.#stalledBytes, this.#bounds.bufferBytes);
  }

  get #isFull(): boolean {
    return this.#countedBytes > this.#bounds.bufferBytes;
  }

  /** Whether what stands still has no room any more. */
  get #isOverflowing(): boolean {
    return this.#stalledBytes > this.#bounds.bufferBytes;
  }

  #isClosedTo({ isAnswered, share }: Pausable): boolean {
    if (isAnswered) return this.#isFull && !this.#isOverflowing;
    if (this.#isFull) return true;
    if (share === undefined || share === null) return false;
    return share.bytes > this.#bounds.bufferBytes * SHARE || (share.isStalled && this.#isOverflowing);
  }

  #resumeAll(): void {
    for (const paused of [...this.#paused]) this.#resume(paused);
  }

  #resume(publisher: Pausable): void {
    if (this.#isClosedTo(publisher)) return;
    if (publisher.unstoredBytes > this.#bounds.publisherBufferBytes / 2) return;
    this.#paused.delete(publisher);
    publisher.resume();
  }
}

function falls(from: number, to: number, below: number): boolean {
  return from > below && to <= below;
}
