/**
 * Frames as clients send them (RFC 6455 5.2): what their heads say, and their masks undone in place, four bytes at
 * a time.
 */
export const FINAL = 0x80;
export const MASKED = 0x80;
const MASK_BYTES = 4;
/** The longest: with a length of eight bytes, and a mask. */
export const MAX_HEAD_BYTES: number = 2 + 8 + MASK_BYTES;
const HIGH_BIT = 0x80;
/** The high bit of each byte of a word. */
const HIGH_BITS: number = 0x80808080 | 0;

/** What the first bytes of a frame say: where it begins, its payload begins, and it ends. */
export interface Head {
  readonly at: number;
  readonly start: number;
  readonly end: number;
}

/**
 * One for all, since a flood of the smallest frames would leave millions of them a second to the collector.
 */
const last = { at: 0, start: 0, end: 0 };

/** Null: too few bytes to tell. What is returned holds until the next call. */
export function headOf(bytes: Buffer, at: number): Head | null {
  if (at + 2 > bytes.length) return null;
  const second = bytes[at + 1] as number;
  const short = second & 0x7f;
  const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
  const start = at + 2 + lengthBytes + ((second & MASKED) === 0 ? 0 : MASK_BYTES);
  if (start > bytes.length) return null;
  last.at = at;
  last.start = start;
  last.end = start + payloadBytes(bytes, at, lengthBytes);
  return last;
}

function payloadBytes(bytes: Buffer, at: number, lengthBytes: number): number {
  if (lengthBytes === 0) return (bytes[at + 1] as number) & 0x7f;
  if (lengthBytes === 2) return bytes.readUInt16BE(at + 2);
  return Number(bytes.readBigUInt64BE(at + 2));
}

/** A whole message is one frame with a mask of zeros, whose payload follows. `first`: its first byte. */
export function clientHeader(first: number, payloadBytes: number): Buffer {
  const isShort = payloadBytes < 126;
  const header = Buffer.alloc((isShort ? 2 : 10) + MASK_BYTES);
  header[0] = first;
  header[1] = MASKED | (isShort ? payloadBytes : 127);
  if (!isShort) header.writeBigUInt64BE(BigInt(payloadBytes), 2);
  return header;
}

/** The bytes of a chunk as words, as far as they are aligned: word 0 begins at byte `from`. */
export interface Words {
  readonly list: Int32Array;
  readonly from: number;
}

export function wordsOf(bytes: Buffer): Words {
  const from = (4 - (bytes.byteOffset & 3)) & 3;
  const count = Math.max(0, (bytes.length - from) >> 2);
  return {
    from,
    list: count === 0 ? NO_WORDS : new Int32Array(bytes.buffer, bytes.byteOffset + from, count),
  };
}

const NO_WORDS = new Int32Array(0);
/** The mask at work, as the payload's bytes meet it, and the same turned to where its first whole word begins. */
const key = new Uint8Array(MASK_BYTES);
const turned = new Uint8Array(MASK_BYTES);
/** In the order of this machine. */
const turnedWord = new Int32Array(turned.buffer);

/** The mask of a payload of which the first bytes are undone. */
export class Mask {
  readonly #next: Uint8Array = new Uint8Array(MASK_BYTES);

  /** Of the frame whose payload begins at `start`. */
  set(bytes: Buffer, start: number): void {
    for (let i = 0; i < MASK_BYTES; i++) this.#next[i] = bytes[start - MASK_BYTES + i] as number;
  }

  /** Undoes it from `start` to `end`: the next bytes of the payload. */
  undo(bytes: Buffer, start: number, end: number, words: Words): void {
    key.set(this.#next);
    apply(bytes, start, end, words);
    for (let i = 0; i < MASK_BYTES; i++) this.#next[i] = key[(end - start + i) & 3] as number;
  }
}

/** Undoes the mask that lies before `start`. True when all of the result is ASCII. */
export function unmask(bytes: Buffer, start: number, end: number, words: Words): boolean {
  for (let i = 0; i < MASK_BYTES; i++) key[i] = bytes[start - MASK_BYTES + i] as number;
  return apply(bytes, start, end, words);
}

function apply(bytes: Buffer, start: number, end: number, { list, from }: Words): boolean {
  const firstWord = Math.min(list.length, (Math.max(0, start - from) + 3) >> 2);
  const wordsAt = Math.min(end, Math.max(start, from + firstWord * 4));
  const lastWord = Math.max(firstWord, Math.min(list.length, (end - from) >> 2));
  const restAt = Math.max(wordsAt, from + lastWord * 4);
  let high = applyBytes(bytes, start, start, wordsAt);
  if (lastWord > firstWord) {
    for (let i = 0; i < MASK_BYTES; i++) turned[i] = key[(wordsAt - start + i) & 3] as number;
    const mask = turnedWord[0] as number;
    for (let i = firstWord; i < lastWord; i++) {
      const word = (list[i] as number) ^ mask;
      list[i] = word;
      high |= word & HIGH_BITS;
    }
  }
  if (wordsAt < end) high |= applyBytes(bytes, start, restAt, end);
  return high === 0;
}

/** To those from `at` to `end` of a payload that begins at `start`. Returns their high bits. */
function applyBytes(bytes: Buffer, start: number, at: number, end: number): number {
  let all = 0;
  for (let i = at; i < end; i++) {
    const byte = (bytes[i] as number) ^ (key[(i - start) & 3] as number);
    bytes[i] = byte;
    all |= byte;
  }
  return all & HIGH_BIT;
}
