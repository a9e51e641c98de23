/** A case of the suite, as data: the frames a client sends, and what must come of them at every door. */
import { OPCODE } from '../support/raw-socket.ts';

export interface Message {
  readonly type: 'text' | 'binary';
  readonly data: Buffer;
}

export interface Case {
  /** Begins with the section of RFC 6455. */
  readonly name: string;
  /** A function is given how large a message may be at the door. */
  readonly send: readonly Buffer[] | ((limit: number) => readonly Buffer[]);
  /** The messages that are whole and right: stored where publishers come in, each answered in v1. */
  readonly messages?: readonly Message[] | ((limit: number) => readonly Message[]);
  /** The payloads of the pings that are right, in order. */
  readonly pings?: readonly Buffer[];
  /** The code of the close frame that comes back; `empty` for one without a code, `open` when none does. */
  readonly end: number | 'empty' | 'open';
  /** The reason of that close frame, where the client gave it. */
  readonly reason?: string;
}

export interface FrameOptions {
  readonly fin?: boolean;
  readonly rsv?: number;
  /** In hex; null: the frame is not masked. */
  readonly mask?: string | null;
  /** How many bits the length is written with: 7, 16 or 64. By default the fewest. */
  readonly lengthBits?: 7 | 16 | 64;
  /** The length that is announced, when it is another than that of the payload. */
  readonly announced?: bigint;
}

/** The mask of the examples of RFC 6455 5.7. */
const MASK = '37fa213d';

/** A frame as a client sends it. */
export function frame(opcode: number, payload: Buffer | string = '', options: FrameOptions = {}): Buffer {
  const { fin = true, rsv = 0, mask = MASK } = options;
  const data = Buffer.from(payload);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const length = lengthBytes(options.announced ?? BigInt(data.length), options.lengthBits);
  if (mask === null) return Buffer.concat([Buffer.from([first]), length, data]);
  const key = Buffer.from(mask, 'hex');
  length[0] = (length[0] as number) | 0x80;
  const masked = data.map((byte, i) => byte ^ (key[i % 4] as number));
  return Buffer.concat([Buffer.from([first]), length, key, masked]);
}

function lengthBytes(length: bigint, bits: number = length < 126n ? 7 : length < 65_536n ? 16 : 64): Buffer {
  if (bits === 7) return Buffer.from([Number(length)]);
  const bytes = Buffer.alloc(1 + bits / 8);
  bytes[0] = bits === 16 ? 126 : 127;
  if (bits === 16) bytes.writeUInt16BE(Number(length), 1);
  else bytes.writeBigUInt64BE(length, 1);
  return bytes;
}

export function text(payload: Buffer | string, options: FrameOptions = {}): Buffer {
  return frame(OPCODE.text, payload, options);
}

export function closing(code: number, reason: Buffer | string = ''): Buffer {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
  payload.writeUInt16BE(code);
  return frame(OPCODE.close, payload);
}

/** A message in fragments: the first with the opcode, the others continuations, the last final. */
export function fragments(
  opcode: number,
  parts: readonly (Buffer | string)[],
  options: FrameOptions = {},
): Buffer[] {
  return parts.map((part, i) =>
    frame(i === 0 ? opcode : OPCODE.continuation, part, { ...options, fin: i === parts.length - 1 }),
  );
}

export function textOf(data: Buffer | string): Message {
  return { type: 'text', data: Buffer.from(data) };
}

export function binaryOf(data: Buffer | string): Message {
  return { type: 'binary', data: Buffer.from(data) };
}
