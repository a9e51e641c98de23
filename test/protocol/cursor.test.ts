import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { type Cursor, formatCursor, MAX_CURSOR_LENGTH, parseCursor } from '../../src/protocol/cursor.ts';

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const epochs = fc.stringMatching(/^[A-Za-z0-9]{1,16}$/);
const ordinals = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const cursors: fc.Arbitrary<Cursor> = fc
  .tuple(u64, u64, fc.option(fc.tuple(epochs, fc.option(ordinals))))
  .map(([ms, seq, history]) => {
    return { id: `${ms}-${seq}`, epoch: history?.[0] ?? null, ordinal: history?.[1] ?? null };
  });

describe('cursors', () => {
  test('a cursor is an id, with its epoch and ordinal when they are known', () => {
    const id = '1700000000000-3';
    assert.deepEqual(parseCursor(id), { id, epoch: null, ordinal: null });
    assert.deepEqual(parseCursor(`${id}@e1`), { id, epoch: 'e1', ordinal: null });
    assert.deepEqual(parseCursor(`${id}@e1.0`), { id, epoch: 'e1', ordinal: 0 });
    assert.deepEqual(parseCursor(`${id}@e1.42`), { id, epoch: 'e1', ordinal: 42 });
  });

  test('the cursor before all entries is written with its ordinal, which is 0', () => {
    assert.equal(formatCursor({ id: '0-0', epoch: 'e1', ordinal: 0 }), '0-0@e1.0');
  });

  test('an ordinal without an epoch is not written', () => {
    assert.equal(formatCursor({ id: '5-0', epoch: null, ordinal: 3 }), '5-0');
  });

  test('anything else is no cursor', () => {
    const bad = [
      ...[
        '',
        '@',
        '5-0@',
        '5-0@.3',
        '5-0@e.',
        '5-0@e.-1',
        '5-0@e.01',
        '5-0@e.1.2',
        '5-0@e@f',
        '5-0.3',
        '@e.3',
      ],
      ...[
        '5-0@e.9007199254740992',
        '5-0@seventeen-letters',
        '5-0@sevenTEENletters1',
        '5-0@é',
        '05-0@e',
        '5@e.1',
      ],
      ...[
        '18446744073709551616-0@e',
        '5-0@e.1\n',
        ' 5-0',
        '5-0 ',
        '$',
        'latest',
        '5-0@e.1e3',
        '5-0@__proto__',
      ],
      `5-0@e.${'1'.repeat(100)}`,
    ];
    for (const text of bad) assert.equal(parseCursor(text), null, JSON.stringify(text));
  });

  test('a cursor survives being written and read, within its length', () => {
    const property = fc.property(cursors, (cursor) => {
      const text = formatCursor(cursor);
      assert.ok(text.length <= MAX_CURSOR_LENGTH);
      assert.deepEqual(parseCursor(text), cursor);
    });
    fc.assert(property);
  });

  test('reading never throws, and what it accepts it writes the same', () => {
    const alphabet = fc.string({ unit: fc.constantFrom(...'0123456789-@.eE+ \n'.split('')), maxLength: 90 });
    const property = fc.property(fc.oneof(fc.string(), alphabet), (text) => {
      const cursor = parseCursor(text);
      if (cursor !== null) assert.equal(formatCursor(cursor), text);
    });
    fc.assert(property, { numRuns: 1000 });
  });
});
