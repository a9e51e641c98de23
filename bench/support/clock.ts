/** One clock for all processes of a run: CLOCK_MONOTONIC is the same for the whole host. */
export function nowUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + nanoseconds / 1e3;
}
