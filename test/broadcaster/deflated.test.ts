/** Compressed frames: what they inflate to, what goes out plain, what is shared, and what it may cost. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { inflateRawSync } from 'node:zlib';
import * as fc from 'fast-check';
import type { Block } from '../../src/broadcaster/block.ts';
import type { Encoding, Format } from '../../src/broadcaster/format.ts';
import { RAW_DEFLATED, V1_DEFLATED } from '../../src/broadcaster/formats/deflated.ts';
import { RAW } from '../../src/broadcaster/formats/raw.ts';
import { V1 } from '../../src/broadcaster/formats/v1.ts';
import { Ring } from '../../src/broadcaster/ring.ts';
import { type Run, Runs } from '../../src/broadcaster/runs.ts';
import type { EntryType } from '../../src/log/log.ts';
import { at, entry, items, pageOf, Rig } from '../support/broadcast-rig.ts';
import { framesIn } from '../support/encoded.ts';
import { parseFrame } from '../support/raw-socket.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const RSV1 = 0x40;

type Sent = readonly [type: EntryType, data: Buffer | string];

function blockOf(sent: readonly Sent[], first = 1): Block {
  return items(pageOf(sent.map(([type, data], i) => entry(first + i, data, type))))[0] as Block;
}

/** Text that takes about a fifth when compressed, as JSON does. */
function json(bytes: number): Buffer {
  return Buffer.alloc(bytes, JSON_MIB);
}

const NAMES = randomBytes(48 * KIB).toString('hex');
const JSON_MIB: Buffer = Buffer.from(
  Array.from(
    { length: 16 * KIB },
    (_, i) => `{"id":${i},"name":"${NAMES.slice(i * 6, i * 6 + 6)}","team":"home"}`,
  ).join(),
).subarray(0, MIB);

/** Of each unit, whether it is compressed; a unit is one frame in both formats. */
function compressed({ bytes, unitEnds }: Encoding): boolean[] {
  return [...unitEnds].map((_, i) => ((bytes[unitEnds[i - 1] ?? 0] as number) & RSV1) !== 0);
}

function encode(format: Format, ...sent: readonly Sent[]): Encoding {
  return format.encode(blockOf(sent), 0, sent.length);
}

/** The payload of the only frame, which ends where RFC 7692 has it end: right before the mark of a flush. */
function inflatedStrictly(bytes: Buffer): Buffer {
  const { payload } = (parseFrame(bytes) ?? assert.fail()).frame;
  const mark = Buffer.from([0, 0, 0xff, 0xff]);
  assert.notDeepEqual(payload.subarray(-4), mark);
  // With a final block behind it, so that anything left open is an error.
  return inflateRawSync(Buffer.concat([payload, mark, Buffer.from([1, 0, 0, 0xff, 0xff])]));
}

/** How many bytes the whole of the frames takes, to one that takes what is sent as it is. */
function ratio(encoding: Encoding, sent: readonly Sent[]): number {
  return encoding.bytes.length / sent.reduce((sum, [, data]) => sum + Buffer.byteLength(data), 0);
}

