/** Small damage to bytes that were right: what finds the places where a parser believes what it is told. */
import type { Random } from '../chaos/random.ts';

const BYTES = [0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2d, 0x30, 0x3a, 0x7f, 0x80, 0xc0, 0xed, 0xfe, 0xff];
const NUMBERS = [
  '0',
  '-1',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '18446744073709551615',
  '18446744073709551616',
  '1e309',
  '9'.repeat(400),
];
const MAX_RUN = 2000;
const MAX_STEPS = 4;

type Damage = (random: Random, bytes: Buffer, other: Buffer) => Buffer;

const DAMAGES: readonly Damage[] = [
  (random, bytes) => {
    const flipped = Buffer.from(bytes);
    const at = random.between(0, bytes.length - 1);
    flipped[at] = (flipped[at] as number) ^ (1 << random.between(0, 7));
    return flipped;
  },
  (random, bytes) => {
    const changed = Buffer.from(bytes);
    changed[random.between(0, bytes.length - 1)] = random.pick(BYTES);
    return changed;
  },
  (random, bytes) => bytes.subarray(0, random.between(0, bytes.length)),
  (random, bytes) => {
    const [from, to] = range(random, bytes);
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
  },
  (random, bytes) => {
    const [from, to] = range(random, bytes);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  (random, bytes, other) => {
    const [from, to] = range(random, other);
    return inserted(random, bytes, other.subarray(from, to));
  },
  (random, bytes, other) => {
    const cut = random.between(0, other.length);
    return Buffer.concat([bytes.subarray(0, random.between(0, bytes.length)), other.subarray(cut)]);
  },
  (random, bytes) => inserted(random, bytes, Buffer.alloc(random.between(1, MAX_RUN), random.pick(BYTES))),
  (random, bytes) => withNumber(random, bytes),
];

/** One to four kinds of damage, one after the other. `other`: what a piece may be taken from. */
export function mutate(random: Random, bytes: Buffer, other: Buffer = bytes): Buffer {
  let damaged = bytes;
  for (let steps = random.between(1, MAX_STEPS); steps > 0 && damaged.length > 0; steps--) {
    damaged = random.pick(DAMAGES)(random, damaged, other.length > 0 ? other : damaged);
  }
  return damaged;
}

export function mutateText(random: Random, text: string, other: string = text): string {
  return mutate(random, Buffer.from(text, 'latin1'), Buffer.from(other, 'latin1')).toString('latin1');
}

function range(random: Random, bytes: Buffer): readonly [from: number, to: number] {
  const from = random.between(0, bytes.length);
  return [from, random.between(from, bytes.length)];
}

function inserted(random: Random, bytes: Buffer, piece: Buffer): Buffer {
  const at = random.between(0, bytes.length);
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
}

/** In place of a number that is in there, another. */
function withNumber(random: Random, bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length === 0) return bytes;
  const { index, 0: digits } = random.pick(numbers);
  const changed = text.slice(0, index) + random.pick(NUMBERS) + text.slice(index + digits.length);
  return Buffer.from(changed, 'latin1');
}
