/** The packed entries of the log in memory against a plain list of them: whatever is added and removed, they hold the same. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ENTRY_TYPES, type Entry, type TrimPolicy } from '../../src/log/log.ts';
import { PackedEntries } from '../../src/log/memory/packed-entries.ts';
import { compareIds, ID_ZERO, idBefore, idMs } from '../../src/protocol/id.ts';

const MODULE = new URL('../../src/log/memory/packed-entries.js', import.meta.url).href;
const MIB = 1024 * 1024;
const EVERYTHING = { maxEntries: Infinity, maxBytes: Infinity };

/** Sizes about those where data gets a buffer of its own, and small ones, of which many fill a chunk. */
const size = fc.oneof(
  { weight: 8, arbitrary: fc.nat({ max: 300 }) },
  { weight: 2, arbitrary: fc.integer({ min: 10_000, max: 20_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(16_383, 16_384, 200_000) },
);
const run = fc.record({ count: fc.oneof(fc.nat({ max: 9 }), fc.constantFrom(100, 1500)), size });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ add: run, ms: fc.nat({ max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ maxEntries: fc.nat({ max: 2000 }) }) },
  { weight: 1, arbitrary: fc.record({ maxBytes: fc.nat({ max: 300_000 }) }) },
  { weight: 1, arbitrary: fc.record({ maxAgeMs: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ before: fc.tuple(fc.nat({ max: 20 }), fc.nat({ max: 1500 })) }) },
);

class Plain {
  readonly kept: Entry[] = [];
  ordinal = 0;
  tip = ID_ZERO;

  add(id: string, data: Buffer): void {
    const type = ENTRY_TYPES[this.ordinal % 3] as Entry['type'];
    this.ordinal += 1;
    this.kept.push({ id, type, data, prev: this.tip, ordinal: this.ordinal });
    this.tip = id;
  }

  trim(
    { maxEntries = Infinity, maxBytes = Infinity, maxAgeMs = Infinity, before = ID_ZERO }: TrimPolicy,
    now: number,
  ) {
    let held = this.kept.reduce((sum, { data }) => sum + data.length, 0);
    let removed = 0;
    for (let first = this.kept[0]; first !== undefined; first = this.kept[0]) {
      const old = idMs(first.id) < now - maxAgeMs || compareIds(first.id, before) < 0;
      if (!old && this.kept.length <= maxEntries && held <= maxBytes) break;
      held -= first.data.length;
      this.kept.shift();
      removed += 1;
    }
    return removed;
  }
}

test('hold, give back and remove what a plain list does', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
      const packed = new PackedEntries();
      const plain = new Plain();
      let now = 1;
      for (const one of steps) {
        if ('add' in one) {
          now += one.ms;
          addRun(packed, plain, one.add, now);
        } else {
          const policy = 'before' in one ? { before: one.before.join('-') } : one;
          assert.equal(packed.trim(policy, now), plain.trim(policy, now));
        }
        compare(packed, plain);
      }
    }),
    { numRuns: 150 },
  );
});

test('memory of a large one is given back when it is removed, not when the last one beside it is', () => {
  const program = `
    import { PackedEntries } from '${MODULE}';
    const packed = new PackedEntries();
    for (let n = 0; n < 100; n++) {
      packed.add('1-' + n, { type: 'binary', data: Buffer.alloc(${MIB}) });
      packed.trim({ maxEntries: 2 }, 1);
    }
    // The first finds what is free, and the second waits until it is freed.
    gc();
    gc();
    const { length } = packed.readAfter('0-0', { maxEntries: 9, maxBytes: Infinity });
    console.log(JSON.stringify({ length, bytes: process.memoryUsage().arrayBuffers }));
  `;
  const flags = ['--expose-gc', '--input-type=module'];
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '-e', program], { encoding: 'utf8' });
  assert.equal(stderr, '');
  const { length, bytes } = JSON.parse(stdout) as { length: number; bytes: number };
  assert.equal(length, 2);
  assert.ok(bytes >= 2 * MIB && bytes < 4 * MIB, `${bytes} bytes`);
});

test('take little where little is kept, however much came', () => {
  const packed = new PackedEntries();
  for (let ms = 1; ms <= 5000; ms++) {
    packed.add(`${ms}-0`, { type: 'text', data: Buffer.alloc(100) });
    packed.trim({ maxEntries: 1 }, ms);
  }
  const [last] = packed.readAfter(ID_ZERO, EVERYTHING);
  const chunkBytes = last?.data.buffer.byteLength ?? Infinity;
  assert.ok(chunkBytes <= 1024, `100 bytes are kept in ${chunkBytes}`);
});

function addRun(
  packed: PackedEntries,
  plain: Plain,
  { count, size: bytes }: { count: number; size: number },
  now: number,
) {
  // More of the large ones would prove nothing more.
  const times = bytes > 1000 ? Math.min(count, 30) : count;
  for (let i = 0; i < times; i++) {
    const seq = idMs(plain.tip) === now ? Number(plain.tip.split('-')[1]) + 1 : 0;
    const data = Buffer.alloc(bytes, plain.ordinal % 251);
    plain.add(`${now}-${seq}`, Buffer.from(data));
    packed.add(`${now}-${seq}`, { type: plain.kept.at(-1)?.type ?? 'text', data });
    // What is given may be written over once it is added.
    data.fill(255);
  }
}

function compare(packed: PackedEntries, plain: Plain): void {
  const { kept } = plain;
  assert.equal(packed.length, kept.length);
  assert.equal(packed.tip, plain.tip);
  assert.equal(packed.tipOrdinal, plain.ordinal);
  assert.equal(packed.firstOrdinal, kept[0]?.ordinal ?? plain.ordinal + 1);
  assert.equal(packed.idBefore(packed.firstOrdinal), kept[0]?.prev ?? plain.tip);
  assert.equal(packed.has(plain.tip), kept.length > 0);
  const places = [0, 1, 7, kept.length >> 1, kept.length - 1];
  for (const place of places) {
    const entry = kept[place];
    if (entry === undefined) continue;
    assert.ok(packed.has(entry.id));
    const previous = kept[place - 1];
    assert.equal(packed.has(idBefore(entry.id)), previous?.id === idBefore(entry.id));
    assert.equal(packed.ordinalAfter(entry.id), (entry.ordinal as number) + 1);
    assert.equal(packed.ordinalAfter(entry.prev as string), entry.ordinal);
    same(
      packed.readAfter(idBefore(entry.id), { maxEntries: 3, maxBytes: 1e9 }),
      kept.slice(place, place + 3),
    );
    same(packed.readAfter(idBefore(entry.id), { maxEntries: 3, maxBytes: -1 }), kept.slice(place, place + 1));
  }
  same(packed.readAfter(ID_ZERO, EVERYTHING), kept);
}

function same(found: readonly Entry[], expected: readonly Entry[]): void {
  assert.equal(found.length, expected.length);
  for (const [i, entry] of found.entries()) {
    const { data, ...rest } = expected[i] as Entry;
    assert.deepEqual({ ...entry, data: null }, { ...rest, data: null });
    assert.ok(entry.data.equals(data));
  }
}
