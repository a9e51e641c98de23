/**
 * A child process with connections that publish. By `rivercast.v1`, with so many unanswered on each (`window`), or
 * one after the other at a fixed rate, timed from when each was due until its acknowledgement; or raw, as fast as
 * the server takes them.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerCalls } from '../support/calls.ts';
import { nowUs } from '../support/clock.ts';
import { Histogram } from '../support/histogram.ts';
import { AcknowledgedLine, type LineOptions } from './acknowledged-line.ts';
import type { AcknowledgedCalls } from './calls.ts';
import { MaskedFrame } from './masked-frame.ts';
import { openPublisher } from './publisher-connection.ts';

const PIECE_BYTES = 64 * 1024;
const REF_DIGITS = 10;

/** Timers are late by up to a millisecond: the last of a wait blocks the thread, when answers have long come. */
const BLOCKING_MS = 3;
const cell = new Int32Array(new SharedArrayBuffer(4));

type Ask<Name extends keyof AcknowledgedCalls> = AcknowledgedCalls[Name]['ask'];
type Answer<Name extends keyof AcknowledgedCalls> = AcknowledgedCalls[Name]['answer'];

/** A promise with its ends in hand. */
function outcome(): {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
} {
  let succeed: () => void = () => {};
  let fail: (error: Error) => void = () => {};
  const promise = new Promise<void>((resolve, reject) => {
    succeed = resolve;
    fail = reject;
  });
  return { promise, resolve: succeed, reject: fail };
}

async function until(dueUs: number): Promise<void> {
  const leftMs = (): number => (dueUs - nowUs()) / 1000;
  if (leftMs() > BLOCKING_MS) await sleep(leftMs() - BLOCKING_MS);
  if (leftMs() > 0) Atomics.wait(cell, 0, 0, leftMs());
}

async function flood(ask: Ask<'flood'>): Promise<Answer<'flood'>> {
  const { connections, window, messages, bytes } = ask;
  const each = Math.floor(messages / connections);
  const lines: AcknowledgedLine[] = [];
  const done = outcome();
  let left = each * connections;
  for (let index = 0; index < connections; index++) {
    let unsent = each - window;
    const line: AcknowledgedLine = await AcknowledgedLine.open({
      ...ask,
      bytes,
      keys: ask.keys === null ? null : `${ask.keys}-${index}-`,
      onAcknowledged(count) {
        left -= count;
        const more = Math.min(count, unsent);
        unsent -= more;
        if (more > 0) line.send(more);
        if (left === 0) done.resolve();
      },
      onProblem: (problem) => done.reject(new Error(problem)),
    });
    lines.push(line);
  }
  const startedUs = nowUs();
  for (const line of lines) line.send(window);
  await done.promise;
  const endedUs = nowUs();
  for (const line of lines) line.end();
  return { acknowledged: each * connections, startedUs, endedUs };
}

async function pace(ask: Ask<'pace'>): Promise<Answer<'pace'>> {
  const { perSecond, messages, warmUp } = ask;
  const latencies = new Histogram();
  const dueUs = (index: number): number => startUs + (index * 1e6) / perSecond;
  const done = outcome();
  const options: LineOptions = {
    ...ask,
    keys: null,
    onAcknowledged(count, last) {
      const at = nowUs();
      for (let index = last - count + 1; index <= last; index++) {
        if (index >= warmUp) latencies.record(at - dueUs(index));
      }
      if (last === warmUp + messages - 1) done.resolve();
    },
    onProblem: (problem) => done.reject(new Error(problem)),
  };
  const line = await AcknowledgedLine.open(options);
  const startUs = nowUs() + 1e4;
  for (let index = 0; index < warmUp + messages; index++) {
    await until(dueUs(index));
    line.send(1);
  }
  await done.promise;
  line.end();
  return { latencies: latencies.distribution() };
}

async function pour(ask: Ask<'pour'>): Promise<Answer<'pour'>> {
  const { connections, messages, bytes, port, path } = ask;
  const sockets: Socket[] = [];
  for (let index = 0; index < connections; index++) {
    sockets.push(await openPublisher({ dialect: 'raw', port, path }));
  }
  const frame = new MaskedFrame('#'.repeat(REF_DIGITS) + 'x'.repeat(bytes - REF_DIGITS));
  const perPiece = Math.floor(PIECE_BYTES / frame.stride);
  const each = Math.floor(messages / connections);
  const startedUs = nowUs();
  await Promise.all(
    sockets.map(async (socket) => {
      for (let sent = 0; sent < each; sent += perPiece) {
        if (!socket.write(frame.run(sent, Math.min(perPiece, each - sent)))) await once(socket, 'drain');
      }
    }),
  );
  return { sent: each * connections, startedUs };
}

answerCalls<AcknowledgedCalls>({ flood, pace, pour });
