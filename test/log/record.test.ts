/** The bytes the embedded log writes. A change to a golden value is a new format: raise the format number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { EntryType } from '../../src/log/log.ts';
import {
  type ChannelRecord,
  decodeChannel,
  decodeGeneration,
  decodePlace,
  ENTRY_HEADER_BYTES,
  encodeChannel,
  encodeGeneration,
  encodePlace,
  generationKey,
  isWhole,
  KEY_BYTES,
  placeKey,
  readKeyMs,
  readKeySeq,
  readOrdinal,
  readPrev,
  readType,
  writeEntry,
  writeKey,
  writeKeyAfter,
} from '../../src/log/record.ts';
import { compareIds } from '../../src/protocol/id.ts';

function key(channel: number, ms: number, seq: number): Buffer {
  const bytes = Buffer.alloc(KEY_BYTES);
  writeKey(bytes, channel, ms, seq);
  return bytes;
}

function value(data: string | Buffer, type: EntryType = 'json'): Buffer {
  const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + data.length);
  const links = { ordinal: 2 ** 40 + 3, prev: { ms: 1_700_000_000_000, seq: 9 } };
  writeEntry(bytes, { ms: 1_700_000_000_001, seq: 0 }, { type, data: Buffer.from(data) }, links);
  return bytes;
}

const ID = { ms: 1_700_000_000_001, seq: 0 };
const GOLDEN_ENTRY = '214664dc010100000000030000018bcfe5680000000000000000097b2261223a317d';
const GOLDEN_CHANNEL =
  '97cff9f20000000700ff00ff00aa0000001cbe991a140000018bcfe56801000000000000000200000100000000000000018bcfe5680000000000000000010000000000000003';
const NONE = { ms: -1, seq: -1 };
const CHANNEL: ChannelRecord = {
  number: 7,
  epoch: '00ff00ff00aa',
  bytes: 123_456_789_012,
  tip: { id: '1700000000001-2', ordinal: 2 ** 40 },
  trimmed: { id: '1700000000000-1', ordinal: 3 },
};
const part = fc.nat({ max: Number.MAX_SAFE_INTEGER - 1 });

test('a key is the channel and the id, big-endian', () => {
  assert.equal(
    key(1, 0x123456789ab, 5).toString('hex'),
    '00000001000001234 56789ab0000000000000005'.replace(' ', ''),
  );
});

test('keys sort by channel, then as ids do, and give the id back', () => {
  const property = fc.property(part, part, part, part, (ms, seq, otherMs, otherSeq) => {
    const order = compareIds(`${ms}-${seq}`, `${otherMs}-${otherSeq}`);
    assert.equal(Math.sign(Buffer.compare(key(3, ms, seq), key(3, otherMs, otherSeq))), Math.sign(order));
    assert.equal(Buffer.compare(key(3, ms, seq), key(4, otherMs, otherSeq)), -1);
    const bytes = Buffer.concat([Buffer.alloc(5), key(9, ms, seq)]);
    assert.deepEqual([readKeyMs(bytes, 5), readKeySeq(bytes, 5)], [ms, seq]);
  });
  fc.assert(property);
});

test('the key after an id is the next sequence number, or the next millisecond after a foreign giant', () => {
  const after = Buffer.alloc(KEY_BYTES);
  writeKeyAfter(after, 1, '5-7');
  assert.deepEqual(after, key(1, 5, 8));
  writeKeyAfter(after, 1, '5-18446744073709551615');
  assert.deepEqual(after, key(1, 6, 0));
});

test('an entry is its checksum, type, ordinal, predecessor and data', () => {
  assert.equal(value('{"a":1}').toString('hex'), GOLDEN_ENTRY);
});

test('an entry gives back what was written', () => {
  const types = fc.constantFrom<EntryType>('text', 'json', 'binary');
  const ids = fc.record({ ms: part, seq: part });
  const links = fc.record({ ordinal: fc.nat(), prev: ids });
  const property = fc.property(types, fc.uint8Array(), ids, links, (type, data, id, { ordinal, prev }) => {
    const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + data.length);
    writeEntry(bytes, id, { type, data: Buffer.from(data) }, { ordinal, prev });
    assert.ok(isWhole(bytes, id));
    assert.deepEqual([readType(bytes), readOrdinal(bytes)], [type, ordinal]);
    assert.equal(readPrev(bytes, NONE, undefined), `${prev.ms}-${prev.seq}`);
    assert.ok(bytes.subarray(ENTRY_HEADER_BYTES).equals(data));
  });
  fc.assert(property);
});

test('any changed bit, a cut value, or another id is seen', () => {
  const whole = value('some text');
  assert.ok(isWhole(whole, ID));
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const changed = Buffer.from(whole);
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.ok(!isWhole(changed, ID), `bit ${bit}`);
  }
  for (let length = 0; length < whole.length; length++) assert.ok(!isWhole(whole.subarray(0, length), ID));
  assert.ok(!isWhole(whole, { ms: ID.ms, seq: 1 }));
  assert.ok(!isWhole(whole, { ms: ID.ms + 1, seq: 0 }));
});

test('the predecessor that is near is given back as the same string', () => {
  const near = { ms: 1_700_000_000_000, seq: 9 };
  assert.equal(readPrev(value('x'), near, '1700000000000-9'), '1700000000000-9');
  assert.equal(readPrev(value('x'), { ...near, seq: 8 }, '1700000000000-8'), '1700000000000-9');
});

test('the record of a channel has the bytes it always had, and gives back what was written', () => {
  const bytes = encodeChannel('c', CHANNEL);
  assert.equal(bytes.toString('hex'), GOLDEN_CHANNEL);
  assert.deepEqual(decodeChannel('c', bytes), CHANNEL);
});

test('a damaged record, or that of another channel, is none', () => {
  const bytes = encodeChannel('c', CHANNEL);
  assert.equal(decodeChannel('d', bytes), null);
  assert.equal(decodeChannel('c', bytes.subarray(1)), null);
  for (let i = 0; i < bytes.length; i++) {
    const changed = Buffer.from(bytes);
    changed[i] = (changed[i] as number) ^ 0x10;
    assert.equal(decodeChannel('c', changed), null, `byte ${i}`);
  }
});

test('an idempotency key and its place have the bytes they always had, and give back what was written', () => {
  const at = placeKey(7, 3, 'order 1 €');
  const place = encodePlace(at, { ms: 1_700_000_000_001, seq: 2 });
  assert.equal(at.toString('hex'), '00000007000000036f72646572203120e282ac');
  assert.equal(place.toString('hex'), '096ae4c40000018bcfe568010000000000000002');
  assert.equal(decodePlace(at, place), '1700000000001-2');
  assert.equal(decodePlace(placeKey(7, 3, 'order 2 €'), place), null);
  assert.equal(decodePlace(at, place.subarray(1)), null);
});

test('a generation of keys has the bytes it always had, and gives back what was written', () => {
  const record = { number: 3, startMs: 1_700_000_000_000, lastMs: 1_700_000_000_001, count: 5 };
  const at = generationKey(7, 3);
  const value = encodeGeneration(at, record);
  assert.equal(value.toString('hex'), 'b332362a0000018bcfe568000000018bcfe568010000000000000005');
  assert.deepEqual(decodeGeneration(at, value), { channel: 7, number: 3, record });
  const gone = { channel: 7, number: 3, record: null };
  assert.deepEqual(decodeGeneration(placeKey(7, 3, 'k'), value), gone);
  value[9] = (value[9] as number) ^ 1;
  assert.deepEqual(decodeGeneration(at, value), gone);
});
