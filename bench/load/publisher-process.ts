/**
 * A child process with one raw publisher. A burst is written in prepared pieces as fast as the server takes
 * them; a paced run follows its schedule whatever happens, and stamps each message with the time it was due.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { answerCalls } from '../support/calls.ts';
import { nowUs } from '../support/clock.ts';
import type { BurstAsk, PaceAsk, PublishAnswer, PublisherCalls } from './calls.ts';
import { Handshake } from './handshake.ts';
import { buildFrames, headerBytes, STAMPED_BYTES, writeTime } from './payload.ts';

/** One write of a burst. */
const PIECE_BYTES = 64 * 1024;
/** Timers may be a millisecond late or more: the last stretch before a message is due is spent turning. */
const TURNING_US = 2000;

let socket: Socket | null = null;

function open(): Socket {
  if (socket === null || socket.destroyed) throw new Error('the publisher is not connected');
  return socket;
}

async function connectPublisher({ port, path }: { port: number; path: string }): Promise<null> {
  const made = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(made, 'connect');
  const handshake = new Handshake(path, port);
  made.write(handshake.request);
  const [head] = (await once(made, 'data')) as [Buffer];
  const step = handshake.feed(head, head.length);
  if (step.state !== 'open') throw new Error(`publisher: ${JSON.stringify(step)}`);
  // Nothing comes back on this socket but pings and a close; an unread ping would stall the peer.
  made.on('data', () => {});
  made.on('error', () => {});
  socket = made;
  return null;
}

async function burst({ messages, bytes, first }: BurstAsk): Promise<PublishAnswer> {
  const frame = headerBytes(bytes, 'client') + bytes;
  const perPiece = Math.max(1, Math.floor(PIECE_BYTES / frame));
  const startedUs = nowUs();
  for (let sent = 0; sent < messages; sent += perPiece) {
    const count = Math.min(perPiece, messages - sent);
    await flushed(buildFrames(count, bytes, first + sent, 'client'));
  }
  return { startedUs, endedUs: nowUs(), maxLateUs: 0 };
}

async function flushed(bytes: Buffer): Promise<void> {
  const target = open();
  if (target.write(bytes) || target.writableLength === 0) return;
  await once(target, 'drain');
}

async function pace({ messages, bytes, first, perSecond }: PaceAsk): Promise<PublishAnswer> {
  const target = open();
  const header = headerBytes(bytes, 'client');
  const frame = header + bytes;
  const frames = buildFrames(messages, bytes, first, 'client');
  const startUs = nowUs() + 1e4;
  let maxLateUs = 0;
  for (let index = 0; index < messages; index++) {
    const dueUs = startUs + (index * 1e6) / perSecond;
    await until(dueUs);
    maxLateUs = Math.max(maxLateUs, nowUs() - dueUs);
    const at = index * frame;
    if (bytes >= STAMPED_BYTES) writeTime(frames, at + header, dueUs);
    target.write(frames.subarray(at, at + frame));
  }
  return { startedUs: startUs, endedUs: nowUs(), maxLateUs };
}

async function until(dueUs: number): Promise<void> {
  const waitMs = Math.floor((dueUs - nowUs() - TURNING_US) / 1000);
  if (waitMs > 0) await sleep(waitMs);
  while (nowUs() < dueUs) await nextTurn();
}

answerCalls<PublisherCalls>({ connect: connectPublisher, burst, pace });
