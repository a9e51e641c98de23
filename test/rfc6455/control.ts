/** Sections 5.5, 5.5.1 to 5.5.3, 7.1 and 7.4: pings, pongs, closes and their codes. */
import { OPCODE } from '../support/raw-socket.ts';
import { type Case, closing, frame, text, textOf } from './case.ts';

const { ping, pong, close } = OPCODE;
const CONTROL = [
  ['ping', ping],
  ['pong', pong],
  ['close', close],
] as const;

const PAYLOADS: readonly (readonly [name: string, payload: Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['one byte', Buffer.from('x')],
  ['text', Buffer.from('are you there?')],
  ['what is no UTF-8', Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb])],
  ['124 bytes', Buffer.alloc(124, 'p')],
  ['125 bytes', Buffer.alloc(125, 0xfe)],
];

const pings: readonly Case[] = [
  ...PAYLOADS.flatMap(([name, payload]): Case[] => [
    { name: `5.5.2 a ping with ${name}`, send: [frame(ping, payload)], pings: [payload], end: 'open' },
    { name: `5.5.3 a pong with ${name} that nobody asked for`, send: [frame(pong, payload)], end: 'open' },
  ]),
  {
    name: '5.5.2 ten pings in a row: the last is answered',
    send: Array.from({ length: 10 }, (_, i) => frame(ping, `${i}`)),
    pings: Array.from({ length: 10 }, (_, i) => Buffer.from(`${i}`)),
    end: 'open',
  },
  {
    name: '5.5.2 pings between messages',
    send: [text('a'), frame(ping, '1'), text('b'), frame(ping, '2'), text('c')],
    messages: [textOf('a'), textOf('b'), textOf('c')],
    pings: [Buffer.from('1'), Buffer.from('2')],
    end: 'open',
  },
  {
    name: '5.5.3 a pong, then a ping',
    send: [frame(pong, 'unasked'), frame(ping, 'asked')],
    pings: [Buffer.from('asked')],
    end: 'open',
  },
];

const broken: readonly Case[] = CONTROL.flatMap(([name, opcode]): Case[] => [
  { name: `5.5 a ${name} that is not final`, send: [frame(opcode, '', { fin: false })], end: 1002 },
  {
    name: `5.5 a ${name} with 126 bytes`,
    send: [frame(opcode, Buffer.alloc(126, 3))],
    end: 1002,
  },
  { name: `5.5 a ${name} with 65,536 bytes`, send: [frame(opcode, Buffer.alloc(65_536, 3))], end: 1002 },
  {
    name: `5.5 a ${name} whose length of 5 is written with 16 bits`,
    send: [frame(opcode, Buffer.alloc(5, 3), { lengthBits: 16 })],
    end: 1002,
  },
  {
    name: `5.5 a ${name} whose length of 5 is written with 64 bits`,
    send: [frame(opcode, Buffer.alloc(5, 3), { lengthBits: 64 })],
    end: 1002,
  },
  {
    name: `5.5 a ${name} that announces 2^63`,
    send: [frame(opcode, '', { announced: 2n ** 63n })],
    end: 1002,
  },
]);

const CODES = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4408, 4999,
];
const NO_CODES = [0, 1, 500, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32_768, 65_535];

const codes: readonly Case[] = [
  ...CODES.flatMap((code): Case[] => [
    { name: `7.4 a close with ${code}`, send: [closing(code)], end: code, reason: '' },
    {
      name: `7.4 a close with ${code} and a reason`,
      send: [closing(code, 'goodbye')],
      end: code,
      reason: 'goodbye',
    },
  ]),
  ...NO_CODES.flatMap((code): Case[] => [
    { name: `7.4 a close with ${code}, which is none to send`, send: [closing(code)], end: 1002 },
    { name: `7.4 a close with ${code} and a reason`, send: [closing(code, 'goodbye')], end: 1002 },
  ]),
];

const closes: readonly Case[] = [
  { name: '5.5.1 a close with nothing in it', send: [frame(close)], end: 'empty' },
  { name: '5.5.1 a close with one byte', send: [frame(close, Buffer.from([3]))], end: 1002 },
  { name: '5.5.1 a close with a reason of one byte', send: [closing(1000, 'x')], end: 1000, reason: 'x' },
  {
    name: '5.5.1 a close with a reason of 123 bytes',
    send: [closing(1000, 'r'.repeat(123))],
    end: 1000,
    reason: 'r'.repeat(123),
  },
  { name: '5.5.1 a close with a reason of 124 bytes', send: [closing(1000, 'r'.repeat(124))], end: 1002 },
  {
    name: '5.5.1 a close with a reason beyond ASCII',
    send: [closing(1000, 'κόσμε 😀')],
    end: 1000,
    reason: 'κόσμε 😀',
  },
  {
    name: '5.5.1 a close with a reason that is no UTF-8',
    send: [closing(1000, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80]))],
    end: 1007,
  },
  {
    name: '5.5.1 a close with a reason that ends inside a character',
    send: [closing(1000, Buffer.from([0xf0, 0x9f]))],
    end: 1007,
  },
  {
    name: '5.5.1 a message behind a close',
    send: [closing(1000), text('too late')],
    end: 1000,
  },
  {
    name: '5.5.1 a large message behind a close',
    send: [closing(1000), frame(OPCODE.binary, Buffer.alloc(65_536))],
    end: 1000,
  },
  { name: '5.5.1 a ping behind a close', send: [closing(1000), frame(ping, 'too late')], end: 1000 },
  { name: '5.5.1 two closes', send: [closing(1001), closing(1000)], end: 1001 },
  {
    name: '5.5.1 what is wrong behind a close',
    send: [closing(1000), text('x', { mask: null }), frame(7, 'x')],
    end: 1000,
  },
  {
    name: '5.5.1 a message, then a close',
    send: [text('in time'), closing(1000)],
    messages: [textOf('in time')],
    end: 1000,
  },
  {
    name: '5.5.1 a hundred messages, then a close',
    send: [...Array.from({ length: 100 }, (_, i) => text(`${i}`)), closing(1001)],
    messages: Array.from({ length: 100 }, (_, i) => textOf(`${i}`)),
    end: 1001,
  },
  {
    name: '7.1.7 a message behind what is wrong',
    send: [text('right'), frame(3, 'wrong'), text('too late'), closing(1000)],
    messages: [textOf('right')],
    end: 1002,
  },
  {
    name: '7.1.7 a close behind what is wrong does not change the code',
    send: [text(Buffer.from([0xff])), closing(1000)],
    end: 1007,
  },
];

export const CONTROL_FRAMES: readonly Case[] = [...pings, ...broken, ...codes, ...closes];