describe('a compressed frame', () => {
  test('inflates to what the plain one says, in both formats, from any entry to any other', () => {
    const data = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc.integer({ min: 0, max: 5000 }).map((size) => json(size)),
      fc.uint8Array({ minLength: 900, maxLength: 2100 }).map((bytes) => Buffer.from(bytes)),
    );
    const sent = fc.tuple(fc.constantFrom<EntryType>('text', 'binary'), data);
    fc.assert(
      fc.property(fc.array(sent, { minLength: 1, maxLength: 20 }), fc.nat(), fc.nat(), (list, a, b) => {
        const block = blockOf(list);
        const from = a % list.length;
        const to = from + 1 + (b % (list.length - from));
        for (const [plain, deflated] of [
          [RAW, RAW_DEFLATED],
          [V1, V1_DEFLATED],
        ] as const) {
          const [expected, made] = [plain.encode(block, from, to), deflated.encode(block, from, to)];
          assert.deepEqual(framesIn(made.bytes), framesIn(expected.bytes));
          assert.equal(made.unitEnds.length, expected.unitEnds.length);
          assert.equal(made.unitEnds.at(-1), made.bytes.length);
          assert.deepEqual(made.entryEnds, expected.entryEnds);
        }
      }),
      { numRuns: 60 },
    );
  });

  const PIECE = 65_535;
  const SIZES = [1024, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 3 * MIB];

  test('of any size inflates, whether all of it shrinks or only its beginning does', () => {
    for (const size of SIZES) {
      for (const tail of [json(size), randomBytes(size)]) {
        const data = Buffer.concat([json(size), tail]).subarray(0, size + Math.min(size, 70_000));
        const encoding = encode(RAW_DEFLATED, ['binary', data]);
        assert.deepEqual(compressed(encoding), [true], `${size}`);
        assert.deepEqual(inflatedStrictly(encoding.bytes), data, `${size}`);
      }
    }
  });

  test('keeps whether it is text or binary', () => {
    const encoding = encode(RAW_DEFLATED, ['text', json(2 * KIB)], ['binary', json(2 * KIB)]);
    assert.deepEqual(compressed(encoding), [true, true]);
    assert.deepEqual(
      framesIn(encoding.bytes).map(({ opcode }) => opcode),
      [1, 2],
    );
  });

  test('is not made of less than 1 KiB, nor of what does not get smaller', () => {
    const sent: Sent[] = [
      ['text', json(1023)],
      ['text', json(1024)],
      ['binary', randomBytes(1024)],
      ['binary', randomBytes(MIB)],
      ['text', ''],
    ];
    assert.deepEqual(compressed(encode(RAW_DEFLATED, ...sent)), [false, true, false, false, false]);
  });

  test('takes a fraction of the bytes where it pays', () => {
    const one: Sent[] = [['text', json(MIB)]];
    assert.ok(ratio(encode(RAW_DEFLATED, ...one), one) < 0.4);
    const many = Array.from({ length: 300 }, (): Sent => ['text', json(200)]);
    assert.ok(ratio(encode(V1_DEFLATED, ...many), many) < 0.6);
  });
});

