/**
 * What was refused, and how connections were closed: counted for a server, by code, where it is said to the other
 * side. A new code is counted without more work, and so is a new place that refuses by the same means.
 */
import type { ErrorCode } from './errors.ts';
import { CLOSE } from './protocol/close.ts';

/**
 * Where: an HTTP request, an upgrade to WebSocket, a publish on an open connection or a line of a batch, what a
 * subscriber asked on an open connection.
 */
export type RefusedAt = 'request' | 'upgrade' | 'publish' | 'subscribe';

/** A request that is none has no code of ours; the status tells what was wrong with it. */
export type BrokenCode = `http_${number}`;

export interface Refused {
  readonly at: RefusedAt;
  readonly code: ErrorCode | BrokenCode;
  readonly count: number;
}

export interface Closed {
  readonly code: string;
  readonly count: number;
}

const CLOSE_CODES: ReadonlySet<number> = new Set(Object.values(CLOSE));

export class Refusals {
  readonly #refused = new Map<RefusedAt, Map<ErrorCode | BrokenCode, number>>();
  readonly #closed = new Map<string, number>();

  count(at: RefusedAt, code: ErrorCode | BrokenCode): void {
    let codes = this.#refused.get(at);
    if (codes === undefined) {
      codes = new Map();
      this.#refused.set(at, codes);
    }
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }

  /** A close that this side began. Codes that are not in the table of closes count as `other`. */
  countClose(code: number): void {
    const label = CLOSE_CODES.has(code) ? `${code}` : 'other';
    this.#closed.set(label, (this.#closed.get(label) ?? 0) + 1);
  }

  get counts(): Refused[] {
    return [...this.#refused].flatMap(([at, codes]) =>
      [...codes].map(([code, count]) => ({ at, code, count })),
    );
  }

  get closes(): Closed[] {
    return [...this.#closed].map(([code, count]) => ({ code, count }));
  }
}
