/** Time as an argument, so that tests decide it. */

export interface Clock {
  /** Wall-clock milliseconds since 1970: ids and retention. */
  now(): number;
  /** Milliseconds that only rise: deadlines, slices, stalls. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
