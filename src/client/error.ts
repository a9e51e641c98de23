/** What the client fails with. */

/** `code`: as the server's errors have it, or one of the client's own. */
export type ClientErrorCode =
  | (string & {})
  /** The queue of what is to be published is full. */
  | 'queue_full'
  /** It was sent, and nobody can know any more whether it is stored. */
  | 'unknown'
  /** The client was closed. */
  | 'closed'
  /** A message is not as the schema says. */
  | 'invalid'
  | 'gap';

export class RiverError extends Error {
  readonly code: ClientErrorCode;
  /** Whether the same again may succeed. */
  readonly retry: boolean;

  constructor(code: ClientErrorCode, message: string, retry = false) {
    super(message);
    this.name = 'RiverError';
    this.code = code;
    this.retry = retry;
  }
}

/** Entries that can not be had any more: some are missing between the last message and the next. */
export interface Gap {
  readonly channel: string;
  readonly reason: 'trimmed' | 'reset' | 'deleted' | 'damaged';
  /** How many; null: nobody knows. */
  readonly lost: number | null;
  /** Delivery goes on after this. */
  readonly cursor: string;
}

/** A gap that nobody asked to be told of. */
export class GapError extends RiverError {
  readonly gap: Gap;

  constructor(gap: Gap) {
    super('gap', `${gap.lost ?? 'some'} messages of ${gap.channel} are gone (${gap.reason})`);
    this.gap = gap;
  }
}
