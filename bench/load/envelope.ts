/** What a publisher puts around a message, by dialect: made once for a size, as every message of a run has it. */
import type { Dialect } from './dialects.ts';
import { NATS_SUBJECT } from './nats.ts';
import { STAMPED_BYTES, writePayload, writeTime } from './payload.ts';

export interface Envelope {
  readonly head: Buffer;
  readonly tail: Buffer;
}

/** Frames are masked (with the key 0, which is legal and leaves the payload as it is) or, from a server, not. */
type Sender = 'client' | 'server';

const TEXT_FRAME = 0x81;
const SOCKET_IO_LEAD = '42["p","';
const SOCKET_IO_TAIL = '"]';

/** Around a message from a publisher. */
export function envelopeOf(dialect: Dialect, bytes: number): Envelope {
  if (dialect === 'nats') {
    return { head: Buffer.from(`PUB ${NATS_SUBJECT} ${bytes}\r\n`), tail: Buffer.from('\r\n') };
  }
  if (dialect === 'socket.io') {
    const packet = SOCKET_IO_LEAD.length + bytes + SOCKET_IO_TAIL.length;
    const head = Buffer.concat([frameHeader(packet, 'client'), Buffer.from(SOCKET_IO_LEAD)]);
    return { head, tail: Buffer.from(SOCKET_IO_TAIL) };
  }
  return { head: frameHeader(bytes, 'client'), tail: Buffer.alloc(0) };
}

/** Around a message to a subscriber, as a server sends it in the raw dialect. */
export function serverEnvelope(bytes: number): Envelope {
  return { head: frameHeader(bytes, 'server'), tail: Buffer.alloc(0) };
}

function frameHeader(payloadBytes: number, sender: Sender): Buffer {
  const masked = sender === 'client' ? 0x80 : 0;
  const mask = Buffer.alloc(sender === 'client' ? 4 : 0);
  if (payloadBytes < 126) return Buffer.concat([Buffer.from([TEXT_FRAME, masked | payloadBytes]), mask]);
  const header = Buffer.alloc(payloadBytes < 65_536 ? 4 : 10);
  header[0] = TEXT_FRAME;
  header[1] = masked | (payloadBytes < 65_536 ? 126 : 127);
  if (payloadBytes < 65_536) header.writeUInt16BE(payloadBytes, 2);
  else header.writeBigUInt64BE(BigInt(payloadBytes), 2);
  return Buffer.concat([header, mask]);
}

/** Messages of one size, each in its envelope, one behind the other in one buffer. */
export class Run {
  readonly buffer: Buffer;
  /** Bytes of one message, envelope and all. */
  readonly stride: number;
  readonly #head: number;
  readonly #stamped: boolean;

  /** Sequence numbers `first`, `first + 1`, …, each so often as there are channels to send it to. */
  constructor(envelope: Envelope, count: number, bytes: number, numbers: { first: number; each?: number }) {
    const { first, each = 1 } = numbers;
    const { head, tail } = envelope;
    this.stride = head.length + bytes + tail.length;
    this.#head = head.length;
    this.#stamped = bytes >= STAMPED_BYTES;
    this.buffer = Buffer.alloc(count * this.stride);
    for (let index = 0; index < count; index++) {
      const at = index * this.stride;
      this.buffer.set(head, at);
      writePayload(this.buffer, at + head.length, bytes, first + Math.floor(index / each));
      this.buffer.set(tail, at + head.length + bytes);
    }
  }

  /** One message; with a time, if it has room for one. */
  message(index: number, us: number): Buffer {
    const at = index * this.stride;
    if (this.#stamped) writeTime(this.buffer, at + this.#head, us);
    return this.buffer.subarray(at, at + this.stride);
  }
}
