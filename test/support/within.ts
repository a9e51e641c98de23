/** A wait that ends: what should have come by then is named in the failure. */

/** Long enough for a busy machine; a test that needs it all has failed. */
const WAIT_MS = 20_000;

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
  const deadline = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
