/**
 * What a benchmark message says: `<sequence, 10 digits> <due time in µs, 16 digits> xxx…`. The sequence proves
 * order and completeness at every subscriber; the time is when the message was *due*, not when it was sent,
 * so that a publisher that falls behind cannot hide the delay (no coordinated omission).
 */
export const SEQUENCE_DIGITS = 10;
export const TIME_OFFSET = 11;
export const TIME_DIGITS = 16;
export const STAMPED_BYTES: number = TIME_OFFSET + TIME_DIGITS;

export function writePayload(target: Buffer, offset: number, bytes: number, sequence: number): void {
  target.fill(0x78, offset, offset + bytes);
  target.write(String(sequence).padStart(SEQUENCE_DIGITS, '0'), offset, 'latin1');
  if (bytes >= STAMPED_BYTES) writeTime(target, offset, 0);
}

export function writeTime(target: Buffer, payloadOffset: number, us: number): void {
  const digits = String(Math.round(us)).padStart(TIME_DIGITS, '0');
  target.write(` ${digits}`, payloadOffset + SEQUENCE_DIGITS, 'latin1');
}
