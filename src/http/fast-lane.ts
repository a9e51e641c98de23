/**
 * Incoming messages of publishers on the shortest way. A whole, unfragmented, masked message that came in one piece
 * of modest size is taken out of the chunk where it lies: one view of the bytes, and no state. Everything else
 * (control frames, fragments, large or cut frames, whatever breaks the protocol) goes frame by frame to `ws`, which
 * answers for the protocol. Since this lane knows where each frame ends, `ws` never sees a byte that is not its own.
 *
 * What follows a close, or a frame that breaks the protocol, is discarded, as `ws` would. Whether a fragmented
 * message was right `ws` says only once this turn is over: until then all that follows it goes to `ws` as well.
 */
import { isUtf8 } from 'node:buffer';

const NOTHING: Buffer = Buffer.alloc(0);

const FINAL = 0x80;
const RESERVED_BITS = 0x70;
const FINAL_TEXT = 0x81;
const FINAL_BINARY = 0x82;
const OPCODE_CONTINUATION = 0;
const OPCODE_BINARY = 2;
const OPCODE_CLOSE = 8;
const OPCODE_PONG = 10;
const MAX_CONTROL_BYTES = 125;
const MASKED = 0x80;
const MASK_BYTES = 4;
const HIGH_BIT = 0x80;
/** The high bit of each byte of a word. */
const HIGH_BITS: number = 0x80808080 | 0;
/** A larger frame that is cut goes to `ws` as it comes: only the beginning of a small one is ever kept here. */
const MAX_KEPT_BYTES: number = 16 * 1024;

export interface LaneOptions {
  /** A longer message goes to `ws`, which refuses it. */
  readonly maxMessageBytes: number;
  /** A message. The bytes are the receiver's to keep; text is UTF-8. */
  readonly receive: (data: Buffer, isBinary: boolean) => void;
  /** Bytes for `ws`: the whole of a frame, in one piece or several. */
  readonly pass: (bytes: Buffer) => void;
  /** False once the connection is being closed: `ws` then gets everything. */
  readonly isOpen: () => boolean;
}

/** What the first bytes of a frame say. */
interface Head {
  readonly headerBytes: number;
  readonly payloadBytes: number;
}

export class FastLane {
  readonly #options: LaneOptions;
  /** The beginning of a frame whose rest has not arrived. */
  #rest: Buffer = NOTHING;
  /** Of the frame that `ws` is reading, so many bytes are to come. */
  #owed = 0;
  /** Between the first and the last frame of a fragmented message. */
  #isFragmented = false;
  /** Something in this chunk went to `ws` that it may yet find wrong. */
  #isInDoubt = false;
  #hasEnded = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Bytes came. They are changed in place. */
  feed(chunk: Buffer): void {
    if (this.#hasEnded && this.#owed === 0) return;
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = NOTHING;
    this.#isInDoubt = this.#isFragmented || this.#owed > 0;
    const words = wordsOf(bytes);
    let at = this.#owed > 0 ? this.#pass(bytes, 0, this.#owed) : 0;
    while (at < bytes.length && !this.#hasEnded) {
      const next = this.#frame(bytes, at, words);
      if (next === at) {
        // A copy: the chunk it lies in is much larger, and would be kept as long.
        this.#rest = Buffer.from(bytes.subarray(at));
        return;
      }
      at = next;
    }
  }

  /** Takes the frame at `at`; returns where the next begins, or `at` when it has not arrived. */
  #frame(bytes: Buffer, at: number, words: Words): number {
    const head = headOf(bytes, at);
    if (head === null) return at;
    const { headerBytes, payloadBytes } = head;
    const frameBytes = headerBytes + payloadBytes;
    if (!this.#isSimple(bytes, at, head)) {
      this.#follow(bytes, at);
      return this.#pass(bytes, at, frameBytes);
    }
    if (at + frameBytes > bytes.length) {
      return frameBytes <= MAX_KEPT_BYTES ? at : this.#passInDoubt(bytes, at, frameBytes);
    }
    this.#message(bytes, at, head, words);
    return at + frameBytes;
  }

