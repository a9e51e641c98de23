/** Plays one input over a TCP connection of its own, and keeps all that is answered. */
import { connect, type Socket } from 'node:net';
import type { Input } from './input.ts';

/** So long a first answer is waited for, and the next after something came. */
const FIRST_MS = 1000;
const QUIET_MS = 40;
/** Whatever comes, it is over then. */
const LONGEST_MS = 3000;
const MAX_ANSWER_BYTES = 512 * 1024;
/** Addresses of this machine, so that there are ports enough for hundreds of thousands of connections. */
const ADDRESSES = 100;

export interface Played {
  readonly answer: Buffer;
  /** Whether the server ended the connection in order, so that what it said is whole. */
  readonly isEnded: boolean;
  /** Nobody was there to connect to. */
  readonly isRefused: boolean;
}

export function play(input: Input, port: number, number: number): Promise<Played> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let isEnded = false;
    let isRefused = false;
    const socket = connect({
      host: '127.0.0.1',
      port,
      localAddress: `127.0.0.${2 + (number % ADDRESSES)}`,
      noDelay: true,
      allowHalfOpen: true,
    });
    // A side that has been ended can not be reset any more.
    const leave = (): void => void (input.end === 'half' ? socket.destroy() : socket.resetAndDestroy());
    let quiet: NodeJS.Timeout | undefined;
    const longest = setTimeout(leave, LONGEST_MS);
    socket.on('connect', () => {
      send(socket, input, () => {
        if (input.end === 'reset') leave();
        else quiet ??= setTimeout(leave, FIRST_MS);
      });
    });
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      clearTimeout(quiet);
      quiet = setTimeout(leave, QUIET_MS);
      if (size > MAX_ANSWER_BYTES) leave();
    });
    socket.on('end', () => {
      isEnded = true;
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      isRefused = error.code === 'ECONNREFUSED';
    });
    socket.on('close', () => {
      clearTimeout(quiet);
      clearTimeout(longest);
      resolve({ answer: Buffer.concat(chunks), isEnded, isRefused });
    });
  });
}

function send(socket: Socket, { pieces, end }: Input, sent: () => void): void {
  let next = 0;
  const step = (): void => {
    if (socket.destroyed) return;
    const piece = pieces[next];
    next += 1;
    if (piece !== undefined && piece.length > 0) socket.write(piece);
    if (next < pieces.length) setImmediate(step);
    else {
      if (end === 'half') socket.end();
      sent();
    }
  };
  step();
}
