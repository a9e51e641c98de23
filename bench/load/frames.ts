/** Frames of a client: masked with the key 0, which is legal and leaves the payload as it is. */

const MASKED = 0x80;
const FINAL = 0x80;

/** Short ones only, up to 65,535 bytes. */
export function clientFrame(opcode: number, payload: string | Uint8Array): Buffer {
  const body = Buffer.from(payload as Uint8Array);
  const length =
    body.length < 126
      ? [MASKED | body.length]
      : [MASKED | 126, Math.floor(body.length / 256), body.length % 256];
  return Buffer.concat([Buffer.from([FINAL | opcode, ...length, 0, 0, 0, 0]), body]);
}
