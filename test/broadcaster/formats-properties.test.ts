/** Whatever the entries, from wherever one starts and however they are cut: each comes out once and as it was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Format } from '../../src/broadcaster/format.ts';
import { RAW_DEFLATED, V1_DEFLATED } from '../../src/broadcaster/formats/deflated.ts';
import { RAW } from '../../src/broadcaster/formats/raw.ts';
import { SSE } from '../../src/broadcaster/formats/sse.ts';
import { V1 } from '../../src/broadcaster/formats/v1.ts';
import { Ring } from '../../src/broadcaster/ring.ts';
import { Runs } from '../../src/broadcaster/runs.ts';
import type { Entry, EntryType } from '../../src/log/log.ts';
import { at, entry, items, pageOf } from '../support/broadcast-rig.ts';
import { framesIn, readEvents } from '../support/encoded.ts';
import { messagesOf, type V1Frame } from '../support/v1-client.ts';

const LINES = fc
  .array(
    fc.constantFrom('\n', '\r', '\r\n', '', ' ', ':', 'data: ', 'id: 1-0', '\ufeff', '\u2028', '\0', 'x'),
  )
  .map((parts) => parts.join(''));
const SIZED = fc
  .tuple(fc.constantFrom('x', '"', '\u0000', '€'), fc.integer({ min: 500, max: 40_000 }))
  .map(([char, count]) => char.repeat(count));
const TEXT = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 5, arbitrary: LINES },
  { weight: 1, arbitrary: SIZED },
);
const PAYLOAD: fc.Arbitrary<readonly [EntryType, Buffer]> = fc.oneof(
  // What is not well-formed is not text, and never gets in as such.
  TEXT.map((text) => ['text', Buffer.from(text)] as const),
  fc.json().map((json) => ['json', Buffer.from(json)] as const),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => ['binary', Buffer.from(bytes)] as const),
);
const ENTRIES = fc
  .array(PAYLOAD, { minLength: 1, maxLength: 330, size: 'max' })
  .map((list) => list.map(([type, data], i) => entry(i + 1, data, type)));

interface Case {
  readonly list: readonly Entry[];
  /** Where blocks end, where one starts, and how large a write may be. */
  readonly cuts: readonly number[];
  readonly start: number;
  readonly maxBytes: number;
}

const CASE: fc.Arbitrary<Case> = ENTRIES.chain((list) =>
  fc.record({
    list: fc.constant(list),
    cuts: fc.array(fc.nat(list.length), { maxLength: 12 }),
    start: fc.nat(list.length - 1),
    maxBytes: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 2000, max: 300_000 })),
  }),
);

/** All that a subscriber in this format is written from a start on. */
function written(format: Format, { list, cuts, start, maxBytes }: Case): Buffer {
  const ring = new Ring(at(0));
  let from = 0;
  for (const to of [...new Set([...cuts, list.length])].toSorted((a, b) => a - b)) {
    if (to === from) continue;
    for (const item of items(pageOf(list.slice(from, to)))) ring.push(item);
    from = to;
  }
  const located = ring.locate(at(start));
  assert.ok(typeof located === 'object');
  const runs = new Runs();
  const parts: Buffer[] = [];
  for (let { no, index } = located; ; ) {
    const step = runs.next(ring, no, index, { format, maxBytes });
    if (step?.kind !== 'run') break;
    parts.push(step.bytes);
    ({ no, index } = step.next);
    const last = ring.locate(step.end);
    assert.deepEqual(last, { no, index }, 'the cursor after a run is where the next one begins');
  }
  return Buffer.concat(parts);
}

const EXPECTED = {
  raw: ({ type, data }: Entry) => [type === 'binary' ? 2 : 1, data.toString('hex')],
  v1: ({ id, type, data }: Entry) =>
    type === 'binary'
      ? { id, data64: data.toString('base64') }
      : { id, data: type === 'json' ? JSON.parse(data.toString()) : data.toString() },
  sse: ({ id, ordinal, type, data }: Entry) => ({
    type: type === 'binary' ? 'binary' : 'message',
    data: type === 'binary' ? data.toString('base64') : data.toString().replace(/\r\n|\r/g, '\n'),
    lastEventId: `${id}@e1.${ordinal}`,
  }),
};

for (const [name, format] of [
  ['raw', RAW],
  ['raw, compressed', RAW_DEFLATED],
] as const) {
  test(`${name}: every entry is one frame with its bytes`, () => {
    const property = fc.property(CASE, (one) => {
      const found = framesIn(written(format, one)).map(({ opcode, payload }) => [
        opcode,
        payload.toString('hex'),
      ]);
      assert.deepEqual(found, one.list.slice(one.start).map(EXPECTED.raw));
    });
    fc.assert(property, { numRuns: 60 });
  });
}

for (const [name, format] of [
  ['v1', V1],
  ['v1, compressed', V1_DEFLATED],
] as const) {
  test(`${name}: the messages of all frames are the entries, and no frame is too large`, () => {
    const property = fc.property(CASE, (one) => {
      const found = framesIn(written(format, one)).flatMap(({ opcode, payload }) => {
        assert.equal(opcode, 1);
        const messages = messagesOf(JSON.parse(payload.toString()) as V1Frame);
        assert.ok(messages.length >= 1 && messages.length <= 100);
        assert.ok(payload.length <= 32 * 1024 || messages.length === 1, `${payload.length} bytes`);
        return messages;
      });
      assert.deepEqual(found, one.list.slice(one.start).map(EXPECTED.v1));
    });
    fc.assert(property, { numRuns: 80 });
  });
}

test('sse: a browser reads every entry as one event, with the cursor after it', () => {
  const property = fc.property(CASE, (one) => {
    const { events } = readEvents(written(SSE, one));
    assert.deepEqual(events, one.list.slice(one.start).map(EXPECTED.sse));
  });
  fc.assert(property, { numRuns: 100 });
});
