/** Server-sent events: each entry is one event, which carries the cursor after it. */
import type { Gap } from '../../log/log.ts';
import { type Cursor, formatCursor } from '../../protocol/cursor.ts';
import { binaryEvent, gapEvent, positionEvent, textEvent } from '../../protocol/sse.ts';
import type { Encodable, Encoding, Format } from '../format.ts';

class SseFormat implements Format {
  readonly name = 'sse';

  encode(block: Encodable, from: number, to: number): Encoding {
    const unitEnds = new Uint32Array(to - from);
    let text = '';
    let end = 0;
    for (let i = from; i < to; i++) {
      const event = eventOf(block, i);
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
    return Buffer.from(positionEvent(cursor));
  }
}

export const SSE: Format = new SseFormat();

function eventOf(block: Encodable, index: number): string {
  const cursor = formatCursor(block.cursorAt(index));
  const payload = block.payloadAt(index);
  return block.typeAt(index) === 'binary'
    ? binaryEvent(cursor, payload)
    : textEvent(cursor, payload.toString());
}
