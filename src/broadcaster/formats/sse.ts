/**
 * Server-sent events: each entry is one event, which carries the cursor after it. Its data is the payload, or the message
 * as `rivercast.v1` has it, which tells text from JSON and keeps every byte.
 */
import type { Gap } from '../../log/log.ts';
import { type Cursor, formatCursor } from '../../protocol/cursor.ts';
import type { EntryId } from '../../protocol/id.ts';
import { messageJson } from '../../protocol/message-json.ts';
import { binaryEvent, cursorEvent, gapEvent, positionEvent, textEvent } from '../../protocol/sse.ts';
import type { Encodable, Encoding, Format } from '../format.ts';

class SseFormat implements Format {
  readonly name = 'sse';
  readonly #eventOf: (block: Encodable, index: number) => string;
  readonly #positionOf: (cursor: Cursor) => string;

  constructor(eventOf: (block: Encodable, index: number) => string, positionOf: (cursor: Cursor) => string) {
    this.#eventOf = eventOf;
    this.#positionOf = positionOf;
  }

  encode(block: Encodable, from: number, to: number): Encoding {
    const unitEnds = new Uint32Array(to - from);
    let text = '';
    let end = 0;
    for (let i = from; i < to; i++) {
      const event = this.#eventOf(block, i);
      text += event;
      end += Buffer.byteLength(event);
      unitEnds[i - from] = end;
    }
    const bytes = Buffer.allocUnsafeSlow(end);
    bytes.write(text);
    return { bytes, unitEnds, entryEnds: null };
  }

  notice(_channel: string, gap: Gap): Buffer {
    return Buffer.from(gapEvent(gap));
  }

  position(_channel: string, cursor: Cursor): Buffer {
    return Buffer.from(this.#positionOf(cursor));
  }
}

export const SSE: Format = new SseFormat(payloadEvent, positionEvent);
export const SSE_V1: Format = new SseFormat(messageEvent, cursorEvent);

function payloadEvent(block: Encodable, index: number): string {
  const cursor = formatCursor(block.cursorAt(index));
  const payload = block.payloadAt(index);
  return block.typeAt(index) === 'binary'
    ? binaryEvent(cursor, payload)
    : textEvent(cursor, payload.toString());
}

function messageEvent(block: Encodable, index: number): string {
  const id = block.ids[index] as EntryId;
  const message = messageJson(id, block.typeAt(index), block.payloadAt(index));
  return textEvent(formatCursor(block.cursorAt(index)), message);
}
