/**
 * The floor: a bare net server that answers the upgrade by hand, keeps the socket and does nothing else. Asked
 * to, it writes prepared frames to every socket in a plain loop: same bytes, same number of sockets, same size
 * of write as a broadcast server, but no log, no cursor, no protocol. What it reaches is what Node and the
 * kernel allow, and what it needs for an idle socket is what a socket costs.
 */
import { createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { PaceAsk } from './load/calls.ts';
import { Run, serverEnvelope } from './load/envelope.ts';
import { acceptKey } from './load/handshake.ts';
import { answerCalls } from './support/calls.ts';
import { nowUs } from './support/clock.ts';
import { type InstrumentCalls, instruments } from './support/instruments.ts';

export interface BlastAsk {
  readonly messages: number;
  readonly bytes: number;
  readonly writeBytes: number;
}

export interface BlastAnswer {
  readonly startedUs: number;
  readonly writes: number;
}

export type FloorCalls = InstrumentCalls & {
  /** Writes so many messages to every socket, in writes of a given size. */
  readonly blast: { readonly ask: BlastAsk; readonly answer: BlastAnswer };
  /** One message to every socket at a fixed rate. */
  readonly pace: {
    readonly ask: PaceAsk;
    readonly answer: { readonly startedUs: number };
  };
};

const KEY_PATTERN = /^sec-websocket-key: *(\S+)/im;

const sockets: Set<Socket> = new Set();

function accepted(socket: Socket): void {
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.once('close', () => sockets.delete(socket));
  socket.once('data', (head) => {
    const key = KEY_PATTERN.exec(head.toString('latin1'))?.[1];
    if (key === undefined) return socket.destroy();
    const accept = `Sec-WebSocket-Accept: ${acceptKey(key)}`;
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${accept}\r\n\r\n`,
    );
    sockets.add(socket);
    return socket.resume();
  });
}

async function blast({ messages, bytes, writeBytes }: BlastAsk): Promise<BlastAnswer> {
  const frames = new Run(serverEnvelope(bytes), messages, bytes, { first: 0 }).buffer;
  const offsets = new Map([...sockets].map((socket) => [socket, 0]));
  const startedUs = nowUs();
  let writes = 0;
  while (offsets.size > 0) {
    let progressed = false;
    for (const [socket, offset] of offsets) {
      if (socket.writableLength > 0 && !socket.destroyed) continue;
      progressed = true;
      writes++;
      const end = Math.min(offset + writeBytes, frames.length);
      socket.write(frames.subarray(offset, end));
      if (end === frames.length || socket.destroyed) offsets.delete(socket);
      else offsets.set(socket, end);
    }
    if (progressed) await nextTurn();
    else await anyDrain([...offsets.keys()]);
  }
  return { startedUs, writes };
}

/** Waits until one of many sockets has room. Looking is cheaper than a listener on each of a thousand. */
async function anyDrain(waiting: readonly Socket[]): Promise<void> {
  while (waiting.every((socket) => socket.writableLength > 0 && !socket.destroyed)) await sleep(1);
}

async function pace({ messages, bytes, first, perSecond }: PaceAsk): Promise<{ startedUs: number }> {
  const run = new Run(serverEnvelope(bytes), messages, bytes, { first });
  const startedUs = nowUs() + 1e4;
  for (let index = 0; index < messages; index++) {
    const dueUs = startedUs + (index * 1e6) / perSecond;
    const waitMs = Math.ceil((dueUs - nowUs()) / 1000);
    if (waitMs > 0) await sleep(waitMs);
    // The loop has no publisher whose schedule could slip: its latency counts from the first write.
    const message = run.message(index, nowUs());
    for (const socket of sockets) socket.write(message);
  }
  return { startedUs };
}

const port = Number(process.env['PORT']);
createServer(accepted).listen({ port, host: '127.0.0.1', backlog: 4096 });
answerCalls<FloorCalls>({ ...instruments(), blast, pace });
