/**
 * The protocols the load generator speaks. A dialect says how a subscriber knocks and what reads its bytes; how a
 * publisher wraps a message is in envelope.ts.
 */
import type { Counter, Line } from './counter.ts';
import { EventsCounter } from './events-counter.ts';
import { FrameCounter } from './frame-counter.ts';
import { NatsCounter } from './nats-counter.ts';
import { socketIoCounter } from './socket-io-counter.ts';
import { V1Counter } from './v1-counter.ts';

export type Dialect = 'raw' | 'v1' | 'events' | 'nats' | 'socket.io';

/** Where a server takes or gives messages. */
export interface Door {
  readonly dialect: Dialect;
  readonly port: number;
  readonly path: string;
  /** Whether it speaks TLS. */
  readonly secure?: boolean;
}

interface Reading {
  readonly subprotocol?: string;
  /** A GET that streams events, not an upgrade. */
  readonly events?: boolean;
  /** Whether messages come from the upgrade on, without any more words. */
  readonly opensAtOnce: boolean;
  readonly counter: (line: Line) => Counter;
}

export const READING: Readonly<Record<Dialect, Reading>> = {
  raw: {
    opensAtOnce: true,
    counter: (line) =>
      new FrameCounter({
        tally: line.tally,
        onControl: (opcode, payload) => line.control(opcode, payload),
      }),
  },
  v1: { subprotocol: 'rivercast.v1', opensAtOnce: false, counter: (line) => new V1Counter(line) },
  events: { events: true, opensAtOnce: false, counter: (line) => new EventsCounter(line) },
  nats: { opensAtOnce: false, counter: (line) => new NatsCounter(line) },
  'socket.io': { opensAtOnce: false, counter: socketIoCounter },
};
