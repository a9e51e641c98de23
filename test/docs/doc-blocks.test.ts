/** The reader of the documents' blocks: what it does not know it says, and leaves nothing out without a word. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { blocksIn } from '../support/doc-blocks.ts';

const FENCE = '```';

function page(info: string): string {
  return `Text.\n\n${FENCE}${info}\necho one\n${FENCE}\n`;
}

describe('a block of a document', () => {
  test('is read with its language, its words and its place', () => {
    const [block, ...others] = blocksIn('a.md', page('sh needs=wscat endless'));
    assert.deepEqual(others, []);
    assert.deepEqual(block, {
      file: 'a.md',
      line: 4,
      language: 'sh',
      words: new Set(['needs=wscat', 'endless']),
      code: 'echo one\n',
    });
  });

  test('that shows something is not run', () => {
    for (const info of ['', 'json']) assert.deepEqual(blocksIn('a.md', page(info)), []);
  });

  test('in a language that nothing runs, or with a word that nobody knows, is a mistake', () => {
    assert.throws(() => blocksIn('a.md', page('ruby')), /a\.md:3: nothing runs ruby/);
    assert.throws(() => blocksIn('a.md', page('bash')), /nothing runs bash/);
    assert.throws(() => blocksIn('a.md', page('sh endles')), /a\.md:3: nobody knows the word endles/);
    assert.throws(() => blocksIn('a.md', page('json endles')), /endles/);
  });

  test('with another fence, inside of a list, or without an end is one, too', () => {
    assert.throws(() => blocksIn('a.md', page('sh').replaceAll(FENCE, '~~~')), /three backquotes/);
    assert.throws(() => blocksIn('a.md', page('sh').replaceAll(FENCE, `  ${FENCE}`)), /three backquotes/);
    assert.throws(() => blocksIn('a.md', `${FENCE}sh\necho one\n`), /a\.md:1: a block without an end/);
  });
});
