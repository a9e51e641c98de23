/** How long an answer may be kept, as a table. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type Answered,
  cacheControl,
  immutableFor,
  isUnchanged,
  type Keeping,
} from '../../src/http/history/cache.ts';
import { parseStart } from '../../src/protocol/start.ts';

const NOW = 1_000_000_000;
const KEEPING: Keeping = { nowMs: NOW, maxAgeMs: 3_600_000, isPrivate: false };
const FULL: Answered = { epoch: 'e', hasGap: false, oldest: `${NOW - 600_000}-0`, isComplete: true };

function seconds(
  after: string | null,
  before: string | null,
  answered: Partial<Answered> = {},
  keeping: Partial<Keeping> = {},
): number {
  const start = (text: string | null) => (text === null ? null : parseStart(text, NOW));
  return immutableFor(
    { after: start(after), before: start(before) },
    { ...FULL, ...answered },
    { ...KEEPING, ...keeping },
  );
}

describe('a range is immutable', () => {
  test('that begins at a cursor of the history it is of, and ends where the URL says', () => {
    assert.equal(seconds('5-0@e', null), 3000);
    assert.equal(seconds('5-0@e.3', '9-0'), 3000);
    assert.equal(seconds('5-0@e.3', '9-0@other'), 3000);
  });

  test('not when it begins at anything else', () => {
    for (const after of ['5-0', 'earliest', 'latest', 'last:5', '-5m', '2025-01-01', null]) {
      assert.equal(seconds(after, null), 0, `${after}`);
    }
  });

  test('not when it is of another history, or has a gap, or nothing, or may still grow', () => {
    assert.equal(seconds('5-0@e', null, { epoch: 'f' }), 0);
    assert.equal(seconds('5-0@e', null, { epoch: null }), 0);
    assert.equal(seconds('5-0@e', null, { hasGap: true }), 0);
    assert.equal(seconds('5-0@e', null, { oldest: null }), 0);
    assert.equal(seconds('5-0@e', null, { isComplete: false }), 0);
  });

  test('not when it ends before a place that moves', () => {
    for (const before of ['-5m', 'last:3', 'latest', 'earliest']) {
      assert.equal(seconds('5-0@e', before), 0, before);
    }
  });

  test('for as long as the log keeps its oldest entry by age, and a year at most', () => {
    assert.equal(seconds('5-0@e', null, {}, { maxAgeMs: 600_999 }), 0);
    assert.equal(seconds('5-0@e', null, {}, { maxAgeMs: 601_000 }), 1);
    assert.equal(seconds('5-0@e', null, {}, { maxAgeMs: 500_000 }), 0);
    assert.equal(seconds('5-0@e', null, {}, { maxAgeMs: 1e15 }), 365 * 24 * 3600);
    assert.equal(seconds('5-0@e', null, { oldest: '1-1' }), 0);
  });
});

test('an answer to credentials is for its sender alone', () => {
  assert.equal(cacheControl(5, KEEPING), 'public, max-age=5, immutable');
  assert.equal(cacheControl(0, KEEPING), 'no-cache');
  const isPrivate = { ...KEEPING, isPrivate: true };
  assert.equal(cacheControl(5, isPrivate), 'private, max-age=5, immutable');
  assert.equal(cacheControl(0, isPrivate), 'private, no-cache');
});

describe('If-None-Match', () => {
  for (const [header, etag, unchanged] of [
    [undefined, '"a"', false],
    ['', '"a"', false],
    ['"a"', '"a"', true],
    ['W/"a"', '"a"', true],
    ['"a"', 'W/"a"', true],
    ['"b", W/"a"', '"a"', true],
    ['"b","c"', '"a"', false],
    ['a', '"a"', false],
    ['*', '"a"', true],
    ['"x"a"x"', '"a"', false],
  ] as const) {
    test(`${header} ${unchanged ? 'has' : 'does not have'} ${etag}`, () => {
      assert.equal(isUnchanged(header, etag), unchanged);
    });
  }
});
