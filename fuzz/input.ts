/** One input: the bytes of one connection, how they are cut, and how it ends. The same for the same seed and number. */
import type { Random } from '../chaos/random.ts';
import { OPCODE } from '../test/support/raw-socket.ts';
import { HEADERS, JSON_TEXTS, PUBLISHES, SUBSCRIBES } from './corpus.ts';
import {
  type DoorKind,
  frame,
  handshake,
  json,
  oddFrame,
  oddHandshake,
  position,
  post,
  question,
  written,
} from './grammar.ts';
import { mutate, mutateText } from './mutate.ts';

export interface Input {
  readonly kind: string;
  /** Written one after the other, each in a turn of its own. */
  readonly pieces: readonly Buffer[];
  /** After the last piece: listens and leaves, resets at once, or ends its side and listens. */
  readonly end: 'listen' | 'reset' | 'half';
}

type Kind = (random: Random) => Buffer;

const KINDS: readonly (readonly [name: string, weight: number, make: Kind])[] = [
  ['handshakes', 4, handshakes],
  ['frames to publish', 4, (random) => frames(random, 'publish', false)],
  ['frames in v1, to publish', 1, (random) => frames(random, 'publish', true)],
  ['frames of a subscriber', 2, (random) => frames(random, 'subscribe', false)],
  ['frames in v1, of a subscriber', 1, (random) => frames(random, 'subscribe', true)],
  ['JSON to publish', 4, (random) => asks(random, 'publish')],
  ['JSON to subscribe', 4, (random) => asks(random, 'subscribe')],
  ['questions', 6, questions],
  ['posts', 6, posts],
  ['pipelines', 2, pipelines],
  ['headers', 2, headers],
  ['bytes', 1, noise],
];
const ALL = KINDS.flatMap(([name, weight, make]) => Array.from({ length: weight }, () => ({ name, make })));

const MAX_FRAMES = 12;
const MAX_PIECES = 5;

export function inputOf(random: Random): Input {
  const { name, make } = random.pick(ALL);
  const bytes = make(random);
  const end = random.chance(0.12) ? 'reset' : random.chance(0.08) ? 'half' : 'listen';
  const sent = end === 'reset' ? bytes.subarray(0, random.between(0, bytes.length)) : bytes;
  return { kind: name, pieces: cut(random, sent), end };
}

function cut(random: Random, bytes: Buffer): Buffer[] {
  if (random.chance(0.6)) return [bytes];
  const count = random.between(1, MAX_PIECES - 1);
  const cuts = Array.from({ length: count }, () => random.between(0, bytes.length)).toSorted((a, b) => a - b);
  return [...cuts, bytes.length].map((end, i) => bytes.subarray(cuts[i - 1] ?? 0, end));
}

/** Damaged, once in a while. */
function perhaps(random: Random, probability: number, bytes: Buffer): Buffer {
  return random.chance(probability) ? mutate(random, bytes) : bytes;
}

function handshakes(random: Random): Buffer {
  const request = perhaps(random, 0.5, written(random, oddHandshake(random)));
  return random.chance(0.5) ? Buffer.concat([request, oddFrame(random)]) : request;
}

function frames(random: Random, door: DoorKind, isV1: boolean): Buffer {
  const list = Array.from({ length: random.between(1, MAX_FRAMES) }, () => oddFrame(random));
  const sent = perhaps(random, 0.3, Buffer.concat(list));
  return Buffer.concat([written(random, handshake(random, door, isV1)), sent]);
}

function asks(random: Random, door: DoorKind): Buffer {
  const corpus = door === 'publish' ? PUBLISHES : SUBSCRIBES;
  const list = Array.from({ length: random.between(1, MAX_FRAMES) }, () => {
    const text = ask(random, corpus);
    // The header is right: what is said is meant to be read.
    return whole(random, Buffer.from(text));
  });
  return Buffer.concat([written(random, handshake(random, door, true)), ...list]);
}

function ask(random: Random, corpus: readonly string[]): string {
  const text = random.pick(corpus);
  const choice = random.between(0, 9);
  if (choice < 3) return text;
  if (choice < 5) return mutateText(random, text, random.pick(corpus));
  if (choice < 7)
    return text.replace(
      /("(?:data|ref|channel|key|token|type)":)("[^"]*"|[^,}]+)/,
      `$1${json(random).replaceAll('$', '$$$$')}`,
    );
  if (choice < 8)
    return text.replace(/"after":("[^"]*"|[^,}]+)/, () => `"after":${JSON.stringify(position(random))}`);
  return random.pick(JSON_TEXTS);
}

function whole(random: Random, payload: Buffer): Buffer {
  const made = frame(random, OPCODE.text, payload);
  made[0] = 0x80 | OPCODE.text;
  return made;
}

function questions(random: Random): Buffer {
  return perhaps(random, 0.15, written(random, question(random)));
}

function posts(random: Random): Buffer {
  return perhaps(random, 0.15, written(random, post(random)));
}

function pipelines(random: Random): Buffer {
  const list = Array.from({ length: random.between(2, 6) }, () => {
    const request = random.pick([question, post, oddHandshake])(random);
    return perhaps(random, 0.1, written(random, request));
  });
  return Buffer.concat(list);
}

function headers(random: Random): Buffer {
  const request = random.pick([question, post, oddHandshake])(random);
  const more = Array.from({ length: random.between(0, random.chance(0.1) ? 300 : 20) }, () =>
    random.chance(0.2) ? mutateText(random, random.pick(HEADERS)) : random.pick(HEADERS),
  );
  return written(random, { ...request, headers: [...request.headers, ...more] });
}

function noise(random: Random): Buffer {
  return Buffer.from(Array.from({ length: random.between(0, 600) }, () => random.between(0, 255)));
}
