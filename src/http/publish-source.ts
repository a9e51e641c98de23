/**
 * One connection that posts: what it sent and what is not yet stored, over all of its requests, is bounded as
 * that of a publisher on a WebSocket is. Above the bound its socket is not read, and TCP makes the client
 * wait; requests that were read by then (a client may send several without waiting for answers) wait here.
 */
import type { Socket } from 'node:net';
import type { Manager } from '../manager/manager.ts';
import type { Pausable } from '../manager/pressure.ts';

export class Source implements Pausable {
  readonly isAnswered = true;
  readonly #manager: Manager;
  readonly #socket: Socket;
  #waiting: (() => void)[] = [];
  #unstoredBytes = 0;
  #paused = false;

  constructor(manager: Manager, socket: Socket) {
    this.#manager = manager;
    this.#socket = socket;
    // A request whose body is not whole reads on, for the sake of its own buffer.
    socket.on('resume', () => {
      if (this.#paused) stopReading(socket);
    });
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  /** Whether nothing more may be taken from it for now. From then on it is not read, until there is room. */
  get isFull(): boolean {
    if (!this.#paused && this.#manager.mustPause(this)) {
      this.#paused = true;
      this.#socket.pause();
    }
    return this.#paused;
  }

  /** Calls `go` when there is room, for the first who waits first. */
  wait(go: () => void): void {
    this.#waiting.push(go);
  }

  /** Bytes received, which count until they are settled. */
  add(bytes: number): void {
    this.#unstoredBytes += bytes;
  }

  settle(bytes: number): void {
    this.#unstoredBytes -= bytes;
    if (this.#paused) this.#manager.settled(this);
  }

  resume(): void {
    this.#paused = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
    this.#socket.resume();
  }
}

/** A socket that was told to go on, and then to pause before it did, says nothing more, but is read. */
function stopReading(socket: Socket): void {
  if (socket.isPaused()) socket.emit('pause');
  else socket.pause();
}
