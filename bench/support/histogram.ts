/**
 * Latencies as counts in buckets that grow with the value (32 a doubling: at most 3 % wrong), so that the
 * samples of several processes are merged before a percentile is taken; percentiles are never averaged.
 */
const PER_OCTAVE = 32;
const OCTAVES = 27;

export class Histogram {
  readonly #counts: number[] = new Array<number>(PER_OCTAVE * OCTAVES).fill(0);
  #total = 0;
  #max = 0;

  /** Microseconds; anything below one counts as one. */
  record(us: number): void {
    const bucket = Math.floor(Math.log2(Math.max(1, us)) * PER_OCTAVE);
    const index = Math.min(bucket, this.#counts.length - 1);
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#total++;
    if (us > this.#max) this.#max = us;
  }

  merge(other: Distribution): void {
    other.counts.forEach((count, index) => {
      this.#counts[index] = (this.#counts[index] as number) + count;
      this.#total += count;
    });
    this.#max = Math.max(this.#max, other.maxUs);
  }

  /** Starts anew. */
  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
    this.#max = 0;
  }

  percentileUs(fraction: number): number {
    let left = Math.ceil(this.#total * fraction);
    for (const [index, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(this.#max, 2 ** ((index + 1) / PER_OCTAVE));
    }
    return this.#max;
  }

  distribution(): Distribution {
    return { counts: this.#counts, maxUs: this.#max };
  }
}

/** A histogram as it crosses the process boundary. */
export interface Distribution {
  readonly counts: readonly number[];
  readonly maxUs: number;
}