  #isSimple(bytes: Buffer, at: number, { payloadBytes }: Head): boolean {
    const first = bytes[at];
    return (
      (first === FINAL_TEXT || first === FINAL_BINARY) &&
      ((bytes[at + 1] as number) & MASKED) !== 0 &&
      payloadBytes <= this.#options.maxMessageBytes &&
      !this.#isFragmented &&
      !this.#isInDoubt &&
      this.#options.isOpen()
    );
  }

  #message(bytes: Buffer, at: number, { headerBytes, payloadBytes }: Head, words: Words): void {
    const start = at + headerBytes;
    const end = start + payloadBytes;
    const isAscii = unmask(bytes, start, end, words);
    const data = bytes.subarray(start, end);
    const isBinary = bytes[at] === FINAL_BINARY;
    if (isBinary || isAscii || isUtf8(data)) {
      this.#options.receive(data, isBinary);
      return;
    }
    // As it came, for `ws` to refuse.
    unmask(bytes, start, end, words);
    this.#hasEnded = true;
    this.#pass(bytes, at, headerBytes + payloadBytes);
  }

  #pass(bytes: Buffer, at: number, count: number): number {
    const end = Math.min(bytes.length, at + count);
    this.#owed = at + count - end;
    this.#options.pass(bytes.subarray(at, end));
    return end;
  }

  #passInDoubt(bytes: Buffer, at: number, count: number): number {
    this.#isInDoubt = true;
    return this.#pass(bytes, at, count);
  }

  /** What a frame that goes to `ws` means for those behind it. */
  #follow(bytes: Buffer, at: number): void {
    const first = bytes[at] as number;
    const second = bytes[at + 1] as number;
    const opcode = first & 0x0f;
    const isFinal = (first & FINAL) !== 0;
    const isMasked = (second & MASKED) !== 0;
    const shortLength = second & ~MASKED;
    if (!isMasked || (first & RESERVED_BITS) !== 0) this.#hasEnded = true;
    else if (opcode > OPCODE_BINARY) this.#hasEnded = !isHarmlessControl(opcode, isFinal, shortLength);
    else {
      this.#hasEnded = (opcode === OPCODE_CONTINUATION) !== this.#isFragmented;
      this.#isFragmented = !isFinal;
      this.#isInDoubt = true;
    }
  }
}

/** The length of a control frame has 7 bits: `ws` takes one written with more for wrong, however small it is. */
function isHarmlessControl(opcode: number, isFinal: boolean, shortLength: number): boolean {
  return opcode > OPCODE_CLOSE && opcode <= OPCODE_PONG && isFinal && shortLength <= MAX_CONTROL_BYTES;
}

/** Null: too few bytes to tell. */
function headOf(bytes: Buffer, at: number): Head | null {
  if (at + 2 > bytes.length) return null;
  const second = bytes[at + 1] as number;
  const short = second & 0x7f;
  const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
  const headerBytes = 2 + lengthBytes + ((second & MASKED) === 0 ? 0 : MASK_BYTES);
  if (at + headerBytes > bytes.length) return null;
  if (lengthBytes === 0) return { headerBytes, payloadBytes: short };
  if (lengthBytes === 2) return { headerBytes, payloadBytes: bytes.readUInt16BE(at + 2) };
  return { headerBytes, payloadBytes: Number(bytes.readBigUInt64BE(at + 2)) };
}

/** The bytes of a chunk as words, as far as they are aligned: word 0 begins at byte `from`. */
interface Words {
  readonly list: Int32Array;
  readonly from: number;
}

function wordsOf(bytes: Buffer): Words {
  const from = (4 - (bytes.byteOffset & 3)) & 3;
  const count = Math.max(0, (bytes.length - from) >> 2);
  return {
    from,
    list: count === 0 ? NO_WORDS : new Int32Array(bytes.buffer, bytes.byteOffset + from, count),
  };
}

const NO_WORDS = new Int32Array(0);
/** Four bytes of a mask as a word, in the order of this machine. */
const maskBytes = new Uint8Array(MASK_BYTES);
const maskWord = new Int32Array(maskBytes.buffer);

/** Undoes the mask that lies before `start`, or puts it on again. True when all of the result is ASCII. */
function unmask(bytes: Buffer, start: number, end: number, { list, from }: Words): boolean {
  const firstWord = Math.min(list.length, (Math.max(0, start - from) + 3) >> 2);
  const wordsAt = Math.min(end, Math.max(start, from + firstWord * 4));
  const lastWord = Math.max(firstWord, Math.min(list.length, (end - from) >> 2));
  const restAt = Math.max(wordsAt, from + lastWord * 4);
  const maskAt = start - MASK_BYTES;
  let high = unmaskBytes(bytes, start, wordsAt, maskAt);
  if (lastWord > firstWord) {
    for (let i = 0; i < MASK_BYTES; i++) {
      maskBytes[i] = bytes[maskAt + ((wordsAt - start + i) & 3)] as number;
    }
    const mask = maskWord[0] as number;
    for (let i = firstWord; i < lastWord; i++) {
      const word = (list[i] as number) ^ mask;
      list[i] = word;
      high |= word & HIGH_BITS;
    }
  }
  if (wordsAt < end) high |= unmaskBytes(bytes, restAt, end, maskAt);
  return high === 0;
}

/** Those from `at` to `end`; the payload begins behind the mask. Returns their high bits. */
function unmaskBytes(bytes: Buffer, at: number, end: number, maskAt: number): number {
  const start = maskAt + MASK_BYTES;
  let all = 0;
  for (let i = at; i < end; i++) {
    const byte = (bytes[i] as number) ^ (bytes[maskAt + ((i - start) & 3)] as number);
    bytes[i] = byte;
    all |= byte;
  }
  return all & HIGH_BIT;
}
