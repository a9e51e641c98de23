/** What a subscriber needs of its connection, whatever carries it. */

export type WriteOutcome =
  /** The kernel has all of it: more may be written. */
  | 'taken'
  /** Whether the kernel has it is known soon: write nothing until `drained` is called, or `stalled` before it. */
  | 'underway'
  /** Some of it waits in this process: write nothing until `drained` is called on the subscriber. */
  | 'pending'
  /** Nothing was written, because one side has begun to close. */
  | 'closed';

/** Who is at the other end. */
export interface Peer {
  readonly address: string | null;
  /** Whom a token named; null where none did. */
  readonly subject: string | null;
}

export interface Transport {
  /** Absent: nobody that can be named. */
  readonly peer?: Peer | undefined;
  /** Writes whole frames. The bytes are shared with other subscribers: never changed, never copied. */
  write(bytes: Buffer): WriteOutcome;
  /** Says goodbye and ends the connection; what is pending still goes out if the peer reads on. */
  close(code: number, reason: string): void;
  /** Ends the connection at once. */
  destroy(): void;
}
