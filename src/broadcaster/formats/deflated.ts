/**
 * WebSocket frames compressed as permessage-deflate has it (RFC 7692), without context takeover: a frame depends
 * on none before it, so it is compressed once and is the same bytes for every subscriber that agreed to it.
 *
 * An encoding is made in one go, so what it may spend on compressing is bounded: what is left then goes out as
 * it is, as plain frames or as stored pieces of a large one.
 */
import { constants, deflateRawSync } from 'node:zlib';
import type { Gap } from '../../log/log.ts';
import type { Cursor } from '../../protocol/cursor.ts';
import {
  frameHeaderLength,
  headerLengthAt,
  OPCODE_BINARY,
  OPCODE_TEXT,
  RSV1,
  writeFrameHeader,
} from '../../protocol/websocket-frame.ts';
import { type Encodable, type Encoding, type Format, type FormatName, unitStart } from '../format.ts';
import { RAW } from './raw.ts';
import { V1 } from './v1.ts';

/** Below this a frame gains little, and setting the compressor up costs more than sending it. */
const MIN_BYTES = 1024;
/** What is compressed in one call, and what a stored block of deflate can hold. */
const PIECE_BYTES = 65_535;
/**
 * What one encoding may spend, in bytes that come out of the compressor: its time goes by them (15 to 25 ns each,
 * whatever goes in), and setting it up takes as long as CALL_WORK of them. All of it is 4 to 8 ms.
 */
const MAX_WORK = 256 * 1024;
const CALL_WORK = 1024;
/** To write a byte takes half as long. */
const WRITES_PER_WORK = 2;
/** What a sync flush ends with; the receiver puts it back after a message (RFC 7692 7.2.1). */
const FLUSH_MARK_BYTES = 4;
const OPTIONS = { level: constants.Z_BEST_SPEED, finishFlush: constants.Z_SYNC_FLUSH };
/** The first byte of an empty stored block; the receiver's flush mark completes it. */
const STORED: Buffer = Buffer.from([0]);

class DeflatedFormat implements Format {
  readonly name: FormatName;
  readonly #plain: Format;

  constructor(plain: Format) {
    this.name = plain.name;
    this.#plain = plain;
  }

  encode(block: Encodable, from: number, to: number): Encoding {
    const isWhole = from === 0 && to === block.ids.length;
    const made = isWhole ? block.made(this.#plain) : null;
    const plain = made ?? this.#plain.encode(block, from, to);
    const compressor = new Compressor();
    const frames: Buffer[] = [];
    const unitEnds = new Uint32Array(plain.unitEnds.length);
    let end = 0;
    for (let unit = 0; unit < unitEnds.length; unit++) {
      const frame = compressor.frame(plain.bytes.subarray(unitStart(plain, unit), plain.unitEnds[unit]));
      frames.push(frame);
      end += frame.length;
      unitEnds[unit] = end;
    }
    const work = compressor.work * WRITES_PER_WORK;
    // Nothing gained: the bytes that others are sent are kept in memory once.
    if (end === plain.bytes.length) return { ...plain, work };
    const bytes = Buffer.allocUnsafeSlow(end);
    let at = 0;
    for (const frame of frames) at += frame.copy(bytes, at);
    return { bytes, unitEnds, entryEnds: plain.entryEnds, work };
  }

  notice(channel: string, gap: Gap): Buffer | null {
    return this.#plain.notice(channel, gap);
  }

  position(channel: string, cursor: Cursor): Buffer | null {
    return this.#plain.position(channel, cursor);
  }
}

export const RAW_DEFLATED: Format = new DeflatedFormat(RAW);
export const V1_DEFLATED: Format = new DeflatedFormat(V1);

/** Compresses the frames of one encoding until it has spent what it may. */
class Compressor {
  work = 0;

  /** The frame with its payload compressed, or itself where that would not make it smaller. */
  frame(plain: Buffer): Buffer {
    const header = headerLengthAt(plain, 0);
    if (plain.length - header < MIN_BYTES) return plain;
    const parts = this.#message(plain.subarray(header));
    if (parts === null) return plain;
    const payload = parts.reduce((sum, { length }) => sum + length, 0);
    const length = frameHeaderLength(payload) + payload;
    if (length >= plain.length) return plain;
    const isBinary = ((plain[0] as number) & 0xf) === OPCODE_BINARY;
    const made = Buffer.allocUnsafe(length);
    let at = writeFrameHeader(made, 0, RSV1 | (isBinary ? OPCODE_BINARY : OPCODE_TEXT), payload);
    for (const part of parts) at += part.copy(made, at);
    return made;
  }

  /** The compressed message; null when its beginning does not get smaller. */
  #message(payload: Buffer): Buffer[] | null {
    const parts: Buffer[] = [];
    let shrinks = true;
    for (let at = 0; at < payload.length; at += PIECE_BYTES) {
      const piece = payload.subarray(at, at + PIECE_BYTES);
      const flushed: Buffer | null = shrinks ? this.#piece(piece) : null;
      shrinks = flushed !== null;
      if (flushed !== null) parts.push(flushed);
      else if (at === 0) return null;
      else parts.push(storedHeader(piece.length), piece);
    }
    const last = parts.pop() as Buffer;
    if (shrinks) parts.push(last.subarray(0, last.length - FLUSH_MARK_BYTES));
    else parts.push(last, STORED);
    return parts;
  }

  /** Null when it did not get smaller, or all is spent. */
  #piece(piece: Buffer): Buffer | null {
    if (this.work >= MAX_WORK) return null;
    const flushed = deflateRawSync(piece, OPTIONS);
    this.work += CALL_WORK + flushed.length;
    return flushed.length < piece.length ? flushed : null;
  }
}

/** What a block of deflate begins with whose bytes are not compressed (RFC 1951 3.2.4). */
function storedHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(5);
  header[0] = 0;
  header.writeUInt16LE(length, 1);
  header.writeUInt16LE(~length & 0xffff, 3);
  return header;
}
