/** All connections that stay: counted, visited regularly, and waited for at a stop. */
import { RivercastError } from '../../errors.ts';
import type { TimerWheel, Visited } from './timer-wheel.ts';

const CHECK_MS = 10;

export interface Staying extends Visited {
  /** Ends the connection at once. */
  destroy(): void;
}

export class Connections {
  readonly #wheel: TimerWheel;
  readonly #max: number;
  readonly #open = new Set<Staying>();

  constructor(wheel: TimerWheel, max: number) {
    this.#wheel = wheel;
    this.#max = max;
  }

  get count(): number {
    return this.#open.size;
  }

  get isFull(): boolean {
    return this.#open.size >= this.#max;
  }

  /** Throws RivercastError `limit_reached` when there is no room for one more. */
  demandRoom(): void {
    if (!this.isFull) return;
    throw new RivercastError(
      'limit_reached',
      'this server has as many connections as it may have; try again',
    );
  }

  add(connection: Staying): void {
    this.#open.add(connection);
    this.#wheel.add(connection);
  }

  remove(connection: Staying): void {
    this.#open.delete(connection);
    this.#wheel.remove(connection);
  }

  /** Resolves when every connection has ended; those left when `signal` aborts are cut. */
  async closed(signal: AbortSignal): Promise<void> {
    await untilEmpty(this.#open, signal);
    for (const connection of this.#open) connection.destroy();
  }
}

export async function untilEmpty(connections: ReadonlySet<unknown>, signal: AbortSignal): Promise<void> {
  while (connections.size > 0 && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
  }
}
