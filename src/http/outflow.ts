/**
 * Writing to a socket that belongs to one subscriber or publisher: shared bytes go to it whole, and it is told
 * apart whether the kernel took them or some of them wait in this process.
 */
import type { Socket } from 'node:net';
import type { WriteOutcome } from '../broadcaster/transport.ts';

const NOTHING = Buffer.alloc(0);

export abstract class Outflow {
  protected readonly socket: Socket;
  #draining = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  write(bytes: Buffer): WriteOutcome {
    const { socket } = this;
    if (!this.isOpen || socket.destroyed) return 'closed';
    socket.write(bytes);
    // Not what `write` returned: that is false for any large write, even one the kernel took whole.
    if (socket.writableLength === 0) return 'taken';
    this.watchDrain();
    return 'pending';
  }

  /** Whether neither side has begun to close. */
  protected abstract get isOpen(): boolean;

  /** Pending bytes are gone. */
  protected abstract flushed(): void;

  /**
   * `drain` is not emitted for a write below the high-water mark, although the kernel may have refused it; an
   * empty write behind the pending one is told of in every case.
   */
  protected watchDrain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.socket.write(NOTHING, (error) => {
      this.#draining = false;
      // The connection is gone; its close is told elsewhere.
      if (error) return;
      if (this.socket.writableLength > 0) this.watchDrain();
      else this.flushed();
    });
  }
}
