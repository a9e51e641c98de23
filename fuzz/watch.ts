/** What the server's process takes, by /proc: sampled while it is fuzzed. */
import { readdirSync, readFileSync } from 'node:fs';

const SAMPLE_MS = 200;
const KIB = 1024;
/** A minute: before that a process still takes what it needs at all. */
const MIN_SAMPLES = 300;

export class Watch {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  readonly #samples: number[] = [];

  constructor(pid: number) {
    this.#pid = pid;
    this.#samples.push(residentOf(pid));
    this.#timer = setInterval(() => this.#samples.push(residentOf(pid)), SAMPLE_MS);
  }

  get first(): number {
    return this.#samples[0] ?? 0;
  }

  /** Bytes of memory, at most. */
  get peak(): number {
    return this.#samples.reduce((most, bytes) => Math.max(most, bytes), 0);
  }

  /** How much more was taken in the last fifth of the time than in the second: what is kept for good. 0: too early to say. */
  get growth(): number {
    if (this.#samples.length < MIN_SAMPLES) return 0;
    const fifth = Math.floor(this.#samples.length / 5);
    return median(this.#samples.slice(-fifth)) - median(this.#samples.slice(fifth, 2 * fifth));
  }

  get openFiles(): number {
    return readdirSync(`/proc/${this.#pid}/fd`).length;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

/** 0 once the process is gone, which others notice. */
function residentOf(pid: number): number {
  try {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kib ?? 0) * KIB;
  } catch {
    return 0;
  }
}

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? 0;
}
