/** Sections 5.1 to 5.3, 5.6 and 9.1: what a frame is, its length, its mask, and what is reserved. */
import { OPCODE } from '../support/raw-socket.ts';
import { binaryOf, type Case, closing, fragments, frame, text, textOf } from './case.ts';

const { continuation, binary, ping, pong, close } = OPCODE;
const KINDS = Object.entries(OPCODE);

const unmasked: readonly Case[] = [
  ...KINDS.map(([name, opcode]): Case => {
    const data = opcode === close ? Buffer.from([3, 232]) : 'x';
    const begun = opcode === continuation ? [text('a', { fin: false })] : [];
    return {
      name: `5.1 a ${name} frame without a mask`,
      send: [...begun, frame(opcode, data, { mask: null })],
      end: 1002,
    };
  }),
  { name: '5.1 an empty text without a mask', send: [text('', { mask: null })], end: 1002 },
  {
    name: '5.1 a text of 200 bytes without a mask',
    send: [text('x'.repeat(200), { mask: null })],
    end: 1002,
  },
  {
    name: '5.1 a text of 70,000 bytes without a mask',
    send: [text('x'.repeat(70_000), { mask: null })],
    end: 1002,
  },
];

const MASKS = ['00000000', 'ffffffff', '00ff00ff', '80808080', '01020304', '37fa213d'];
const masks: readonly Case[] = MASKS.flatMap((mask) => [
  ...[1, 2, 3, 4, 5, 8, 13].map((length): Case => {
    const data = 'Hello, masked'.slice(0, length);
    return {
      name: `5.3 a text of ${length} bytes under the mask ${mask}`,
      send: [text(data, { mask })],
      messages: [textOf(data)],
      end: 'open',
    };
  }),
  {
    name: `5.3 a long binary under the mask ${mask}`,
    send: [frame(binary, Buffer.alloc(1003, 0xa5), { mask })],
    messages: [binaryOf(Buffer.alloc(1003, 0xa5))],
    end: 'open',
  },
]);

const LENGTHS = [0, 1, 124, 125, 126, 127, 128, 255, 256, 16_383, 16_384, 32_768, 65_534, 65_535, 65_536];
const lengths: readonly Case[] = LENGTHS.flatMap((length) => [
  {
    name: `5.2 a text of ${length} bytes`,
    send: [text('x'.repeat(length))],
    messages: [textOf('x'.repeat(length))],
    end: 'open',
  },
  {
    name: `5.2 a binary of ${length} bytes`,
    send: [frame(binary, Buffer.alloc(length, 0xfe))],
    messages: [binaryOf(Buffer.alloc(length, 0xfe))],
    end: 'open',
  },
]);

/** A client must not; what it means is clear, so it is read, as `ws` reads it. */
const longLengths: readonly Case[] = (
  [
    [16, 0],
    [16, 5],
    [16, 125],
    [64, 0],
    [64, 5],
    [64, 125],
    [64, 126],
    [64, 65_535],
  ] as const
).map(([lengthBits, length]) => ({
  name: `5.2 a length of ${length} written with ${lengthBits} bits`,
  send: [text('y'.repeat(length), { lengthBits })],
  messages: [textOf('y'.repeat(length))],
  end: 'open',
}));

const HUGE: readonly (readonly [name: string, length: bigint])[] = [
  ['2^32', 2n ** 32n],
  ['2^53 - 1', 2n ** 53n - 1n],
  ['2^53', 2n ** 53n],
  ['2^62', 2n ** 62n],
  ['2^63 - 1', 2n ** 63n - 1n],
  ['2^63, which has the highest bit', 2n ** 63n],
  ['2^64 - 1', 2n ** 64n - 1n],
];
const tooLong: readonly Case[] = [
  ...HUGE.flatMap(([name, announced]): Case[] => [
    { name: `5.2 a text that announces ${name}`, send: [text('x', { announced })], end: 1009 },
    { name: `5.2 a binary that announces ${name}`, send: [frame(binary, 'x', { announced })], end: 1009 },
    {
      name: `5.2 a continuation that announces ${name}`,
      send: [text('a', { fin: false }), frame(continuation, 'x', { announced })],
      end: 1009,
    },
  ]),
  {
    name: '5.2 a text of as many bytes as are allowed',
    send: (limit) => [text('x'.repeat(limit))],
    messages: (limit) => [textOf('x'.repeat(limit))],
    end: 'open',
  },
  {
    name: '5.2 a text that announces one byte more than is allowed',
    send: (limit) => [text('', { announced: BigInt(limit + 1) })],
    end: 1009,
  },
  {
    name: '5.2 a text of one byte more than is allowed, whole',
    send: (limit) => [text('x'.repeat(limit + 1))],
    end: 1009,
  },
  {
    name: '5.2 fragments that together have as many bytes as are allowed',
    send: (limit) => fragments(OPCODE.binary, [Buffer.alloc(limit - 10), Buffer.alloc(10)]),
    messages: (limit) => [binaryOf(Buffer.alloc(limit))],
    end: 'open',
  },
  {
    name: '5.2 fragments that together have one byte more than is allowed',
    send: (limit) => fragments(OPCODE.binary, [Buffer.alloc(limit - 10), Buffer.alloc(11)]),
    end: 1009,
  },
];

