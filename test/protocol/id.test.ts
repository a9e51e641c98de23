import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  compareIds,
  ID_ZERO,
  idAfter,
  idBefore,
  idMs,
  idSeq,
  idsAfter,
  parseId,
} from '../../src/protocol/id.ts';

const MAX = '18446744073709551615';
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const anyId = fc.tuple(u64, u64);

function text([ms, seq]: readonly [bigint, bigint]): string {
  return `${ms}-${seq}`;
}

function exactOrder(a: readonly [bigint, bigint], b: readonly [bigint, bigint]): number {
  const difference = a[0] === b[0] ? a[1] - b[1] : a[0] - b[0];
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

describe('ids', () => {
  test('an id is two numbers of 64 bits without leading zeros', () => {
    for (const good of ['0-0', '1-0', '1700000000000-12', `${MAX}-${MAX}`]) assert.equal(parseId(good), good);
    const bad = [
      ...[
        '',
        '-',
        '1',
        '1-',
        '-1',
        '1-2-3',
        '01-0',
        '1-00',
        '+1-0',
        '1-+0',
        ' 1-0',
        '1-0 ',
        '1.5-0',
        '1e3-0',
      ],
      ...[
        '$',
        '*',
        'x-0',
        '١-0',
        '-1-0',
        '1--1',
        `${MAX}0-0`,
        '18446744073709551616-0',
        '0-18446744073709551616',
      ],
      ...['1-0\n', '0x1-0', 'null', '1-0@e'],
    ];
    for (const text of bad) assert.equal(parseId(text), null, JSON.stringify(text));
  });

  test('ids compare exactly, beyond what a double can tell apart', () => {
    assert.ok(compareIds('9-0', '10-0') < 0);
    assert.ok(compareIds('10-9', '10-10') < 0);
    assert.ok(compareIds('9007199254740993-0', '9007199254740992-0') > 0);
    assert.ok(compareIds(`5-${MAX}`, '6-0') < 0);
    assert.equal(compareIds('7-7', '7-7'), 0);
  });

  test('the order of ids is the order of their numbers', () => {
    const property = fc.property(anyId, anyId, (a, b) => {
      assert.equal(Math.sign(compareIds(text(a), text(b))), exactOrder(a, b));
      assert.equal(parseId(text(a)), text(a));
    });
    fc.assert(property);
  });

  test('the id before is the greatest below', () => {
    assert.equal(idBefore('5-3'), '5-2');
    assert.equal(idBefore('5-0'), `4-${MAX}`);
    assert.equal(idBefore('0-1'), '0-0');
    assert.equal(idBefore(ID_ZERO), ID_ZERO);
    assert.equal(idBefore(`1-${MAX}`), '1-18446744073709551614');
    const property = fc.property(anyId, ([ms, seq]) => {
      fc.pre(ms > 0n || seq > 0n);
      const before = seq > 0n ? ([ms, seq - 1n] as const) : ([ms - 1n, 2n ** 64n - 1n] as const);
      assert.equal(idBefore(text([ms, seq])), text(before));
    });
    fc.assert(property);
  });

  test('the id after is the one that it lies before', () => {
    assert.equal(idAfter(ID_ZERO), '0-1');
    assert.equal(idAfter(`4-${MAX}`), '5-0');
    assert.equal(idAfter(`${MAX}-${MAX}`), `${MAX}-${MAX}`);
    const property = fc.property(anyId, (id) => {
      fc.pre(text(id) !== `${MAX}-${MAX}`);
      assert.equal(idBefore(idAfter(text(id))), text(id));
    });
    fc.assert(property);
  });

  test('the parts of an id are its numbers', () => {
    assert.deepEqual([idMs('1700000000000-12'), idSeq('1700000000000-12')], [1_700_000_000_000, 12]);
  });

  test('new ids take the time of the clock when it is ahead, else count on from the last', () => {
    assert.deepEqual(idsAfter('0-0', 5, 3), ['5-0', '5-1', '5-2']);
    assert.deepEqual(idsAfter('5-2', 6, 2), ['6-0', '6-1']);
    assert.deepEqual(idsAfter('5-2', 5, 2), ['5-3', '5-4']);
    assert.deepEqual(idsAfter('5-2', 1, 2), ['5-3', '5-4']);
    assert.deepEqual(idsAfter('5-2', 9, 0), []);
  });

  test('new ids strictly rise whatever the clock does', () => {
    const batches = fc.array(fc.tuple(fc.nat({ max: 2 ** 45 }), fc.integer({ min: 1, max: 20 })), {
      maxLength: 30,
    });
    const property = fc.property(batches, (list) => {
      let last = ID_ZERO;
      for (const [nowMs, count] of list) {
        for (const id of idsAfter(last, nowMs, count)) {
          assert.ok(compareIds(last, id) < 0);
          assert.ok(idMs(id) >= nowMs);
          last = id;
        }
      }
    });
    fc.assert(property);
  });
});
