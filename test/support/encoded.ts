/** What a receiver makes of encoded bytes: WebSocket frames, also compressed ones, and events. */
import assert from 'node:assert/strict';
import { constants, inflateRawSync } from 'node:zlib';
import { EventParser, type StreamEvent } from './event-stream.ts';
import { type Frame, parseFrame } from './raw-socket.ts';

const RSV1 = 0x40;
const FLUSH_MARK: Buffer = Buffer.from([0, 0, 0xff, 0xff]);

/** Whole frames only; the payload of a compressed one is inflated. */
export function framesIn(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const next = parseFrame(rest) ?? assert.fail('the bytes end inside a frame');
    const { opcode, payload } = next.frame;
    const isCompressed = ((rest[0] as number) & RSV1) !== 0;
    frames.push(isCompressed ? { opcode, payload: inflated(payload) } : next.frame);
    rest = rest.subarray(next.end);
  }
  return frames;
}

/** All events of a whole stream, and what a browser would say it has seen. */
export function readEvents(bytes: Buffer): { readonly events: StreamEvent[]; readonly lastEventId: string } {
  const events: StreamEvent[] = [];
  const parser = new EventParser((event) => events.push(event));
  parser.push(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes));
  return { events, lastEventId: parser.lastEventId };
}

/** RFC 7692 7.2.2. */
function inflated(payload: Buffer): Buffer {
  return inflateRawSync(Buffer.concat([payload, FLUSH_MARK]), { finishFlush: constants.Z_SYNC_FLUSH });
}
