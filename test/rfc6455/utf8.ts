/**
 * Section 8.1: text is UTF-8, or the connection ends with 1007. The vectors are those of Markus Kuhn's "UTF-8
 * decoder capability and stress test", with his numbers; his bytes of 1 to 6, where Unicode ends at 4.
 */
import { OPCODE } from '../support/raw-socket.ts';
import { binaryOf, type Case, fragments, frame, text, textOf } from './case.ts';

type Vector = readonly [name: string, hex: string];

const VALID: readonly Vector[] = [
  ['1 κόσμε', 'cebae1bdb9cf83cebcceb5'],
  ['2.1.1 the first of 1 byte, U+0000', '00'],
  ['2.1.2 the first of 2 bytes, U+0080', 'c280'],
  ['2.1.3 the first of 3 bytes, U+0800', 'e0a080'],
  ['2.1.4 the first of 4 bytes, U+10000', 'f0908080'],
  ['2.2.1 the last of 1 byte, U+007F', '7f'],
  ['2.2.2 the last of 2 bytes, U+07FF', 'dfbf'],
  ['2.2.3 the last of 3 bytes, U+FFFF', 'efbfbf'],
  ['2.3.1 U+D7FF', 'ed9fbf'],
  ['2.3.2 U+E000', 'ee8080'],
  ['2.3.3 U+FFFD', 'efbfbd'],
  ['2.3.4 the last, U+10FFFF', 'f48fbfbf'],
  ['5.3.1 U+FFFE, no character', 'efbfbe'],
  ['5.3.3 U+FDD0 to U+FDD1, no characters', 'efb790efb791'],
  ['5.3.4 U+1FFFE, no character', 'f09fbfbe'],
  ['5.3.4 U+10FFFE, no character', 'f48fbfbe'],
  ['a byte order mark', 'efbbbf78'],
  ['four lengths in a row', '41c3a9e282acf09f9880'],
];

const INVALID: readonly Vector[] = [
  ['2.1.5 the first of 5 bytes', 'f888808080'],
  ['2.1.6 the first of 6 bytes', 'fc8480808080'],
  ['2.2.4 the last of 21 bits', 'f7bfbfbf'],
  ['2.2.5 the last of 5 bytes', 'fbbfbfbfbf'],
  ['2.2.6 the last of 6 bytes', 'fdbfbfbfbfbf'],
  ['2.3.5 U+110000', 'f4908080'],
  ['3.1.1 the first continuation byte', '80'],
  ['3.1.2 the last continuation byte', 'bf'],
  ['3.1.3 two continuation bytes', '80bf'],
  ['3.1.4 three continuation bytes', '80bf80'],
  ['3.1.5 four continuation bytes', '80bf80bf'],
  ['3.1.6 five continuation bytes', '80bf80bf80'],
  ['3.1.7 six continuation bytes', '80bf80bf80bf'],
  ['3.1.8 seven continuation bytes', '80bf80bf80bf80'],
  ['3.1.9 all 64 continuation bytes', range(0x80, 0xbf, '')],
  ['3.2.1 all 32 starts of 2 bytes, each before a space', range(0xc0, 0xdf, '20')],
  ['3.2.2 all 16 starts of 3 bytes, each before a space', range(0xe0, 0xef, '20')],
  ['3.2.3 all 8 starts of 4 bytes, each before a space', range(0xf0, 0xf7, '20')],
  ['3.2.4 all 4 starts of 5 bytes, each before a space', range(0xf8, 0xfb, '20')],
  ['3.2.5 both starts of 6 bytes, each before a space', 'fc20fd20'],
  ['3.3.1 2 bytes without the last', 'c0'],
  ['3.3.2 3 bytes without the last', 'e080'],
  ['3.3.3 4 bytes without the last', 'f08080'],
  ['3.3.4 5 bytes without the last', 'f8808080'],
  ['3.3.5 6 bytes without the last', 'fc80808080'],
  ['3.3.6 2 bytes without the last, U+07FF', 'df'],
  ['3.3.7 3 bytes without the last, U+FFFF', 'efbf'],
  ['3.3.8 4 bytes without the last', 'f7bfbf'],
  ['3.3.9 5 bytes without the last', 'fbbfbfbf'],
  ['3.3.10 6 bytes without the last', 'fdbfbfbfbf'],
  ['3.4 all of these in a row', 'c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf'],
  ['3.5.1 the byte fe', 'fe'],
  ['3.5.2 the byte ff', 'ff'],
  ['3.5.3 fe fe ff ff', 'fefeffff'],
  ['4.1.1 a slash in 2 bytes', 'c0af'],
  ['4.1.2 a slash in 3 bytes', 'e080af'],
  ['4.1.3 a slash in 4 bytes', 'f08080af'],
  ['4.1.4 a slash in 5 bytes', 'f8808080af'],
  ['4.1.5 a slash in 6 bytes', 'fc80808080af'],
  ['4.2.1 U+007F in 2 bytes', 'c1bf'],
  ['4.2.2 U+07FF in 3 bytes', 'e09fbf'],
  ['4.2.3 U+FFFF in 4 bytes', 'f08fbfbf'],
  ['4.2.4 U+1FFFFF in 5 bytes', 'f887bfbfbf'],
  ['4.2.5 U+3FFFFFF in 6 bytes', 'fc83bfbfbfbf'],
  ['4.3.1 U+0000 in 2 bytes', 'c080'],
  ['4.3.2 U+0000 in 3 bytes', 'e08080'],
  ['4.3.3 U+0000 in 4 bytes', 'f0808080'],
  ['4.3.4 U+0000 in 5 bytes', 'f880808080'],
  ['4.3.5 U+0000 in 6 bytes', 'fc8080808080'],
  ['5.1.1 U+D800', 'eda080'],
  ['5.1.2 U+DB7F', 'edadbf'],
  ['5.1.3 U+DB80', 'edae80'],
  ['5.1.4 U+DBFF', 'edafbf'],
  ['5.1.5 U+DC00', 'edb080'],
  ['5.1.6 U+DF80', 'edbe80'],
  ['5.1.7 U+DFFF', 'edbfbf'],
  ['5.2.1 U+D800 U+DC00', 'eda080edb080'],
  ['5.2.2 U+D800 U+DFFF', 'eda080edbfbf'],
  ['5.2.3 U+DB7F U+DC00', 'edadbfedb080'],
  ['5.2.4 U+DB7F U+DFFF', 'edadbfedbfbf'],
  ['5.2.5 U+DB80 U+DC00', 'edae80edb080'],
  ['5.2.6 U+DB80 U+DFFF', 'edae80edbfbf'],
  ['5.2.7 U+DBFF U+DC00', 'edafbfedb080'],
  ['5.2.8 U+DBFF U+DFFF', 'edafbfedbfbf'],
  ['κόσμε, half a pair, "edited"', 'cebae1bdb9cf83cebcceb5eda080656469746564'],
  ['4 bytes of text, then what is none', '74657374ff'],
];

