/** What the manager has taken in since its start, and how it fared: plain numbers, read when somebody asks. */
import { type ErrorCode, RivercastError } from '../errors.ts';
import type { AppendResult } from '../log/log.ts';

/** By which door an entry came. */
export type Origin = 'raw' | 'v1' | 'http';

export interface Received {
  entries: number;
  bytes: number;
}

export class Intake {
  readonly received: Readonly<Record<Origin, Received>> = {
    raw: { entries: 0, bytes: 0 },
    v1: { entries: 0, bytes: 0 },
    http: { entries: 0, bytes: 0 },
  };
  /** Appended to the log, and so known to be there. */
  entriesStored = 0;
  /** Found to be there already, by their keys. */
  duplicates = 0;
  /** Not known to be stored as asked, by the code that says why. */
  readonly failures: Map<ErrorCode, number> = new Map();

  took(origin: Origin, bytes: number): void {
    const received = this.received[origin];
    received.entries += 1;
    received.bytes += bytes;
  }

  stored(results: readonly AppendResult[]): void {
    let duplicates = 0;
    for (const { duplicate } of results) if (duplicate) duplicates += 1;
    this.entriesStored += results.length - duplicates;
    this.duplicates += duplicates;
  }

  failed(error: unknown, entries: number): void {
    const code = error instanceof RivercastError ? error.code : 'internal';
    this.failures.set(code, (this.failures.get(code) ?? 0) + entries);
  }
}
