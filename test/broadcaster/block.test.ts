/** Blocks and runs: the bytes of frames, where a run ends, and that runs are shared. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Block, firstAbove } from '../../src/broadcaster/block.ts';
import { RAW } from '../../src/broadcaster/formats/raw.ts';
import { Range } from '../../src/broadcaster/range.ts';
import { Ring } from '../../src/broadcaster/ring.ts';
import { type Run, type RunShape, Runs } from '../../src/broadcaster/runs.ts';
import type { Page } from '../../src/log/log.ts';
import { at, block, entries, entry, gapPage, items, pageOf } from '../support/broadcast-rig.ts';

const HEADERS: readonly (readonly [length: number, header: string])[] = [
  [0, '8200'],
  [1, '8201'],
  [125, '827d'],
  [126, '827e007e'],
  [127, '827e007f'],
  [65_535, '827effff'],
  [65_536, '827f0000000000010000'],
  [70_000, '827f0000000000011170'],
];

describe('frames', () => {
  for (const [length, header] of HEADERS) {
    test(`a binary payload of ${length} bytes is framed byte for byte`, () => {
      const data = Buffer.alloc(length, 0xab);
      const [made] = items(pageOf([entry(1, data, 'binary')])) as [Block];
      const expected = Buffer.concat([Buffer.from(header, 'hex'), data]);
      assert.ok(made.frames.equals(expected));
      assert.equal(made.frameEnds[0], expected.length);
    });
  }

  test('text and json are text frames, binary is a binary frame', () => {
    const list = [entry(1, 'a', 'text'), entry(2, '{}', 'json'), entry(3, 'b', 'binary')];
    const [made] = items(pageOf(list)) as [Block];
    assert.equal(made.frames.toString('hex'), '81016181027b7d820162');
  });

  test('the frames of any run of entries are a view of the same memory', () => {
    const made = block(1, 4);
    assert.equal(RAW.encode(made, 0, 4).bytes, made.frames);
    const middle = RAW.encode(made, 1, 3);
    assert.equal(middle.bytes.toString('latin1'), '\x81\x02m2\x81\x02m3');
    assert.equal(middle.bytes.buffer, made.frames.buffer);
    assert.deepEqual([...middle.unitEnds], [4, 8]);
  });
});

describe('blocks of a page', () => {
  test('a gap between entries stands between two blocks', () => {
    const { gap } = gapPage('deleted', at(4)).gaps[0] ?? assert.fail();
    const page: Page = { ...pageOf([entry(1), entry(2), entry(5)]), gaps: [{ before: 2, gap }] };
    const made = items(page);
    assert.deepEqual(
      made.map(({ kind, end }) => [kind, end.id, end.ordinal]),
      [
        ['block', '2-0', 2],
        ['gap', '4-0', 4],
        ['block', '5-0', 5],
      ],
    );
  });

  test('a gap before and a gap after all entries make a block between two marks', () => {
    const before = gapPage('trimmed', at(9)).gaps[0] ?? assert.fail();
    const after = { before: 1, gap: { ...before.gap, resumeAt: at(20) } };
    const page: Page = { ...pageOf([entry(10)]), gaps: [before, after], end: at(20) };
    assert.deepEqual(
      items(page).map(({ kind, end }) => [kind, end.id]),
      [
        ['gap', '9-0'],
        ['block', '10-0'],
        ['gap', '20-0'],
      ],
    );
  });

  test('the cursor inside a block counts the ordinals back from its end', () => {
    const made = block(5, 9);
    assert.deepEqual(made.cursorAt(0), at(5));
    assert.deepEqual(made.cursorAt(4), at(9));
    const foreign = entries(5, 9).map((one) => ({ ...one, ordinal: null }));
    const [unknown] = items(pageOf(foreign)) as [Block];
    assert.equal(unknown.cursorAt(1).ordinal, null);
  });

  test('the first entry above an id is found by search, also when there is none', () => {
    const made = block(5, 9);
    assert.equal(firstAbove(made, '0-0'), 0);
    assert.equal(firstAbove(made, '5-0'), 1);
    assert.equal(firstAbove(made, '6-3'), 2);
    assert.equal(firstAbove(made, '9-0'), 5);
  });
});

/** Blocks of 3, 3 and 3 entries; each frame takes 4 bytes. */
function nine(): Ring {
  const ring = new Ring(at(0));
  for (const from of [1, 4, 7]) ring.push(block(from, from + 2));
  return ring;
}

function raw(maxBytes: number): RunShape {
  return { format: RAW, maxBytes };
}

function runAt(ring: Ring | Range, [no, index]: readonly [number, number], maxBytes: number): Run {
  const step = new Runs().next(ring, no, index, raw(maxBytes));
  assert.equal(step?.kind, 'run');
  return step;
}

