/**
 * A child process with one raw publisher, or with one for each of many channels. A burst is written in prepared
 * pieces as fast as the server takes them; a paced run follows its schedule whatever happens, and stamps each
 * message with the time it was due.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { answerCalls } from '../support/calls.ts';
import { nowUs } from '../support/clock.ts';
import type { BurstAsk, PaceAsk, PublishAnswer, PublisherCalls } from './calls.ts';
import type { Dialect } from './dialects.ts';
import { envelopeOf, Run } from './envelope.ts';
import { openPublisher } from './publisher-connection.ts';

/** One write of a burst. */
const PIECE_BYTES = 64 * 1024;
/** Shorter waits block the thread: a timer may be late by milliseconds, and turning would burn the load's core. */
const BLOCKING_US = 4000;
/** A wait is not shorter than this anyway. */
const SHORTEST_US = 20;

const cell = new Int32Array(new SharedArrayBuffer(4));
let sockets: readonly Socket[] = [];
let dialect: Dialect = 'raw';

function socketAt(index: number): Socket {
  const socket = sockets[index % sockets.length];
  if (socket === undefined || socket.destroyed) throw new Error('the publisher is not connected');
  return socket;
}

async function connectAll(ask: PublisherCalls['connect']['ask']): Promise<null> {
  const opened: Socket[] = [];
  for (const path of ask.paths ?? [ask.path]) opened.push(await openPublisher({ ...ask, path }));
  sockets = opened;
  dialect = ask.dialect;
  return null;
}

async function burst({ messages, bytes, first }: BurstAsk): Promise<PublishAnswer> {
  const envelope = envelopeOf(dialect, bytes);
  const frame = envelope.head.length + bytes + envelope.tail.length;
  const perPiece = Math.max(1, Math.floor(PIECE_BYTES / frame));
  const startedUs = nowUs();
  for (let sent = 0; sent < messages; sent += perPiece) {
    const count = Math.min(perPiece, messages - sent);
    await flushed(new Run(envelope, count, bytes, { first: first + sent }).buffer);
  }
  return { startedUs, endedUs: nowUs(), maxLateUs: 0 };
}

async function flushed(bytes: Buffer): Promise<void> {
  const target = socketAt(0);
  if (target.write(bytes) || target.writableLength === 0) return;
  await once(target, 'drain');
}

async function pace({ messages, bytes, first, perSecond }: PaceAsk): Promise<PublishAnswer> {
  const run = new Run(envelopeOf(dialect, bytes), messages, bytes, { first, each: sockets.length });
  const startUs = nowUs() + 1e4;
  let maxLateUs = 0;
  for (let index = 0; index < messages; index++) {
    const dueUs = startUs + (index * 1e6) / perSecond;
    await until(dueUs);
    maxLateUs = Math.max(maxLateUs, nowUs() - dueUs);
    socketAt(index).write(run.message(index, dueUs));
  }
  return { startedUs: startUs, endedUs: nowUs(), maxLateUs };
}

async function until(dueUs: number): Promise<void> {
  for (;;) {
    const leftUs = dueUs - nowUs();
    if (leftUs <= SHORTEST_US) break;
    if (leftUs > BLOCKING_US) await sleep((leftUs - BLOCKING_US / 2) / 1000);
    else Atomics.wait(cell, 0, 0, leftUs / 1000);
  }
  await nextTurn();
}

answerCalls<PublisherCalls>({ connect: connectAll, burst, pace });
