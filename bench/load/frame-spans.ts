/**
 * Takes WebSocket frames off a byte stream whose own items do not care for their borders: NATS puts several
 * operations into a frame and may cut one anywhere. Hands on what lies inside, as it comes.
 */
export interface SpanSink {
  /** Bytes of the inner stream, from `at` to `end` of `bytes`. */
  walk(bytes: Uint8Array, at: number, end: number): void;
  control(opcode: number, payload: Buffer): void;
}

const FIRST_CONTROL_OPCODE = 0x8;
const LONGEST_HEADER = 10;

export class FrameSpans {
  readonly #sink: SpanSink;
  readonly #header: Buffer = Buffer.alloc(LONGEST_HEADER);
  #headerBytes = 0;
  #left = 0;
  #opcode = 0;
  #control: Buffer[] = [];

  constructor(sink: SpanSink) {
    this.#sink = sink;
  }

  consume(chunk: Uint8Array, length: number): void {
    let at = 0;
    while (at < length) {
      if (this.#left === 0) {
        at = this.#readHeader(chunk, at, length);
      } else {
        const end = Math.min(length, at + this.#left);
        this.#left -= end - at;
        this.#inside(chunk, at, end);
        at = end;
      }
    }
  }

  #inside(chunk: Uint8Array, at: number, end: number): void {
    if (this.#opcode < FIRST_CONTROL_OPCODE) {
      this.#sink.walk(chunk, at, end);
      return;
    }
    this.#control.push(Buffer.from(chunk.subarray(at, end)));
    if (this.#left === 0) this.#controlEnds();
  }

  /** Byte by byte: a header is short, comes once in many kilobytes, and may be cut too. */
  #readHeader(chunk: Uint8Array, from: number, length: number): number {
    let at = from;
    while (at < length) {
      this.#header[this.#headerBytes++] = chunk[at++] as number;
      if (this.#headerBytes >= 2 && this.#headerBytes === headerLength(this.#header[1] as number)) {
        this.#frameBegins();
        return at;
      }
    }
    return at;
  }

  #frameBegins(): void {
    const short = (this.#header[1] as number) & 0x7f;
    if (short === 127) this.#left = Number(this.#header.readBigUInt64BE(2));
    else this.#left = short === 126 ? this.#header.readUInt16BE(2) : short;
    this.#opcode = (this.#header[0] as number) & 0x0f;
    this.#headerBytes = 0;
    if (this.#left === 0 && this.#opcode >= FIRST_CONTROL_OPCODE) this.#controlEnds();
  }

  #controlEnds(): void {
    const payload = Buffer.concat(this.#control);
    this.#control = [];
    this.#sink.control(this.#opcode, payload);
  }
}

function headerLength(second: number): number {
  const short = second & 0x7f;
  if (short === 127) return LONGEST_HEADER;
  return short === 126 ? 4 : 2;
}
