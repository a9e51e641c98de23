/**
 * Writing to a socket that belongs to one subscriber or publisher: shared bytes go to it whole, and it is told
 * apart whether the kernel took them or some of them wait in this process. Functions over the connection and no
 * object of their own, which ten thousand idle connections would each have.
 */
import type { Socket } from 'node:net';
import type { WriteOutcome } from '../broadcaster/transport.ts';

const NOTHING = Buffer.alloc(0);

export interface Outflow {
  readonly socket: Socket;
  /** Whether neither side has begun to close. */
  readonly isOpen: boolean;
  /** Whether the end of what is pending is being waited for; theirs to keep, ours to set. */
  isDraining: boolean;
  /** Pending bytes are gone. */
  flushed(): void;
}

export function writeShared(outflow: Outflow, bytes: Buffer): WriteOutcome {
  const { socket } = outflow;
  if (!outflow.isOpen || socket.destroyed) return 'closed';
  socket.write(bytes);
  // Not what `write` returned: that is false for any large write, even one the kernel took whole.
  if (socket.writableLength === 0) return 'taken';
  watchDrain(outflow);
  return 'pending';
}

/**
 * `drain` is not emitted for a write below the high-water mark, although the kernel may have refused it; an
 * empty write behind the pending one is told of in every case.
 */
export function watchDrain(outflow: Outflow): void {
  if (outflow.isDraining) return;
  outflow.isDraining = true;
  const { socket } = outflow;
  socket.write(NOTHING, (error) => {
    outflow.isDraining = false;
    // The connection is gone; its close is told elsewhere.
    if (error) return;
    if (socket.writableLength > 0 && socket.writable) watchDrain(outflow);
    else outflow.flushed();
  });
}
