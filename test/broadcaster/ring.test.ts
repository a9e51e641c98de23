/** The ring: numbers, giving up the oldest, and when a cursor alone proves a place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Item } from '../../src/broadcaster/block.ts';
import { Ring } from '../../src/broadcaster/ring.ts';
import { at, block, entries, gapPage, items, pageOf } from '../support/broadcast-rig.ts';

/** A ring after 10-0 with the blocks 11..13, 14..16, 17..19. */
function threeBlocks(): Ring {
  const ring = new Ring(at(10));
  for (const from of [11, 14, 17]) ring.push(block(from, from + 2));
  return ring;
}

function gapMark(...args: Parameters<typeof gapPage>): Item {
  return items(gapPage(...args))[0] as Item;
}

describe('finding a cursor', () => {
  test('an empty ring knows its start as the next place', () => {
    assert.deepEqual(new Ring(at(10)).locate(at(10)), { no: 0, index: 0 });
  });

  test('an empty ring knows nothing before its start and nothing after it', () => {
    const ring = new Ring(at(10));
    assert.equal(ring.locate(at(9)), 'unknown');
    assert.equal(ring.locate(at(11)), 'ahead');
  });

  test('the start of the ring is the place of its first block', () => {
    assert.deepEqual(threeBlocks().locate(at(10)), { no: 0, index: 0 });
  });

  test('an entry inside a block is the place of the next entry', () => {
    assert.deepEqual(threeBlocks().locate(at(11)), { no: 0, index: 1 });
    assert.deepEqual(threeBlocks().locate(at(15)), { no: 1, index: 2 });
  });

  test('the last entry of a block is the place of the next block', () => {
    assert.deepEqual(threeBlocks().locate(at(13)), { no: 1, index: 0 });
    assert.deepEqual(threeBlocks().locate(at(16)), { no: 2, index: 0 });
  });

  test('the tip is the place of what comes next', () => {
    assert.deepEqual(threeBlocks().locate(at(19)), { no: 3, index: 0 });
  });

  test('an id past the tip is ahead', () => {
    assert.equal(threeBlocks().locate(at(20)), 'ahead');
  });

  test('an id before the ring is unknown', () => {
    assert.equal(threeBlocks().locate(at(9)), 'unknown');
  });

  test('an id between two entries that none of them has is unknown: it may be of another history', () => {
    for (const id of ['12-5', '13-1', '10-7', '11-18446744073709551615']) {
      assert.equal(threeBlocks().locate({ id, epoch: 'e1', ordinal: null }), 'unknown', id);
      assert.equal(threeBlocks().locate({ id, epoch: null, ordinal: null }), 'unknown', id);
    }
  });

  test('a plain id is found as a cursor with an epoch is', () => {
    assert.deepEqual(threeBlocks().locate(at(15, null)), { no: 1, index: 2 });
  });

  test('a cursor of another epoch is unknown, wherever its id lies', () => {
    for (const n of [5, 10, 15, 19, 25]) assert.equal(threeBlocks().locate(at(n, 'e2')), 'unknown');
  });

  test('a channel that gets its epoch with its first entry knows the cursor from before', () => {
    const ring = new Ring({ id: '0-0', epoch: null, ordinal: null });
    ring.push(block(1, 2));
    assert.deepEqual(ring.locate({ id: '0-0', epoch: null, ordinal: null }), { no: 0, index: 0 });
  });
});

describe('giving up the oldest', () => {
  test('the next block keeps its number, and the ring starts where the old one ended', () => {
    const ring = threeBlocks();
    assert.equal(ring.shift()?.end.id, '13-0');
    assert.equal(ring.item(0), undefined);
    assert.equal(ring.item(1)?.end.id, '16-0');
    assert.equal(ring.nextNo, 3);
    assert.deepEqual(ring.start, at(13));
    assert.deepEqual(ring.locate(at(13)), { no: 1, index: 0 });
    assert.equal(ring.locate(at(12)), 'unknown');
    assert.equal(ring.locate(at(10)), 'unknown');
  });

  test('an emptied ring still knows its tip, and nothing else', () => {
    const ring = threeBlocks();
    for (let i = 0; i < 3; i++) ring.shift();
    assert.equal(ring.shift(), undefined);
    assert.equal(ring.nextNo, 3);
    assert.deepEqual(ring.locate(at(19)), { no: 3, index: 0 });
    assert.equal(ring.locate(at(18)), 'unknown');
  });

  test('numbers hold over thousands of blocks that come and go', () => {
    const ring = new Ring(at(0));
    for (let n = 1; n <= 5000; n++) {
      ring.push(block(n, n));
      if (n > 7) ring.shift();
      assert.equal(ring.item(n - 1)?.end.id, `${n}-0`);
      assert.deepEqual(ring.locate(at(n)), { no: n, index: 0 });
    }
    assert.equal(ring.item(4993)?.end.id, '4994-0');
    assert.equal(ring.item(4992), undefined);
  });
});

describe('gaps in the ring', () => {
  test('a cursor at the end of the block before a gap meets the gap', () => {
    const ring = threeBlocks();
    ring.push(gapMark('trimmed', at(30)));
    ring.push(block(31, 32));
    assert.deepEqual(ring.locate(at(19)), { no: 3, index: 0 });
    assert.equal(ring.item(3)?.kind, 'gap');
  });

  test('a cursor after a gap or inside it is for the log to judge', () => {
    const ring = threeBlocks();
    ring.push(gapMark('trimmed', at(30)));
    ring.push(block(31, 32));
    assert.equal(ring.locate(at(30)), 'unknown');
    assert.equal(ring.locate(at(25)), 'unknown');
    assert.deepEqual(ring.locate(at(31)), { no: 4, index: 1 });
  });

  test('a gap at the end is the tip', () => {
    const ring = threeBlocks();
    ring.push(gapMark('deleted', at(30)));
    assert.deepEqual(ring.locate(at(30)), { no: 4, index: 0 });
  });

  test('after a reset no id of the old history is found, although it is still in the ring', () => {
    const ring = threeBlocks();
    ring.push(gapMark('reset', at(5, 'e2')));
    for (const item of items(pageOf(entries(6, 15), 'e2'))) ring.push(item);
    assert.deepEqual(ring.locate(at(5, 'e2')), { no: 4, index: 0 });
    assert.deepEqual(ring.locate(at(12, 'e2')), { no: 4, index: 7 });
    assert.deepEqual(ring.locate(at(12, null)), { no: 4, index: 7 });
    assert.equal(ring.locate(at(12)), 'unknown');
    assert.equal(ring.locate(at(4, 'e2')), 'unknown');
    assert.equal(ring.locate(at(16, 'e2')), 'ahead');
  });

  test('giving up the old history does not move where the new one begins', () => {
    const ring = threeBlocks();
    ring.push(gapMark('reset', at(5, 'e2')));
    for (const item of items(pageOf(entries(6, 8), 'e2'))) ring.push(item);
    for (let i = 0; i < 4; i++) ring.shift();
    assert.deepEqual(ring.locate(at(5, 'e2')), { no: 4, index: 0 });
    assert.deepEqual(ring.locate(at(7, 'e2')), { no: 4, index: 2 });
    ring.shift();
    assert.equal(ring.locate(at(5, 'e2')), 'unknown');
    assert.deepEqual(ring.locate(at(8, 'e2')), { no: 5, index: 0 });
  });
});
