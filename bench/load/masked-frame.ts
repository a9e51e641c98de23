/**
 * The text message of a client as a masked frame whose number changes from one to the next: made once, and then
 * only its digits are written anew. The mask is a random one, as a browser's is: the server has to undo it.
 */
import { randomBytes } from 'node:crypto';

const TEXT_FRAME = 0x81;
const MASKED = 0x80;
const MASK_BYTES = 4;
const ZERO = 0x30;

export class MaskedFrame {
  /** Bytes of one, header and all. */
  readonly stride: number;
  readonly #bytes: Buffer;
  readonly #mask: Buffer = randomBytes(MASK_BYTES);
  /** Where the digits of the number are, in the frame. */
  readonly #digits: readonly { readonly at: number; readonly mask: number }[][];

  /** `text` holds runs of ten `#`, each in place of the number. */
  constructor(text: string) {
    const payload = Buffer.from(text);
    const header = payload.length < 126 ? Buffer.alloc(2) : Buffer.alloc(4);
    header[0] = TEXT_FRAME;
    header[1] = MASKED | (payload.length < 126 ? payload.length : 126);
    if (header.length === 4) header.writeUInt16BE(payload.length, 2);
    const start = header.length + MASK_BYTES;
    const maskAt = (index: number): number => this.#mask[index % MASK_BYTES] as number;
    this.#digits = [...text.matchAll(/#{10}/g)].map(({ index }) =>
      Array.from({ length: 10 }, (_, i) => ({ at: start + index + i, mask: maskAt(index + i) })),
    );
    const masked = payload.map((byte, index) => byte ^ maskAt(index));
    this.#bytes = Buffer.concat([header, this.#mask, masked]);
    this.stride = this.#bytes.length;
  }

  /** `count` of them with the numbers from `first` on, in a buffer of their own. Numbers have ten digits at most. */
  run(first: number, count: number): Buffer {
    const buffer = Buffer.allocUnsafe(count * this.stride);
    for (let index = 0; index < count; index++) {
      const base = index * this.stride;
      buffer.set(this.#bytes, base);
      for (const places of this.#digits) {
        let rest = first + index;
        for (let place = places.length - 1; place >= 0; place--) {
          const { at, mask } = places[place] as { at: number; mask: number };
          buffer[base + at] = (ZERO + (rest % 10)) ^ mask;
          rest = Math.floor(rest / 10);
        }
      }
    }
    return buffer;
  }
}
