/** A MemoryLog whose answers a test can hold back, fail and count: a slow or broken store. */
import { DEFAULT_RETENTION, type Retention } from '../../src/channels.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import type {
  AppendResult,
  Bounds,
  ChannelPage,
  FreshStart,
  Log,
  NewEntry,
  Page,
  PageLimits,
  Side,
  Swept,
  TrimPolicy,
} from '../../src/log/log.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';

export type Operation =
  | 'append'
  | 'read'
  | 'locate'
  | 'wait'
  | 'bounds'
  | 'channels'
  | 'sweep'
  | 'probe'
  | 'probe-read';

export interface GatedLogOptions {
  readonly clock?: Clock;
  readonly retention?: Retention;
}

export class GatedLog implements Log {
  readonly inner: MemoryLog;
  readonly #gates = new Map<Operation, { readonly opened: Promise<void>; readonly open: () => void }>();
  readonly #failures = new Map<Operation, Error[]>();
  readonly #counts = new Map<Operation, number>();
  readonly #keys: string[] = [];
  #stored = 0;
  readonly #running = new Map<Operation, number>();
  readonly #most = new Map<Operation, number>();

  constructor({ clock = systemClock, retention = DEFAULT_RETENTION }: GatedLogOptions = {}) {
    this.inner = new MemoryLog({ clock, retention: () => retention });
  }

  /** Calls of this kind wait until `release`. */
  hold(operation: Operation): void {
    if (this.#gates.has(operation)) return;
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#gates.set(operation, { opened, open });
  }

  release(operation: Operation): void {
    this.#gates.get(operation)?.open();
    this.#gates.delete(operation);
  }

  /** The next call of this kind rejects. */
  failNext(operation: Operation, error: Error): void {
    this.#failures.set(operation, [...(this.#failures.get(operation) ?? []), error]);
  }

  /** How many calls there were. */
  count(operation: Operation): number {
    return this.#counts.get(operation) ?? 0;
  }

  running(operation: Operation): number {
    return this.#running.get(operation) ?? 0;
  }

  /** How many calls were under way at the same time, at most. */
  most(operation: Operation): number {
    return this.#most.get(operation) ?? 0;
  }

  /** Entries that were appended: told also when it is closed. */
  get stored(): number {
    return this.#stored;
  }

  /** The keys of what was appended. */
  get keys(): readonly string[] {
    return this.#keys;
  }

  append(channel: string, entries: readonly NewEntry[]): Promise<AppendResult[]> {
    for (const { key } of entries) if (key !== undefined) this.#keys.push(key);
    return this.#call('append', async () => {
      const results = await this.inner.append(channel, entries);
      this.#stored += results.length;
      return results;
    });
  }

  read(channel: string, after: Cursor, limits: PageLimits): Promise<Page> {
    return this.#call('read', () => this.inner.read(channel, after, limits));
  }

  locate(channel: string, start: FreshStart): Promise<Cursor> {
    return this.#call('locate', () => this.inner.locate(channel, start));
  }

  wait(
    after: ReadonlyMap<string, Cursor>,
    limits: PageLimits,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Page>> {
    return this.#call('wait', () => this.inner.wait(after, limits, signal));
  }

  bounds(channel: string): Promise<Bounds> {
    return this.#call('bounds', () => this.inner.bounds(channel));
  }

  trim(channel: string, policy: TrimPolicy): Promise<number> {
    return this.inner.trim(channel, policy);
  }

  channels(page: { after: string | null; limit: number }): Promise<ChannelPage> {
    return this.#call('channels', () => this.inner.channels(page));
  }

  sweep(): Promise<Swept | null> {
    return this.#call('sweep', () => this.inner.sweep());
  }

  probe(side?: Side): Promise<void> {
    return this.#call(side === 'read' ? 'probe-read' : 'probe', () => this.inner.probe());
  }

  close(): Promise<void> {
    for (const operation of [...this.#gates.keys()]) this.release(operation);
    return this.inner.close();
  }

  async #call<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    const running = this.running(operation) + 1;
    this.#counts.set(operation, this.count(operation) + 1);
    this.#running.set(operation, running);
    this.#most.set(operation, Math.max(this.most(operation), running));
    try {
      await this.#gates.get(operation)?.opened;
      const failure = this.#failures.get(operation)?.shift();
      if (failure !== undefined) throw failure;
      return await work();
    } finally {
      this.#running.set(operation, this.running(operation) - 1);
    }
  }
}
