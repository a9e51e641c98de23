/** Every rule about what follows a cursor, as literal situations (judge-cases.ts). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { follows, judgePage } from '../../src/log/judge.ts';
import { formatCursor } from '../../src/protocol/cursor.ts';
import { CASES, cursor, entry } from './judge-cases.ts';

describe('what follows a cursor', () => {
  for (const { name, after, look, found, delivered, gaps, end } of CASES) {
    test(name, () => {
      const page = judgePage(cursor(after), look, found.map(entry));
      const told = page.gaps.map(({ before, gap: { reason, lost, resumeAt } }) => {
        return { before, reason, lost, resumeAt: formatCursor(resumeAt) };
      });
      assert.deepEqual(told, gaps);
      const ids = page.entries.map(({ id }) => id);
      assert.deepEqual(ids, delivered ?? found.map((text) => entry(text).id));
      assert.equal(formatCursor(page.end), end);
      assert.equal(page.epoch, look.epoch);
      for (const { gap } of page.gaps) assert.equal(gap.floor, look.floor);
      if (gaps[0]?.before === 0) assert.deepEqual(page.gaps[0]?.gap.requested, cursor(after));
    });
  }

  test('whoever resumes where a gap said meets no second gap', () => {
    for (const { after, look, found } of CASES) {
      const entries = found.map(entry);
      const [first] = judgePage(cursor(after), look, entries).gaps;
      if (first?.before !== 0) continue;
      const { resumeAt } = first.gap;
      const rest = entries.filter(({ prev }) => prev === resumeAt.id);
      if (rest.length === 0 && resumeAt.id !== look.tip) continue;
      const again = judgePage(resumeAt, look, rest.slice(0, 1));
      assert.deepEqual(again.gaps, [], after);
    }
  });

  test('entries in a row are seen to follow without a look at the channel', () => {
    const row = ['4-0 after 3-0 #4', '5-0 after 4-0 #5'].map(entry);
    assert.ok(follows(cursor('3-0'), row));
    assert.ok(follows(cursor('3-0'), []));
    assert.ok(!follows(cursor('2-0'), row));
    assert.ok(!follows(cursor('3-0'), [entry('4-0 foreign')]));
    assert.ok(!follows(cursor('3-0'), [entry('4-0 after 3-0 #4'), entry('6-0 after 5-0 #6')]));
  });
});
