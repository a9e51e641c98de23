/**
 * Server-to-client WebSocket frames (RFC 6455 5.2): one unfragmented, unmasked frame per message. Written
 * into a caller's buffer, so that the frames of a whole block lie in one piece of memory.
 */

export const OPCODE_TEXT = 0x1;
export const OPCODE_BINARY = 0x2;

const FIN = 0x80;

/** An unsolicited or answering ping and pong without a payload, ready to write. */
export const PING_FRAME: Buffer = Buffer.from([FIN | 0x9, 0]);

/** How many bytes the header of a frame with this payload takes. */
export function frameHeaderLength(payloadLength: number): number {
  if (payloadLength < 126) return 2;
  return payloadLength < 65_536 ? 4 : 10;
}

/** Writes the frame at `offset` and returns the offset after it. */
export function writeFrame(target: Buffer, offset: number, opcode: number, payload: Buffer): number {
  const length = payload.length;
  target[offset] = FIN | opcode;
  let at = offset + 2;
  if (length < 126) {
    target[offset + 1] = length;
  } else if (length < 65_536) {
    target[offset + 1] = 126;
    target.writeUInt16BE(length, at);
    at += 2;
  } else {
    target[offset + 1] = 127;
    target.writeUInt32BE(Math.floor(length / 2 ** 32), at);
    target.writeUInt32BE(length % 2 ** 32, at + 4);
    at += 8;
  }
  target.set(payload, at);
  return at + length;
}
