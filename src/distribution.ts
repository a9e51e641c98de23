/**
 * How observed values are spread: counts by upper bounds, their sum, and nothing else. To observe one takes a few
 * nanoseconds and allocates nothing, so that it may stand on the way of every block and pass.
 */

/** Whoever measures something tells it here. */
export interface Measure {
  observe(value: number): void;
}

/** Where nothing is to be measured. */
export const UNMEASURED: Measure = { observe: () => undefined };

export class Distribution implements Measure {
  /** Rising upper bounds, each included; what is above the last one is counted too. */
  readonly bounds: readonly number[];
  /** By bound, and one more for what is above them all. Not cumulative. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at += 1;
    (counts[at] as number) += 1;
    this.sum += value;
  }
}