const reservedBits: readonly Case[] = [1, 2, 3, 4, 5, 6, 7].flatMap((rsv) =>
  KINDS.map(([name, opcode]): Case => {
    const begun = opcode === continuation ? [text('a', { fin: false })] : [];
    const data = opcode === close ? Buffer.from([3, 232]) : 'x';
    return {
      name: `5.2 a ${name} frame with the reserved bits ${rsv.toString(2).padStart(3, '0')}`,
      send: [...begun, frame(opcode, data, { rsv })],
      end: 1002,
    };
  }),
);

const RESERVED_OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];
const reservedOpcodes: readonly Case[] = RESERVED_OPCODES.flatMap((opcode) => [
  { name: `5.2 the reserved opcode ${opcode} and nothing`, send: [frame(opcode)], end: 1002 },
  { name: `5.2 the reserved opcode ${opcode} and a payload`, send: [frame(opcode, 'data')], end: 1002 },
  {
    name: `5.2 the reserved opcode ${opcode}, not final`,
    send: [frame(opcode, 'x', { fin: false })],
    end: 1002,
  },
  {
    name: `5.2 the reserved opcode ${opcode} inside a fragmented message`,
    send: [text('a', { fin: false }), frame(opcode, 'x'), frame(continuation, 'b')],
    end: 1002,
  },
]);

const data: readonly Case[] = [
  { name: '5.6 an empty text', send: [text('')], messages: [textOf('')], end: 'open' },
  { name: '5.6 an empty binary', send: [frame(binary)], messages: [binaryOf('')], end: 'open' },
  {
    name: '5.6 a binary of every byte',
    send: [frame(binary, Buffer.from(Array.from({ length: 256 }, (_, i) => i)))],
    messages: [binaryOf(Buffer.from(Array.from({ length: 256 }, (_, i) => i)))],
    end: 'open',
  },
  {
    name: '5.6 a text that looks like a frame',
    send: [text(Buffer.from('017e00010281', 'hex').subarray(0, 5))],
    messages: [textOf(Buffer.from('017e000102', 'hex'))],
    end: 'open',
  },
  {
    name: '5.6 a hundred small messages of both types',
    send: Array.from({ length: 100 }, (_, i) => frame(i % 2 === 0 ? OPCODE.text : binary, `message ${i}`)),
    messages: Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? textOf : binaryOf)(`message ${i}`)),
    end: 'open',
  },
  {
    name: '5.6 a small message behind a large one',
    send: [frame(binary, Buffer.alloc(60_000, 1)), text('small')],
    messages: [binaryOf(Buffer.alloc(60_000, 1)), textOf('small')],
    end: 'open',
  },
  {
    name: '5.7 the example: "Hello", masked',
    send: [Buffer.from('818537fa213d7f9f4d5158', 'hex')],
    messages: [textOf('Hello')],
    end: 'open',
  },
  {
    name: '5.7 the example: a masked pong that nobody asked for',
    send: [Buffer.from('8a8537fa213d7f9f4d5158', 'hex')],
    end: 'open',
  },
  {
    name: '5.7 the example: a ping of "Hello", masked',
    send: [frame(ping, 'Hello')],
    pings: [Buffer.from('Hello')],
    end: 'open',
  },
  {
    name: '9.1 no extension agreed: a compressed text',
    send: [text(Buffer.from('f248cdc9c90700', 'hex'), { rsv: 4 })],
    end: 1002,
  },
  {
    name: '9.1 no extension agreed: a pong with a reserved bit, then a close',
    send: [frame(pong, '', { rsv: 4 }), closing(1000)],
    end: 1002,
  },
];

export const FRAMING: readonly Case[] = [
  ...unmasked,
  ...masks,
  ...lengths,
  ...longLengths,
  ...tooLong,
  ...reservedBits,
  ...reservedOpcodes,
  ...data,
];