function range(from: number, to: number, behind: string): string {
  return Array.from({ length: to - from + 1 }, (_, i) => (from + i).toString(16) + behind).join('');
}

function eachByte(bytes: Buffer): Buffer[] {
  return [...bytes].map((byte) => Buffer.from([byte]));
}

const valid: readonly Case[] = VALID.flatMap(([name, hex]): Case[] => {
  const data = Buffer.from(hex, 'hex');
  return [
    { name: `8.1 ${name}`, send: [text(data)], messages: [textOf(data)], end: 'open' },
    {
      name: `8.1 ${name}, a fragment for each byte`,
      send: fragments(OPCODE.text, ['', ...eachByte(data)]),
      messages: [textOf(data)],
      end: 'open',
    },
  ];
});

const invalid: readonly Case[] = INVALID.flatMap(([name, hex]): Case[] => {
  const data = Buffer.from(hex, 'hex');
  return [
    { name: `8.1 ${name}`, send: [text(data)], end: 1007 },
    {
      name: `8.1 ${name}, a fragment for each byte`,
      send: fragments(OPCODE.text, ['', ...eachByte(data)]),
      end: 1007,
    },
  ];
});

const others: readonly Case[] = [
  {
    name: '8.1 what is no UTF-8 is a binary like any other',
    send: INVALID.map(([, hex]) => frame(OPCODE.binary, Buffer.from(hex, 'hex'))),
    messages: INVALID.map(([, hex]) => binaryOf(Buffer.from(hex, 'hex'))),
    end: 'open',
  },
  {
    name: '8.1 what is no UTF-8 at the end of a long text',
    send: [text(Buffer.concat([Buffer.alloc(40_000, 'é'), Buffer.from([0xc3])]))],
    end: 1007,
  },
  {
    name: '8.1 a long text beyond ASCII',
    send: [text(Buffer.alloc(60_000, 'é'))],
    messages: [textOf(Buffer.alloc(60_000, 'é'))],
    end: 'open',
  },
  {
    name: '8.1 a character cut by the end of a fragmented text',
    send: fragments(OPCODE.text, ['a', Buffer.from([0xf0, 0x9f])]),
    end: 1007,
  },
];

export const UTF8: readonly Case[] = [...valid, ...invalid, ...others];
