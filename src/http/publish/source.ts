/**
 * One connection that posts: what it sent and what is not yet stored, over all of its requests, is bounded as
 * that of a publisher on a WebSocket is. Above the bound its socket is not read, and TCP makes the client
 * wait; requests that were read by then (a client may send several without waiting for answers) wait here.
 *
 *   turn ──the first who waits, when there is room──▶ its body is taken ──▶ the next one's turn
 *
 * So entries are stored in the order of the requests, also behind a batch that is not taken whole yet. Turns go on
 * when the connection is gone: what was received whole by then is stored.
 */
import type { Socket } from 'node:net';
import type { Manager } from '../../manager/manager.ts';
import type { Pausable } from '../../manager/pressure.ts';
import type { Bucket } from '../../manager/rate.ts';

export class Source implements Pausable {
  readonly isAnswered = true;
  /** How fast it may publish; null: as fast as it can. */
  readonly bucket: Bucket | null;
  readonly #manager: Manager;
  readonly #socket: Socket;
  readonly #waiting: (() => void)[] = [];
  /** Whether it is somebody's turn. */
  #isTaken = false;
  /** Whose turn it is, when there is no room. */
  #stuck: (() => void) | null = null;
  #unstoredBytes = 0;
  #paused = false;

  constructor(manager: Manager, socket: Socket, bucket: Bucket | null) {
    this.#manager = manager;
    this.#socket = socket;
    this.bucket = bucket;
    // A request whose body is not whole reads on, for the sake of its own buffer.
    socket.on('resume', () => {
      if (this.#paused) stopReading(socket);
    });
  }

  get unstoredBytes(): number {
    return this.#unstoredBytes;
  }

  /** Stops reading from it when nothing more may be taken for now, until there is room. True: so it is. */
  pauseIfFull(): boolean {
    if (!this.#paused && this.#manager.mustPause(this)) {
      this.#paused = true;
      this.#socket.pause();
    }
    return this.#paused;
  }

  /**
   * Takes in the body of a request when it is its turn, and never at once: one that came with its headers is here
   * only when they are through. `take` resolves when all of the body is taken, or none of the rest will be; then it
   * is the next one's turn, however it went.
   */
  async turn<T>(take: () => T | Promise<T>): Promise<T> {
    await this.#untilTurn();
    try {
      return await take();
    } finally {
      this.#isTaken = false;
      this.#next();
    }
  }

  /** Calls `go` when there is room again: for the one whose turn it is, and who found it full. */
  whenRoom(go: () => void): void {
    this.#stuck = go;
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
    const stuck = this.#stuck;
    this.#stuck = null;
    stuck?.();
    this.#next();
    this.#socket.resume();
  }

  async #untilTurn(): Promise<void> {
    if (this.#isTaken || this.#waiting.length > 0 || this.pauseIfFull()) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#isTaken = true;
  }

  #next(): void {
    if (this.#isTaken || this.#waiting.length === 0 || this.pauseIfFull()) return;
    this.#isTaken = true;
    this.#waiting.shift()?.();
  }
}

/** A socket that was told to go on, and then to pause before it did, says nothing more, but is read. */
function stopReading(socket: Socket): void {
  if (socket.isPaused()) socket.emit('pause');
  else socket.pause();
}
