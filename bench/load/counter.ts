/** What reads the bytes of a subscriber after the upgrade, and what it may ask of its connection. */
import type { Tally } from './tally.ts';

export interface Counter {
  /** Reads `chunk` up to `length`. */
  consume(chunk: Uint8Array, length: number): void;
}

/** The connection, as a counter sees it. */
export interface Line {
  readonly tally: Tally;
  /** Size of a message's payload, which protocols without a length prefix let only guess. */
  readonly messageBytes: number;
  send(bytes: Uint8Array): void;
  /** The protocol's own opening is complete: from now on messages come. */
  opened(): void;
  /** A WebSocket control frame. */
  control(opcode: number, payload: Buffer): void;
  /** The peer said that it will not go on. */
  refused(reason: string): void;
}
