/**
 * What a benchmark message says: `<sequence, 10 digits> <due time in µs, 16 digits> xxx…`. The sequence proves
 * order and completeness at every subscriber; the time is when the message was *due*, not when it was sent,
 * so that a publisher that falls behind cannot hide the delay (no coordinated omission).
 */
export const SEQUENCE_DIGITS = 10;
export const TIME_OFFSET = 11;
export const TIME_DIGITS = 16;
export const STAMPED_BYTES: number = TIME_OFFSET + TIME_DIGITS;

function writePayload(target: Buffer, offset: number, bytes: number, sequence: number): void {
  target.fill(0x78, offset, offset + bytes);
  target.write(String(sequence).padStart(SEQUENCE_DIGITS, '0'), offset, 'latin1');
  if (bytes >= STAMPED_BYTES) writeTime(target, offset, 0);
}

export function writeTime(target: Buffer, payloadOffset: number, us: number): void {
  const digits = String(Math.round(us)).padStart(TIME_DIGITS, '0');
  target.write(` ${digits}`, payloadOffset + SEQUENCE_DIGITS, 'latin1');
}

/** Frames are masked (with the key 0, which is legal and leaves the payload as it is) or, from a server, not. */
export type Sender = 'client' | 'server';

export function headerBytes(payloadBytes: number, sender: Sender): number {
  const length = payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10;
  return sender === 'client' ? length + 4 : length;
}

/** Frames of one text message each, sequence numbers `first`, `first + 1`, …, in one buffer. */
export function buildFrames(count: number, bytes: number, first: number, sender: Sender): Buffer {
  const header = headerBytes(bytes, sender);
  const frame = header + bytes;
  const frames = Buffer.alloc(count * frame);
  for (let index = 0; index < count; index++) {
    const at = index * frame;
    writeHeader(frames, at, bytes, sender);
    writePayload(frames, at + header, bytes, first + index);
  }
  return frames;
}

function writeHeader(target: Buffer, at: number, bytes: number, sender: Sender): void {
  const masked = sender === 'client' ? 0x80 : 0;
  target[at] = 0x81;
  if (bytes < 126) {
    target[at + 1] = masked | bytes;
  } else if (bytes < 65_536) {
    target[at + 1] = masked | 126;
    target.writeUInt16BE(bytes, at + 2);
  } else {
    target[at + 1] = masked | 127;
    target.writeBigUInt64BE(BigInt(bytes), at + 2);
  }
}
