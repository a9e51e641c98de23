/** Section 5.4: messages in several frames, and what may come between these. */
import { OPCODE } from '../support/raw-socket.ts';
import { binaryOf, type Case, closing, fragments, frame, text, textOf } from './case.ts';

const { continuation, binary, ping, pong } = OPCODE;

function pinged(...payloads: readonly string[]): Buffer[] {
  return payloads.map((payload) => Buffer.from(payload));
}

/** The first fragment of a text, and the last of any message. */
const begun: Buffer = text('begun', { fin: false });
const ended: Buffer = frame(continuation, ' ended');
const whole = [textOf('begun ended')];

function many(count: number): string[] {
  return Array.from({ length: count }, () => 'x');
}

const right: readonly Case[] = [
  { name: '5.4 a text in two fragments', send: [begun, ended], messages: whole, end: 'open' },
  {
    name: '5.4 a binary in three fragments',
    send: fragments(binary, [Buffer.from([0xff]), Buffer.from([0xfe]), Buffer.from([0])]),
    messages: [binaryOf(Buffer.from([0xff, 0xfe, 0]))],
    end: 'open',
  },
  {
    name: '5.4 empty fragments, all of them',
    send: fragments(OPCODE.text, ['', '', '']),
    messages: [textOf('')],
    end: 'open',
  },
  {
    name: '5.4 an empty first fragment',
    send: fragments(OPCODE.text, ['', 'x']),
    messages: [textOf('x')],
    end: 'open',
  },
  {
    name: '5.4 an empty fragment in the middle',
    send: fragments(OPCODE.text, ['a', '', 'b']),
    messages: [textOf('ab')],
    end: 'open',
  },
  {
    name: '5.4 an empty last fragment',
    send: fragments(OPCODE.text, ['a', '']),
    messages: [textOf('a')],
    end: 'open',
  },
  {
    name: '5.4 fragments of one byte',
    send: fragments(OPCODE.text, 'one by one'.split('')),
    messages: [textOf('one by one')],
    end: 'open',
  },
  {
    name: '5.4 two fragmented messages in a row',
    send: [...fragments(OPCODE.text, ['a', 'b']), ...fragments(binary, ['c', 'd'])],
    messages: [textOf('ab'), binaryOf('cd')],
    end: 'open',
  },
  {
    name: '5.4 fragmented and whole messages by turns',
    send: [
      text('1'),
      ...fragments(OPCODE.text, ['2', '3']),
      text('4'),
      ...fragments(binary, ['5', '6']),
      text('7'),
    ],
    messages: [textOf('1'), textOf('23'), textOf('4'), binaryOf('56'), textOf('7')],
    end: 'open',
  },
  {
    name: '5.4 a ping between fragments',
    send: [begun, frame(ping, 'between'), ended],
    messages: whole,
    pings: pinged('between'),
    end: 'open',
  },
  {
    name: '5.4 a ping and a pong between each of three fragments',
    send: [
      text('a', { fin: false }),
      frame(ping, '1'),
      frame(pong, 'x'),
      frame(continuation, 'b', { fin: false }),
      frame(ping, '2'),
      frame(pong, 'y'),
      frame(continuation, 'c'),
    ],
    messages: [textOf('abc')],
    pings: pinged('1', '2'),
    end: 'open',
  },
  {
    name: '5.4 a ping of 125 bytes between fragments',
    send: [begun, frame(ping, 'p'.repeat(125)), ended],
    messages: whole,
    pings: pinged('p'.repeat(125)),
    end: 'open',
  },
  {
    name: '5.4 an empty ping right behind an empty first fragment',
    send: [text('', { fin: false }), frame(ping), frame(continuation, 'z')],
    messages: [textOf('z')],
    pings: pinged(''),
    end: 'open',
  },
  {
    name: '5.4 large fragments',
    send: fragments(binary, [Buffer.alloc(20_000, 1), Buffer.alloc(20_000, 2), Buffer.alloc(20_000, 3)]),
    messages: [
      binaryOf(Buffer.concat([Buffer.alloc(20_000, 1), Buffer.alloc(20_000, 2), Buffer.alloc(20_000, 3)])),
    ],
    end: 'open',
  },
  {
    name: '5.4 a whole message of 64 KiB right behind fragments',
    send: [begun, ended, frame(binary, Buffer.alloc(65_536, 9))],
    messages: [...whole, binaryOf(Buffer.alloc(65_536, 9))],
    end: 'open',
  },
  {
    name: '5.4 a message of 128 fragments',
    send: fragments(OPCODE.text, many(128)),
    messages: [textOf('x'.repeat(128))],
    end: 'open',
  },
  {
    name: '5.4 a text whose characters are cut by its fragments',
    send: fragments(
      OPCODE.text,
      [...Buffer.from('κόσμε 😀')].map((byte) => Buffer.from([byte])),
    ),
    messages: [textOf('κόσμε 😀')],
    end: 'open',
  },
];

