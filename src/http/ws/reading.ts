/**
 * What a socket gives to its lane, as far as turns allow (read-turns.ts): what one has no time for is kept, and the
 * socket not read, until it is its turn again.
 *
 *   open ──time is over──▶ held ──its turn, and nothing left──▶ open
 *
 * At most one read of the socket is kept, and one more for each time that somebody else resumed it meanwhile.
 */
import type { Socket } from 'node:net';
import type { FastLane } from './fast-lane.ts';
import type { Reader, ReadTurns } from './read-turns.ts';

/**
 * Of a socket that gave so much at once, more is to be read in the same turn; one that gave less holds nobody up. It is
 * what TLS gives at once.
 */
const MORE_BYTES = 16 * 1024;

export class Reading implements Reader {
  readonly #socket: Socket;
  readonly #lane: FastLane;
  readonly #turns: ReadTurns;
  readonly #isPaused: () => boolean;
  /** Came, and was not looked at. */
  #held: Buffer[] = [];
  #isQueued = false;
  #isOver: () => boolean;

  /** `isPaused`: whether its user wants nothing for now. */
  constructor(socket: Socket, lane: FastLane, turns: ReadTurns, isPaused: () => boolean) {
    this.#socket = socket;
    this.#lane = lane;
    this.#turns = turns;
    this.#isOver = turns.isOver;
    this.#isPaused = isPaused;
  }

  /** Bytes came. */
  take(chunk: Buffer): void {
    this.#turns.begin();
    if (this.#held.length > 0) {
      this.#held.push(chunk);
      this.#socket.pause();
      return;
    }
    const left = this.#lane.feed(chunk, this.#isOver);
    if (left !== null || (chunk.length >= MORE_BYTES && this.#isOver())) this.#hold(left);
  }

  readOn(): void {
    this.#isQueued = false;
    // Its user resumes it, and it queues again, if there is something.
    while (!this.#isPaused()) {
      this.#lane.resume();
      const chunk = this.#held.shift();
      if (chunk === undefined) {
        this.#socket.resume();
        return;
      }
      const left = this.#lane.feed(chunk, this.#isOver);
      if (left === null) continue;
      this.#hold(left);
      return;
    }
  }

  /** Its user has paused the socket. */
  paused(): void {
    this.#lane.pause();
  }

  /** Its user has resumed the socket. */
  resumed(): void {
    if (this.#held.length === 0) {
      this.#lane.resume();
      return;
    }
    this.#socket.pause();
    this.#queue();
  }

  /** Its peer has gone, and the next error of the socket ends it: no turn ends before all is read that has come. */
  hurry(): void {
    this.#isOver = () => false;
    this.#lookAtHeld();
  }

  /** No more comes: what has come is looked at, whatever time it takes. */
  end(): void {
    this.#lookAtHeld();
    const last = this.#socket.read() as Buffer | null;
    if (last !== null) this.#lane.feed(last);
    this.#lane.close();
  }

  #lookAtHeld(): void {
    this.#lane.resume();
    for (const chunk of this.#held) this.#lane.feed(chunk);
    this.#held = [];
  }

  #hold(left: Buffer | null): void {
    if (left !== null) this.#held.unshift(left);
    this.#socket.pause();
    this.#lane.pause();
    this.#queue();
  }

  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#turns.begin();
    this.#turns.hold(this);
  }
}