describe('runs', () => {
  test('one block that fills a write is written as it is, without a copy', () => {
    const ring = nine();
    assert.equal(runAt(ring, [0, 0], 12).bytes, (ring.item(0) as Block).frames);
  });

  test('several small blocks are put together up to the bound, and never in part', () => {
    for (const [maxBytes, id] of [
      [23, '3-0'],
      [24, '6-0'],
      [35, '6-0'],
      [36, '9-0'],
      [1000, '9-0'],
    ] as const) {
      const run = runAt(nine(), [0, 0], maxBytes);
      assert.equal(run.end.id, id, `at most ${maxBytes} bytes`);
      assert.ok(run.bytes.length <= maxBytes);
    }
  });

  test('a run from inside a block begins with that entry and goes on through the next blocks', () => {
    const run = runAt(nine(), [0, 2], 1000);
    assert.equal(run.bytes.toString('latin1').slice(0, 8), '\x81\x02m3\x81\x02m4');
    assert.deepEqual(run.next, { no: 3, index: 0 });
    assert.deepEqual(run.end, at(9));
  });

  test('a block larger than the bound is cut after a whole frame', () => {
    const ring = new Ring(at(0));
    ring.push(block(1, 9));
    const run = runAt(ring, [0, 0], 11);
    assert.equal(run.bytes.toString('latin1'), '\x81\x02m1\x81\x02m2');
    assert.deepEqual(run.next, { no: 0, index: 2 });
    assert.deepEqual(run.end, at(2));
  });

  test('an entry larger than the bound goes out alone and whole', () => {
    const ring = new Ring(at(0));
    const list = [entry(1, Buffer.alloc(5000)), entry(2), entry(3, Buffer.alloc(5000))];
    for (const item of items(pageOf(list))) ring.push(item);
    const first = runAt(ring, [0, 0], 100);
    assert.deepEqual([first.bytes.length, first.next], [5004, { no: 0, index: 1 }]);
    const second = runAt(ring, [0, 1], 100);
    assert.deepEqual([second.bytes.length, second.next], [4, { no: 0, index: 2 }]);
    const third = runAt(ring, [0, 2], 100);
    assert.deepEqual([third.bytes.length, third.next], [5004, { no: 1, index: 0 }]);
  });

  test('following the runs gives every frame once, whatever the bound', () => {
    const ring = nine();
    const all = Buffer.concat([0, 1, 2].map((no) => (ring.item(no) as Block).frames));
    for (let maxBytes = 1; maxBytes <= 40; maxBytes++) {
      const runs = new Runs();
      const parts: Buffer[] = [];
      let place = { no: 0, index: 0 };
      for (;;) {
        const step = runs.next(ring, place.no, place.index, raw(maxBytes));
        if (step?.kind !== 'run') break;
        parts.push(step.bytes);
        place = step.next;
      }
      assert.ok(Buffer.concat(parts).equals(all), `${maxBytes} bytes a write`);
    }
  });

  test('a run stops before a gap, and the gap is the next step', () => {
    const ring = nine();
    for (const item of items(gapPage('trimmed', at(20), entries(21, 22)))) ring.push(item);
    const run = runAt(ring, [0, 0], 1000);
    assert.equal(run.end.id, '9-0');
    const step = new Runs().next(ring, run.next.no, run.next.index, raw(1000));
    assert.equal(step?.kind, 'gap');
  });

  test('two at the same place get the same object', () => {
    const ring = nine();
    const runs = new Runs();
    assert.equal(runs.next(ring, 0, 1, raw(1000)), runs.next(ring, 0, 1, raw(1000)));
  });

  test('a kept run is not given to one at another place, with another bound, or once more has come', () => {
    const ring = nine();
    const runs = new Runs();
    const first = runs.next(ring, 0, 0, raw(1000));
    assert.notEqual(runs.next(ring, 0, 1, raw(1000)), first);
    assert.notEqual(runs.next(ring, 0, 0, raw(12)), first);
    assert.notEqual(runs.next(new Range(at(0), [block(1, 3)], at(3)), 0, 0, raw(1000)), first);
    ring.push(block(10, 11));
    assert.equal((runs.next(ring, 0, 0, raw(1000)) as Run).end.id, '11-0');
  });

  test('at the end of the source there is no step', () => {
    assert.equal(new Runs().next(nine(), 3, 0, raw(1000)), null);
  });

  test('after clear nothing of the old bytes is given out', () => {
    const ring = nine();
    const runs = new Runs();
    const first = runs.next(ring, 0, 0, raw(1000));
    runs.clear();
    assert.notEqual(runs.next(ring, 0, 0, raw(1000)), first);
  });
});