const wrong: readonly Case[] = [
  { name: '5.4 a continuation of nothing', send: [frame(continuation, 'x')], end: 1002 },
  { name: '5.4 an empty continuation of nothing', send: [frame(continuation)], end: 1002 },
  {
    name: '5.4 a continuation of nothing, not final',
    send: [frame(continuation, 'x', { fin: false })],
    end: 1002,
  },
  {
    name: '5.4 a continuation behind a whole message',
    send: [text('whole'), frame(continuation, 'x')],
    messages: [textOf('whole')],
    end: 1002,
  },
  {
    name: '5.4 a continuation behind the last fragment',
    send: [begun, ended, frame(continuation, 'x')],
    messages: whole,
    end: 1002,
  },
  {
    name: '5.4 a continuation behind the last fragment, and another message',
    send: [begun, ended, frame(continuation, 'x', { fin: false }), text('y')],
    messages: whole,
    end: 1002,
  },
  { name: '5.4 a text inside a fragmented text', send: [begun, text('inside'), ended], end: 1002 },
  { name: '5.4 a binary inside a fragmented text', send: [begun, frame(binary, 'inside'), ended], end: 1002 },
  {
    name: '5.4 a text inside a fragmented binary',
    send: [frame(binary, 'a', { fin: false }), text('inside')],
    end: 1002,
  },
  {
    name: '5.4 a fragmented text inside a fragmented text',
    send: [begun, text('inside', { fin: false }), ended],
    end: 1002,
  },
  { name: '5.4 an empty text inside a fragmented text', send: [begun, text(''), ended], end: 1002 },
  {
    name: '5.4 a text behind fragments and a ping, without their end',
    send: [begun, frame(ping, 'p'), text('inside')],
    pings: pinged('p'),
    end: 1002,
  },
  {
    name: '5.4 a ping in fragments',
    send: [frame(ping, 'a', { fin: false }), frame(continuation, 'b')],
    end: 1002,
  },
  {
    name: '5.4 a pong in fragments',
    send: [frame(pong, 'a', { fin: false }), frame(continuation, 'b')],
    end: 1002,
  },
  {
    name: '5.4 a ping in fragments inside a fragmented text',
    send: [begun, frame(ping, 'a', { fin: false }), ended],
    end: 1002,
  },
  {
    name: '5.4 a fragment without a mask',
    send: [begun, frame(continuation, 'x', { mask: null })],
    end: 1002,
  },
  {
    name: '5.4 a message of 129 fragments',
    send: fragments(OPCODE.text, many(129)),
    end: 1008,
  },
  {
    name: '5.4 a message of 1,000 fragments without an end',
    send: fragments(OPCODE.text, many(1000)).slice(0, -1),
    end: 1008,
  },
  {
    name: '5.4 a close inside a fragmented text, which is never whole',
    send: [begun, closing(1000), ended],
    end: 1000,
  },
  {
    name: '5.4 a close inside a fragmented text of half a character',
    send: [text(Buffer.from([0xc3]), { fin: false }), closing(1001)],
    end: 1001,
  },
];

export const FRAGMENTATION: readonly Case[] = [...right, ...wrong];
