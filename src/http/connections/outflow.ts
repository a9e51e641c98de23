/**
 * Writing to a socket that belongs to one subscriber or publisher: shared bytes go to it whole, and it is told
 * apart whether the kernel took them or some of them wait in this process. Functions over the connection and no
 * object of their own, which ten thousand idle connections would each have.
 *
 * A socket that encrypts never says so at once, although the kernel takes its bytes as readily: Node tells of it
 * behind the turn. So those written to in one turn are looked at together when it is over.
 */
import type { Socket } from 'node:net';
import type { WriteOutcome } from '../../broadcaster/transport.ts';

const NOTHING = Buffer.alloc(0);
/** What those judged go on to write holds up everybody else: as long as a slice of a pass, and then others have a turn. */
const JUDGING_MS = 6;

export interface Outflow {
  readonly socket: Socket;
  /** Whether neither side has begun to close. */
  readonly isOpen: boolean;
  /**
   * Theirs to keep, ours to set: nothing is known to wait; it is seen at the end of the turn whether something does;
   * the end of what is pending is waited for.
   */
  flow: 'clear' | 'underway' | 'draining';
  /** Pending bytes are gone. */
  flushed(): void;
  /** So many bytes that were underway are pending. */
  stuck(bytes: number): void;
}

export function writeShared(outflow: Outflow, bytes: Buffer): WriteOutcome {
  const { socket } = outflow;
  if (!outflow.isOpen || socket.destroyed) return 'closed';
  socket.write(bytes);
  // Not what `write` returned: that is false for any large write, even one the kernel took whole.
  if (socket.writableLength === 0) return 'taken';
  watch(outflow);
  return outflow.flow === 'underway' ? 'underway' : 'pending';
}

/** Something was written that the kernel has not taken, as far as is known. */
export function watch(outflow: Outflow): void {
  if (outflow.flow !== 'clear') return;
  if (isEncrypted(outflow.socket)) judgeLater(outflow);
  else watchDrain(outflow);
}

export function isEncrypted(socket: object): boolean {
  return 'encrypted' in socket && socket.encrypted === true;
}

/**
 * `drain` is not emitted for a write below the high-water mark, although the kernel may have refused it; an
 * empty write behind the pending one is told of in every case.
 */
function watchDrain(outflow: Outflow): void {
  outflow.flow = 'draining';
  const { socket } = outflow;
  socket.write(NOTHING, (error) => {
    outflow.flow = 'clear';
    // The connection is gone; its close is told elsewhere.
    if (error) return;
    if (socket.writableLength > 0 && socket.writable) watchDrain(outflow);
    else outflow.flushed();
  });
}

/** In the order of writing. */
let underway: Outflow[] = [];

function judgeLater(outflow: Outflow): void {
  outflow.flow = 'underway';
  if (underway.length === 0) setImmediate(judge);
  underway.push(outflow);
}

/** Node has told the sockets what the kernel took before it gets here. */
function judge(): void {
  const judged = underway;
  underway = [];
  const deadline = performance.now() + JUDGING_MS;
  let at = 0;
  while (at < judged.length) {
    judgeOne(judged[at++] as Outflow);
    if (performance.now() >= deadline) break;
  }
  if (at === judged.length) return;
  if (underway.length === 0) setImmediate(judge);
  underway = [...judged.slice(at), ...underway];
}

function judgeOne(outflow: Outflow): void {
  const { socket } = outflow;
  outflow.flow = 'clear';
  if (socket.destroyed) return;
  const bytes = socket.writableLength;
  if (bytes === 0) {
    outflow.flushed();
    return;
  }
  watchDrain(outflow);
  outflow.stuck(bytes);
}
