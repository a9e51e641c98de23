/**
 * WebSocket frames compressed as permessage-deflate has it (RFC 7692), without context takeover: a frame depends
 * on none before it, so it is compressed once and is the same bytes for every subscriber that agreed to it.
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
import { type Encodable, type Encoding, type Format, unitStart } from '../format.ts';
import { RAW } from './raw.ts';
import { V1 } from './v1.ts';

/** Below this a frame gains little, and setting the compressor up costs more than sending it. */
const MIN_BYTES = 1024;
/** What a sync flush ends with; the receiver puts it back (RFC 7692 7.2.1). */
const FLUSH_MARK_BYTES = 4;
const OPTIONS = { level: constants.Z_BEST_SPEED, finishFlush: constants.Z_SYNC_FLUSH };

class DeflatedFormat implements Format {
  readonly #plain: Format;

  constructor(plain: Format) {
    this.#plain = plain;
  }

  encode(block: Encodable, from: number, to: number): Encoding {
    const plain = this.#plain.encode(block, from, to);
    const frames: Buffer[] = [];
    const unitEnds = new Uint32Array(plain.unitEnds.length);
    let end = 0;
    for (let unit = 0; unit < unitEnds.length; unit++) {
      const frame = deflated(plain.bytes.subarray(unitStart(plain, unit), plain.unitEnds[unit]));
      frames.push(frame);
      end += frame.length;
      unitEnds[unit] = end;
    }
    const bytes = Buffer.allocUnsafeSlow(end);
    let at = 0;
    for (const frame of frames) at += frame.copy(bytes, at);
    return { bytes, unitEnds, entryEnds: plain.entryEnds };
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

/** The frame with its payload compressed, or itself where that would not make it smaller. */
function deflated(frame: Buffer): Buffer {
  const header = headerLengthAt(frame, 0);
  if (frame.length - header < MIN_BYTES) return frame;
  const flushed = deflateRawSync(frame.subarray(header), OPTIONS);
  const payload = flushed.subarray(0, flushed.length - FLUSH_MARK_BYTES);
  const length = frameHeaderLength(payload.length) + payload.length;
  if (length >= frame.length) return frame;
  const made = Buffer.allocUnsafe(length);
  const isBinary = ((frame[0] as number) & 0xf) === OPCODE_BINARY;
  payload.copy(
    made,
    writeFrameHeader(made, 0, RSV1 | (isBinary ? OPCODE_BINARY : OPCODE_TEXT), payload.length),
  );
  return made;
}
