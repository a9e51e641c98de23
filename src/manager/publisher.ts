/**
 * One raw publisher connection: each message is one entry; nothing is answered. What is received and not yet
 * stored is bounded: above the bound the connection is not read, and TCP makes the publisher wait.
 */
import { ERRORS } from '../errors.ts';
import type { AppendResult, EntryType, NewEntry } from '../log/log.ts';
import type { Submitter } from './batcher.ts';
import { isLate, type Manager } from './manager.ts';
import { costOf, type Pausable, type Share } from './pressure.ts';

export interface PublisherConnection {
  /** Stops and restarts reading from the socket. */
  pause(): void;
  resume(): void;
  /** Ends the connection; may be called again. */
  close(code: number, reason: string): void;
}

export class Publisher implements Submitter, Pausable {
  readonly isAnswered = false;
  share: Share | null;
  readonly #manager: Manager;
  readonly #channel: string;
  readonly #connection: PublisherConnection;
  #unstoredBytes = 0;
  #paused = false;

  constructor(manager: Manager, channel: string, connection: PublisherConnection) {
    this.#manager = manager;
    this.#channel = channel;
    this.#connection = connection;
    this.share = manager.shareOf(channel);
    // Or each that comes when there is no room would bring what one read holds.
    this.#pauseIfFull();
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  publish(type: EntryType, data: Buffer): void {
    const entry = { type, data };
    this.#unstoredBytes += costOf(entry);
    this.share = this.#manager.submit(this.#channel, entry, this);
    this.#pauseIfFull();
  }

  stored(entry: NewEntry, _result: AppendResult): void {
    this.#settle(entry);
  }

  /** A raw publisher is told of nothing stored, so the end of its connection has to tell of what is not. */
  failed(entry: NewEntry, error: unknown): void {
    this.#settle(entry);
    if (isLate(error)) return;
    this.#manager.lost(this.#channel, error);
    this.#connection.close(ERRORS.log_unavailable.close, 'the log can not store any more');
  }

  /** Reads on, if it was paused. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#connection.resume();
  }

  /** The connection is gone. */
  detach(): void {
    this.#manager.forget(this);
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
