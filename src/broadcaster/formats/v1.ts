/** `rivercast.v1`: the entries of a block as a few `messages` frames, each small enough for any client. */
import type { Gap } from '../../log/log.ts';
import type { Cursor } from '../../protocol/cursor.ts';
import type { EntryId } from '../../protocol/id.ts';
import { messageJson } from '../../protocol/message-json.ts';
import {
  cursorFrame,
  gapFrame,
  MAX_FRAME_BYTES,
  MAX_FRAME_MESSAGES,
  MESSAGES_END,
  messagesStart,
} from '../../protocol/v1.ts';
import {
  frameHeaderLength,
  OPCODE_TEXT,
  textFrame,
  writeFrameHeader,
} from '../../protocol/websocket-frame.ts';
import type { Encodable, Encoding, Format } from '../format.ts';

interface MessagesFrame {
  readonly text: string;
  readonly bytes: number;
  /** The index after its last entry. */
  readonly entryEnd: number;
}

class V1Format implements Format {
  readonly name = 'v1';

  encode(block: Encodable, from: number, to: number): Encoding {
    const frames = framesOf(block, from, to);
    const size = frames.reduce((sum, { bytes }) => sum + frameHeaderLength(bytes) + bytes, 0);
    const bytes = Buffer.allocUnsafeSlow(size);
    const unitEnds = new Uint32Array(frames.length);
    const entryEnds = new Uint32Array(frames.length);
    let offset = 0;
    for (const [i, frame] of frames.entries()) {
      offset = writeFrameHeader(bytes, offset, OPCODE_TEXT, frame.bytes);
      offset += bytes.write(frame.text, offset);
      unitEnds[i] = offset;
      entryEnds[i] = frame.entryEnd - from;
    }
    return { bytes, unitEnds, entryEnds };
  }

  notice(channel: string, gap: Gap): Buffer {
    return textFrame(gapFrame(channel, gap));
  }

  position(channel: string, cursor: Cursor): Buffer {
    return textFrame(cursorFrame(channel, cursor));
  }
}

export const V1: Format = new V1Format();

function framesOf(block: Encodable, from: number, to: number): MessagesFrame[] {
  const start = messagesStart(block.channel, block.epoch);
  const empty = start.length + MESSAGES_END.length;
  const frames: MessagesFrame[] = [];
  let messages: string[] = [];
  let bytes = empty;
  const end = (entryEnd: number) => {
    frames.push({ text: `${start}${messages.join(',')}${MESSAGES_END}`, bytes, entryEnd });
    messages = [];
    bytes = empty;
  };
  for (let i = from; i < to; i++) {
    const message = messageJson(block.ids[i] as EntryId, block.typeAt(i), block.payloadAt(i));
    const more = Buffer.byteLength(message) + (messages.length > 0 ? 1 : 0);
    const isFull = messages.length === MAX_FRAME_MESSAGES || bytes + more > MAX_FRAME_BYTES;
    if (isFull && messages.length > 0) {
      end(i);
      bytes += more - 1;
    } else {
      bytes += more;
    }
    messages.push(message);
  }
  end(to);
  return frames;
}
