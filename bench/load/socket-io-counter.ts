/**
 * Counts the events of a Socket.IO 4 client that uses WebSocket only.
 *
 *   ← 0{…}   → 40   ← 40{…}: connected   ← 42["m","<message>"] …   ← 2   → 3
 */
import type { Counter, Line } from './counter.ts';
import { FrameCounter } from './frame-counter.ts';
import { clientFrame } from './frames.ts';

const SOCKET_IO_LEAD = '42["m","';

const OPCODE_TEXT = 0x1;

export function socketIoCounter(line: Line): Counter {
  const send = (text: string) => line.send(clientFrame(OPCODE_TEXT, text));
  return new FrameCounter({
    tally: line.tally,
    lead: SOCKET_IO_LEAD,
    onControl: (opcode, payload) => line.control(opcode, payload),
    onOther: (payload) => {
      const text = payload.toString('utf8');
      if (text.startsWith('0')) send('40');
      else if (text.startsWith('40')) line.opened();
      else if (text === '2') send('3');
      else line.refused(text);
    },
  });
}
