import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  DEFAULT_RETENTION,
  isChannelName,
  isChannelsPattern,
  matcher,
  retentionBy,
} from '../src/channels.ts';

test('a name is what a path of a URL can name', () => {
  const marks = ['a', 'Z', '0', '_', '.', ':', '-'];
  const pairs = marks.flatMap((a) => marks.map((b) => a + b));
  const triples = pairs.flatMap((pair) => marks.map((mark) => pair + mark));
  for (const text of [...marks, ...pairs, ...triples, '....', 'x'.repeat(128), '.'.repeat(128)]) {
    const { pathname } = new URL(`http://host/a/${text}/b`);
    assert.equal(isChannelName(text), pathname === `/a/${text}/b`, text);
  }
  for (const bad of ['', ' ', 'a b', 'a/b', 'é', '%2e', 'a\n', 'x'.repeat(129), '.'.repeat(129)]) {
    assert.ok(!isChannelName(bad), bad);
  }
});

describe('patterns of channels', () => {
  test('are names, prefixes with a star, and the star alone', () => {
    for (const good of ['a', 'scores:*', 'a*', '*', '.*', '..*', 'x.y-z_0:'])
      assert.ok(isChannelsPattern(good), good);
    for (const bad of [
      '',
      '.',
      '..',
      '**',
      'a*b',
      '*a',
      'a b',
      'é*',
      'a?',
      `${'x'.repeat(129)}*`,
      'x'.repeat(129),
    ]) {
      assert.ok(!isChannelsPattern(bad), bad);
    }
  });

  test('the name itself counts before the longest prefix, that before shorter ones and the star', () => {
    const patterns = ['s*', 'scores:a', '*', 'scores:*'];
    const match = matcher(new Map(patterns.map((pattern) => [pattern, pattern])), 'none');
    const found = {
      'scores:a': 'scores:a',
      'scores:ab': 'scores:*',
      'scores:': 'scores:*',
      scores: 's*',
      s: 's*',
      x: '*',
    };
    for (const [channel, pattern] of Object.entries(found)) {
      assert.equal(match(channel), pattern, channel);
      assert.equal(match(channel), pattern, `${channel}, remembered`);
    }
  });

  test('a channel that none fits gets what is meant for the others, however many there are', () => {
    const match = matcher(new Map([['a*', 1]]), 0);
    for (let i = 0; i < 25_000; i++) assert.equal(match(`b${i}`), 0);
    for (let i = 0; i < 25_000; i++) assert.equal(match(`a${i}`), 1);
    assert.equal(match('b1'), 0);
  });
});

test('a rule names some bounds; the others are the general ones, not those of a wider rule', () => {
  const rules = [
    { channels: 'scores:*', maxEntries: 5, maxAgeMs: 1000 },
    { channels: 'scores:final', maxBytes: 7 },
  ];
  const retention = retentionBy(DEFAULT_RETENTION, rules);
  assert.deepEqual(retention('scores:a'), { ...DEFAULT_RETENTION, maxEntries: 5, maxAgeMs: 1000 });
  assert.deepEqual(retention('scores:final'), { ...DEFAULT_RETENTION, maxBytes: 7 });
  assert.deepEqual(retention('other'), DEFAULT_RETENTION);
});
