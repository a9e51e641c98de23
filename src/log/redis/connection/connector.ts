/**
 * Opens Links to the Redis that is to be spoken to. With sentinels that is the master they name, which may be
 * another one each time; a server that was the master and came back as a replica is not taken for it.
 *
 * While Links are open the sentinels are asked again every second: a master that was only cut off or stopped
 * goes on answering those it knows, long after another took its place, and what it stored would be lost.
 */
import { background, type FailureLogger } from '../../../background.ts';
import { pause } from '../../../backoff.ts';
import { Link, RedisFault } from './link.ts';
import { Sentinels } from './sentinels.ts';
import type { Target } from './target.ts';

const WATCH_MS = 1000;

export class Connector {
  readonly #target: Target;
  readonly #sentinels: Sentinels | null;
  readonly #logger: FailureLogger;
  /** Those to a master that sentinels named, with its address. */
  readonly #links = new Map<Link, string>();
  #watching = false;

  constructor(target: Target, logger: FailureLogger) {
    this.#target = target;
    this.#logger = logger;
    this.#sentinels = target.sentinels === null ? null : new Sentinels(target.sentinels);
  }

  /** Rejects with a RedisFault. */
  async open(deadlineMs: number, signal: AbortSignal): Promise<Link> {
    const { redis } = this.#target;
    if (this.#sentinels === null) return Link.open(redis, deadlineMs, signal);
    const endMs = performance.now() + deadlineMs;
    const { host, port } = await this.#sentinels.master(deadlineMs / 2, signal);
    const address = `${host}:${port}`;
    const name = `${address} (${redis.name})`;
    const link = await Link.open({ ...redis, host, port, name }, endMs - performance.now(), signal);
    if (link.role !== 'master') {
      link.destroy('is no master');
      throw new RedisFault('connection', `Redis at ${name} is no master, as the sentinels say it is`);
    }
    this.#links.set(link, address);
    if (!this.#watching)
      background('asking the sentinels', this.#watch(this.#sentinels, signal), this.#logger);
    return link;
  }

  close(): void {
    this.#sentinels?.close();
  }

  async #watch(sentinels: Sentinels, signal: AbortSignal): Promise<void> {
    this.#watching = true;
    try {
      while (this.#links.size > 0 && !signal.aborted) {
        await pause(WATCH_MS, signal);
        for (const link of this.#links.keys()) if (!link.alive) this.#links.delete(link);
        const master = await sentinels.master(WATCH_MS, signal).catch(ignoreFault);
        // What a minority says may be the past.
        if (master?.isCertain === true) this.#leave(`${master.host}:${master.port}`);
      }
    } finally {
      this.#watching = false;
    }
  }

  #leave(current: string): void {
    for (const [link, address] of this.#links) {
      if (address !== current) link.destroy(`the sentinels name another master, ${current}`);
    }
  }
}

/** Sentinels that do not answer are no reason to leave a master that does. */
function ignoreFault(error: unknown): null {
  if (!(error instanceof RedisFault)) throw error;
  return null;
}
