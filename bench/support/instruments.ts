/** Inside a measured process: memory after garbage collection, and how late its event loop runs. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';

export interface Memory {
  readonly residentBytes: number;
  /** JavaScript heap and what it holds outside of it (buffers, handles that report their size). */
  readonly heapAndExternalBytes: number;
}

export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export type InstrumentCalls = {
  readonly memory: { readonly ask: null; readonly answer: Memory };
  /** Starts the measurement anew. */
  readonly resetLoopDelay: { readonly ask: null; readonly answer: null };
  /** Since the last reset. Every value includes the one millisecond of the sampling timer itself. */
  readonly loopDelay: { readonly ask: null; readonly answer: LoopDelay };
};

const SAMPLE_MS = 1;
const NANOSECONDS_PER_MS = 1e6;

declare const gc: (() => void) | undefined;

/** Weak references and finalizers need a few turns and collections to settle. */
async function collect(): Promise<void> {
  if (gc === undefined) throw new Error('start with --expose-gc');
  for (let round = 0; round < 4; round++) {
    gc();
    await nextTurn();
  }
}

async function memory(): Promise<Memory> {
  await collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { residentBytes: rss, heapAndExternalBytes: heapUsed + external };
}

export function instruments(): {
  memory: () => Promise<Memory>;
  resetLoopDelay: () => null;
  loopDelay: () => LoopDelay;
} {
  const delay = monitorEventLoopDelay({ resolution: SAMPLE_MS });
  return {
    memory,
    resetLoopDelay: () => {
      delay.enable();
      delay.reset();
      return null;
    },
    loopDelay: () => ({
      p50Ms: delay.percentile(50) / NANOSECONDS_PER_MS,
      p99Ms: delay.percentile(99) / NANOSECONDS_PER_MS,
      maxMs: delay.max / NANOSECONDS_PER_MS,
    }),
  };
}