describe('what compressing costs', () => {
  test('in memory is nothing where it gains nothing: the plain bytes are sent', () => {
    const block = blockOf([
      ['text', 'short'],
      ['binary', randomBytes(100 * KIB)],
    ]);
    const before = block.memoryBytes;
    assert.equal(block.encoded(RAW_DEFLATED).bytes, block.frames);
    assert.equal(block.memoryBytes, before);
  });

  test('in memory is counted where it does', () => {
    const block = blockOf([['text', json(100 * KIB)]]);
    const before = block.memoryBytes;
    const { bytes, unitEnds } = block.encoded(RAW_DEFLATED);
    assert.equal(block.memoryBytes, before + bytes.length + unitEnds.byteLength);
  });

  /** One message more may come on top of it. */
  const MAX_WORK = 2 * (256 + 70) * KIB;

  test('in time is bounded for one encoding, whatever lies in the block; what is left goes out plain', () => {
    const base64 = (bytes: number): Buffer => Buffer.from(randomBytes(bytes).toString('base64'));
    const blocks: readonly (readonly Sent[])[] = [
      Array.from({ length: 1000 }, (): Sent => ['text', json(KIB)]),
      Array.from({ length: 1000 }, (): Sent => ['binary', randomBytes(KIB)]),
      [['text', json(8 * MIB)]],
      [['text', base64(4 * MIB)]],
      [['binary', randomBytes(8 * MIB)]],
    ];
    for (const [i, sent] of blocks.entries()) {
      const encoding = encode(RAW_DEFLATED, ...sent);
      assert.ok((encoding.work ?? 0) <= MAX_WORK, `block ${i}: ${encoding.work}`);
      assert.deepEqual(
        framesIn(encoding.bytes).map(({ payload }) => payload.length),
        sent.map(([, data]) => data.length),
      );
    }
    const [many] = blocks as [readonly Sent[]];
    const flags = compressed(encode(RAW_DEFLATED, ...many));
    assert.equal(flags[0], true);
    assert.equal(flags.at(-1), false);
  });

  test('is spent on one block of a run, and the next run goes on', () => {
    const ring = new Ring(at(0));
    for (let n = 1; n <= 64; n++) ring.push(blockOf([['text', json(64 * KIB)]], n));
    const runs = new Runs();
    const shape = { format: RAW_DEFLATED, maxBytes: 16 * MIB };
    const made: Run[] = [];
    for (let no = 0; no < 64; no = (made.at(-1) as Run).next.no) {
      made.push(runs.next(ring, no, 0, shape) as Run);
    }
    assert.ok(made.length >= 8, `${made.length} runs`);
    for (const { weight, bytes } of made) assert.ok(weight - bytes.length <= MAX_WORK);
    const total = made.reduce((sum, { bytes }) => sum + framesIn(bytes).length, 0);
    assert.equal(total, 64);
    // What is made already is joined as plain blocks are.
    assert.equal((new Runs().next(ring, 0, 0, shape) as Run).next.no, 64);
  });

  test('is charged to who made it, once', () => {
    const ring = new Ring(at(0));
    ring.push(blockOf([['text', json(256 * KIB)]]));
    const runs = new Runs();
    const shape = { format: RAW_DEFLATED, maxBytes: MIB };
    const [first, second] = [runs.next(ring, 0, 0, shape) as Run, runs.next(ring, 0, 0, shape) as Run];
    assert.ok(first.weight > first.bytes.length);
    assert.equal(second.weight, second.bytes.length);
    assert.equal(second.bytes, first.bytes);
  });

  test('ends the turn of a subscriber that has it all made', async () => {
    const rig = new Rig({ ringBytes: 64 * MIB, writeBytes: 256 * KIB });
    const { subscriber, transport } = rig.subscribe({ format: RAW_DEFLATED });
    transport.outcome = 'pending';
    for (let n = 1; n <= 60; n++) rig.tail.push(pageOf([entry(n, json(256 * KIB))]));
    assert.equal(transport.writes.length, 1);
    // Longer than a slice: whoever is not done by then goes on in another one.
    transport.onWrite = () => rig.clock.advance(10);
    transport.drain();
    subscriber.drained();
    const blocks = transport.writes.length - 1;
    // Its own turn, and the first of the slice that goes on with it.
    assert.ok(blocks < 20, `${blocks} blocks in two turns`);
    while (framesIn(Buffer.concat(transport.writes)).length < 60)
      await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('compressed bytes', () => {
  test('are made once, and are the same for all at one place', () => {
    const rig = new Rig();
    const members = Array.from({ length: 3 }, () => rig.subscribe({ format: RAW_DEFLATED }));
    rig.tail.push(pageOf([entry(1, json(8 * KIB)), entry(2, 'short')]));
    const [first] = (members[0] as (typeof members)[0]).transport.writes;
    assert.equal(framesIn(first as Buffer).length, 2);
    for (const { transport } of members) {
      assert.equal(transport.writes.length, 1);
      assert.equal(transport.writes[0], first);
    }
  });

  test('are made apart for who starts inside a v1 frame, and shared after it', () => {
    const rig = new Rig({ writeBytes: 256 * KIB });
    const list = Array.from({ length: 300 }, (_, i) => entry(i + 1, json(500)));
    rig.tail.push(pageOf(list));
    const whole = rig.subscribe({ format: V1_DEFLATED, cursor: at(0) });
    const inside = rig.subscribe({ format: V1_DEFLATED, cursor: at(7) });
    const ids = ({ transport }: typeof whole): string[] =>
      framesIn(Buffer.concat(transport.writes)).flatMap(({ payload }) =>
        (JSON.parse(payload.toString()) as { messages: { id: string }[] }).messages.map(({ id }) => id),
      );
    assert.deepEqual(
      ids(whole),
      list.map(({ id }) => id),
    );
    assert.deepEqual(ids(inside), ids(whole).slice(7));
    rig.tail.push(pageOf([entry(301, json(5000))]));
    assert.equal(inside.transport.writes.at(-1), whole.transport.writes.at(-1));
  });

  test('of one block reach a plain subscriber and a compressed one as the same messages', () => {
    const rig = new Rig({ writeBytes: 64 * KIB });
    const plain = rig.subscribe({ format: RAW });
    const deflated = rig.subscribe({ format: RAW_DEFLATED });
    for (let n = 1; n <= 40; n++) rig.tail.push(pageOf([entry(n, json(n * 100)), entry(n + 0.5, 'x')]));
    const [a, b] = [plain, deflated].map(({ transport }) => framesIn(Buffer.concat(transport.writes)));
    assert.deepEqual(b, a);
  });
});
