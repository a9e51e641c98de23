/**
 * Ends many connections over a time, so that whoever takes them over meets a steady stream of them and no flood: many
 * small waves, evenly, but never at the very same moments in two processes that stop together.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';

/** From one wave to the next, half as much more or less. */
const WAVE_MS = 50;
/** After a wave that came late the next ones are larger, up to so many times: what was late must not become a flood. */
const CATCH_UP = 2;
/** Few need no time: what comes at this rate is no flood anywhere. */
const SLOWEST_PER_SECOND = 10;
/** What one process can be told at once without standing still. */
const FASTEST_PER_SECOND = 5000;

export interface Waves<Member> {
  /** `close` takes its member out. */
  readonly members: ReadonlySet<Member>;
  readonly close: (member: Member) => void;
  readonly overMs: number;
  readonly clock: Clock;
}

/** Resolves when all are closed; those left when `signal` aborts are closed at once. */
export async function inWaves<Member>(
  { members, close, overMs, clock }: Waves<Member>,
  signal: AbortSignal,
): Promise<void> {
  const startMs = clock.monotonic();
  const durationMs = durationFor(members.size, overMs);
  const most = Math.ceil((members.size * WAVE_MS * CATCH_UP) / durationMs);
  let closed = 0;
  while (members.size > 0) {
    await delay(WAVE_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
    const share = Math.min(1, (clock.monotonic() - startMs) / durationMs);
    // Some leave by themselves meanwhile.
    const behind = Math.ceil((closed + members.size) * share) - closed;
    const due = signal.aborted ? members.size : Math.min(behind, most);
    for (const member of [...members].slice(0, due)) close(member);
    closed += due;
  }
}

/** How long it takes to close so many, in ms. */
export function durationFor(count: number, overMs: number): number {
  const slowestMs = (count / SLOWEST_PER_SECOND) * 1000;
  const fastestMs = (count / FASTEST_PER_SECOND) * 1000;
  return Math.max(Math.min(overMs, slowestMs), fastestMs);
}
