/** A wait that ends: what should have come by then is named in the failure. */

/** Long enough for a busy machine; a test that needs it all has failed. */
const WAIT_MS = 20_000;
/**
 * Between two looks of `until`: a tenth of what it has waited, in these bounds. What takes long is neither found much
 * later than it is there, nor asked for all the time, which on two cores takes it from what is waited for.
 */
const [LEAST_PAUSE_MS, MOST_PAUSE_MS] = [2, 50] as const;

export async function within<T>(what: string, promise: Promise<T>, ms: number = WAIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves once `holds()`: for what nobody announces, such as a counter of the server, or has to be asked for. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  ms: number = WAIT_MS,
): Promise<void> {
  const began = performance.now();
  while (!(await holds())) {
    const waitedMs = performance.now() - began;
    if (waitedMs > ms) throw new Error(`waited ${ms} ms until ${what}`);
    const pauseMs = Math.min(Math.max(waitedMs / 10, LEAST_PAUSE_MS), MOST_PAUSE_MS);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
