/**
 * One raw publisher connection: each message is one entry; nothing is answered. What is received and not yet
 * stored is bounded: above the bound the connection is not read, and TCP makes the publisher wait.
 */
import { ERRORS } from '../errors.ts';
import type { AppendResult, EntryType, NewEntry } from '../log/log.ts';
import type { Submitter } from './batcher.ts';
import { isLate, type Manager } from './manager.ts';
import { costOf, type Pausable, type Share } from './pressure.ts';
import type { Rate } from './rate.ts';

/** Timers have no room for more than 24 days. */
const MAX_WAIT_MS = 24 * 3600_000;

export interface PublisherConnection {
  /** Stops and restarts reading from the socket. */
  pause(): void;
  resume(): void;
  /** Ends the connection; may be called again. */
  close(code: number, reason: string): void;
}

export class Publisher implements Submitter, Pausable {
  readonly origin = 'raw';
  readonly isAnswered = false;
  share: Share | null;
  readonly #manager: Manager;
  readonly channel: string;
  readonly #connection: PublisherConnection;
  readonly #rate: Rate | null;
  #unstoredBytes = 0;
  #paused = false;
  /** Set while it has to wait for its rate. */
  #debt: NodeJS.Timeout | null = null;
  #isLeaving = false;

  /** `rate`: null where it may publish as fast as it can. */
  constructor(manager: Manager, channel: string, connection: PublisherConnection, rate: Rate | null = null) {
    this.#manager = manager;
    this.channel = channel;
    this.#connection = connection;
    this.#rate = rate;
    this.share = manager.shareOf(channel);
    // Or each that comes when there is no room, or when its subject may not publish, would bring what one read holds.
    this.#pauseIfFull();
    if (rate !== null) this.#waitFor(rate.waitMs());
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Whether it is not read because it was faster than it may be. */
  get isInDebt(): boolean {
    return this.#debt !== null;
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  publish(type: EntryType, data: Buffer): void {
    const entry = { type, data };
    this.#unstoredBytes += costOf(entry);
    this.share = this.#manager.submit(this.channel, entry, this);
    if (this.#rate !== null) this.#waitFor(this.#rate.owe());
    this.#pauseIfFull();
  }

  stored(entry: NewEntry, _result: AppendResult): void {
    this.#settle(entry);
  }

  /** A raw publisher is told of nothing stored, so the end of its connection has to tell of what is not. */
  failed(entry: NewEntry, error: unknown): void {
    this.#settle(entry);
    if (isLate(error)) return;
    this.#manager.lost(this.channel, error);
    this.#connection.close(ERRORS.log_unavailable.close, 'the log can not store any more');
  }

  /** Reads on, if it was paused. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#debt === null) this.#connection.resume();
  }

  /** It has gone, or is told to: what it has sent is read and stored, although it came faster than it may. */
  leave(): void {
    this.#isLeaving = true;
    if (this.#debt === null) return;
    clearTimeout(this.#debt);
    this.#readOn();
  }

  /** The connection is gone. */
  detach(): void {
    this.#manager.forget(this);
    if (this.#debt !== null) clearTimeout(this.#debt);
  }

  /** What one read held is taken, and paid for by waiting. */
  #waitFor(ms: number): void {
    if (ms === 0 || this.#isLeaving) return;
    if (this.#debt === null) this.#connection.pause();
    else clearTimeout(this.#debt);
    this.#debt = setTimeout(() => this.#readOn(), Math.min(ms, MAX_WAIT_MS));
  }

  /** Its debt is paid. */
  #readOn(): void {
    this.#debt = null;
    if (!this.#paused) this.#connection.resume();
  }

  #pauseIfFull(): void {
    if (this.#paused || !this.#manager.mustPause(this)) return;
    this.#paused = true;
    this.#connection.pause();
  }

  #settle(entry: NewEntry): void {
    this.#unstoredBytes -= costOf(entry);
    if (this.#paused) this.#manager.settled(this);
  }
}
