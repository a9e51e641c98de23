/** What the process itself takes, and how late its event loop is. */
import { readdir, readFile } from 'node:fs/promises';
import type { Measure } from '../../distribution.ts';
import type { Readings } from '../../readings.ts';

const LOOK_MS = 20;
/** The most of so long is kept apart, since an average hides it. */
const WINDOW_MS = 30_000;
const WINDOWS = 6;

/** Looks every LOOK_MS how late it is itself. */
export class LoopDelay {
  readonly #timer: NodeJS.Timeout;
  /** The most of each part of the window, the newest first. */
  readonly #most: number[] = [0];
  #partEndsMs: number;
  #lastMs: number;

  constructor(seconds: Measure) {
    this.#lastMs = performance.now();
    this.#partEndsMs = this.#lastMs + WINDOW_MS / WINDOWS;
    this.#timer = setInterval(() => this.#look(seconds), LOOK_MS).unref();
  }

  get maxSeconds(): number {
    return Math.max(...this.#most);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(seconds: Measure): void {
    const now = performance.now();
    const late = Math.max(0, now - this.#lastMs - LOOK_MS) / 1000;
    this.#lastMs = now;
    seconds.observe(late);
    if (now >= this.#partEndsMs) {
      this.#partEndsMs = now + WINDOW_MS / WINDOWS;
      this.#most.unshift(0);
      this.#most.length = Math.min(this.#most.length, WINDOWS);
    }
    this.#most[0] = Math.max(this.#most[0] ?? 0, late);
  }
}

type Taken = Omit<Readings['process'], 'id' | 'version' | 'role' | 'store' | 'loopDelayMaxS'>;

export async function processReadings(): Promise<Taken> {
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const [openFds, maxFds] = await Promise.all([openDescriptors(), maxDescriptors()]);
  return {
    startedS: Date.now() / 1000 - process.uptime(),
    cpuS: { user: user / 1e6, system: system / 1e6 },
    residentBytes: rss,
    heapUsedBytes: heapUsed,
    heapTotalBytes: heapTotal,
    externalBytes: external,
    openFds,
    maxFds,
  };
}

/** Null where the system has no /proc. */
async function openDescriptors(): Promise<number | null> {
  const names = await readdir('/proc/self/fd').catch(() => null);
  // One of them is that of the folder.
  return names === null ? null : names.length - 1;
}

let maxFound: Promise<number | null> | null = null;

/** The limit of a process is set before it starts: it is read once. */
function maxDescriptors(): Promise<number | null> {
  maxFound ??= readMaxDescriptors();
  return maxFound;
}

async function readMaxDescriptors(): Promise<number | null> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const found = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return found === undefined ? null : Number(found);
}
