/** How much of something there was a second, over the last seconds: for people, who do not want to subtract. */

const WINDOW = 10;

export type Totals = Readonly<Record<string, number>>;

export class Throughput {
  readonly #samples: { readonly atMs: number; readonly totals: Totals }[] = [];

  /** Regular work, about once a second. `nowMs`: monotonic. */
  sample(nowMs: number, totals: Totals): void {
    const last = this.#samples.at(-1);
    // The tick is faster where the heartbeat is.
    if (last !== undefined && nowMs - last.atMs < 900) return;
    this.#samples.push({ atMs: nowMs, totals });
    if (this.#samples.length > WINDOW + 1) this.#samples.shift();
  }

  /** By the same names, a second; 0 while there is nothing to compare with. */
  perSecond(nowMs: number, totals: Totals): { readonly windowSeconds: number; readonly rates: Totals } {
    const first = this.#samples[0];
    const seconds = first === undefined ? 0 : (nowMs - first.atMs) / 1000;
    const rates = Object.fromEntries(
      Object.entries(totals).map(([name, total]) => {
        const more = total - (first?.totals[name] ?? 0);
        return [name, seconds === 0 ? 0 : round(more / seconds)];
      }),
    );
    return { windowSeconds: round(seconds), rates };
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
