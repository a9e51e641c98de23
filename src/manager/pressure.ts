/**
 * How much may be received and not yet stored, by one publisher and by all of them. A publisher above either
 * bound is not read; it is read on once half of the bound is free again, so that it does not stop and start with
 * every batch, or after a while below it, since others may use up to the bound all the time.
 *
 * A channel whose log stands still must not take the others' room: what such channels hold is set aside, in a room
 * of the same size, and their raw publishers are not read when that is full. Those that are answered are not kept
 * waiting meanwhile: they are read, and refused (batcher.ts), since a refusal in time is what they were promised.
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
  /** The one that all it brings goes to; absent where that differs. */
  readonly channel?: string;
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
  /** Of channels that stand still, what of theirs is set aside. */
  readonly #stalled = new Map<string, number>();
  #unstoredBytes = 0;
  #asideBytes = 0;

  constructor(bounds: PressureBounds) {
    this.#bounds = bounds;
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  /** Whether an entry that is answered has to be refused: there is no room for it, and nothing makes room. */
  get isHopeless(): boolean {
    return this.#stalled.size > 0 && this.#isFull;
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

  add(channel: string, bytes: number): void {
    this.#unstoredBytes += bytes;
    if (this.#stalled.has(channel)) this.#setAside(channel, bytes);
  }

  release(bytes: number): void {
    const half = this.#bounds.bufferBytes / 2;
    const wasFull = this.#workingBytes > half;
    this.#unstoredBytes -= bytes;
    if (wasFull && this.#workingBytes <= half) this.#resumeAll();
  }

  /** Regular work: nobody waits long while there is room. */
  tick(): void {
    this.#resumeAll();
  }

  /** The publisher's own bytes have fallen. */
  settled(publisher: Pausable): void {
    if (this.#paused.has(publisher)) this.#resume(publisher);
  }

  /** A channel's log stands still, with `bytes` not stored: others have their room again, and who is answered is read. */
  stallBegan(channel: string, bytes: number): void {
    this.#stalled.set(channel, 0);
    this.#setAside(channel, bytes);
    this.#resumeAll();
  }

  stallEnded(channel: string): void {
    this.#asideBytes -= this.#stalled.get(channel) ?? 0;
    this.#stalled.delete(channel);
    this.#resumeAll();
  }

  /** What counts for the bound of all. */
  get #workingBytes(): number {
    return this.#unstoredBytes - this.#asideBytes;
  }

  get #isFull(): boolean {
    return this.#workingBytes > this.#bounds.bufferBytes;
  }

  #isClosedTo({ isAnswered, channel }: Pausable): boolean {
    if (isAnswered) return this.#isFull && this.#stalled.size === 0;
    const isStalled = channel !== undefined && this.#stalled.has(channel);
    return isStalled ? this.#asideBytes >= this.#bounds.bufferBytes : this.#isFull;
  }

  /** While there is room, all of it: what one read brings may lie beyond, as with the bound of all. */
  #setAside(channel: string, bytes: number): void {
    if (this.#asideBytes >= this.#bounds.bufferBytes) return;
    this.#asideBytes += bytes;
    this.#stalled.set(channel, (this.#stalled.get(channel) ?? 0) + bytes);
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
