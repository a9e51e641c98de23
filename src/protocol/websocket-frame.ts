/**
 * Server-to-client WebSocket frames (RFC 6455 5.2): one unfragmented, unmasked frame per message. Written
 * into a caller's buffer, so that the frames of a whole block lie in one piece of memory.
 */

export const OPCODE_TEXT = 0x1;
export const OPCODE_BINARY = 0x2;

/** Beside the opcode: the payload is compressed (RFC 7692). */
export const RSV1 = 0x40;

const FIN = 0x80;
const OPCODE_PONG = 0xa;
const MASKED = 0x80;
const MASK_BYTES = 4;
const MAX_CONTROL_BYTES = 125;

/** Without a payload, ready to write. A pong that nobody asked for is answered with nothing (RFC 6455 5.5.3). */
export const PING_FRAME: Buffer = Buffer.from([FIN | 0x9, 0]);
export const PONG_FRAME: Buffer = Buffer.from([FIN | OPCODE_PONG, 0]);

/** Whether a client's bytes are nothing but whole pongs: FIN and the opcode, a masked length, the mask. */
export function holdsOnlyPongs(bytes: Buffer): boolean {
  let at = 0;
  while (at < bytes.length) {
    const length = (bytes[at + 1] ?? 0) - MASKED;
    if (bytes[at] !== (FIN | OPCODE_PONG) || length < 0 || length > MAX_CONTROL_BYTES) return false;
    at += 2 + MASK_BYTES + length;
  }
  return at === bytes.length;
}

/** How many bytes the header of a frame with this payload takes. */
export function frameHeaderLength(payloadLength: number): number {
  if (payloadLength < 126) return 2;
  return payloadLength < 65_536 ? 4 : 10;
}

/** How many bytes the header of the frame that begins at `offset` takes. */
export function headerLengthAt(frames: Buffer, offset: number): number {
  const length = (frames[offset + 1] as number) & 0x7f;
  if (length < 126) return 2;
  return length === 126 ? 4 : 10;
}

/** Where the frame that begins at `offset` ends. */
export function frameEndAt(frames: Buffer, offset: number): number {
  const length = (frames[offset + 1] as number) & 0x7f;
  if (length < 126) return offset + 2 + length;
  if (length === 126) return offset + 4 + frames.readUInt16BE(offset + 2);
  return offset + 10 + Number(frames.readBigUInt64BE(offset + 2));
}

/** Writes the frame at `offset` and returns the offset after it. */
export function writeFrame(target: Buffer, offset: number, opcode: number, payload: Buffer): number {
  const at = writeFrameHeader(target, offset, opcode, payload.length);
  target.set(payload, at);
  return at + payload.length;
}

/** Writes the header of a frame at `offset` and returns where its payload goes. */
export function writeFrameHeader(target: Buffer, offset: number, opcode: number, length: number): number {
  target[offset] = FIN | opcode;
  if (length < 126) {
    target[offset + 1] = length;
    return offset + 2;
  }
  if (length < 65_536) {
    target[offset + 1] = 126;
    return target.writeUInt16BE(length, offset + 2);
  }
  target[offset + 1] = 127;
  target.writeUInt32BE(Math.floor(length / 2 ** 32), offset + 2);
  return target.writeUInt32BE(length % 2 ** 32, offset + 6);
}

/** One message of text, as a frame. */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafeSlow(frameHeaderLength(length) + length);
  frame.write(text, writeFrameHeader(frame, 0, OPCODE_TEXT, length));
  return frame;
}

/** One message of ASCII text as a frame, a character for each byte: to be written as latin1, many in one piece. */
export function asciiFrame(text: string): string {
  const { length } = text;
  if (length < 126) return `\x81${String.fromCharCode(length)}${text}`;
  if (length < 65_536) return `\x81\x7e${String.fromCharCode(length >> 8, length & 0xff)}${text}`;
  throw new RangeError(`a frame of ${length} characters is not made here`);
}
