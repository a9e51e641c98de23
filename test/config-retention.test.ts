/** Retention for some channels, as it is written in RETENTION and in a file. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RetentionRule } from '../src/channels.ts';
import { ConfigError, loadConfig } from '../src/config.ts';
import { tempDir } from './support/temp-dir.ts';

const HOUR = 3_600_000;

function rules(env: Record<string, string>): readonly RetentionRule[] {
  return loadConfig({ env }).log.retentionRules;
}

function problem(env: Record<string, string>): string {
  try {
    rules(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.problems.length, 1, error.message);
    return error.message;
  }
  return assert.fail('nothing is wrong with it');
}

describe('RETENTION', () => {
  const good: Record<string, readonly RetentionRule[]> = {
    'scores:*=entries:1000,bytes:10mib,age:1h; audit=age:30d': [
      { channels: 'scores:*', maxEntries: 1000, maxBytes: 10 * 1024 * 1024, maxAgeMs: HOUR },
      { channels: 'audit', maxAgeMs: 30 * 24 * HOUR },
    ],
    '*=bytes:1gb': [{ channels: '*', maxBytes: 1e9 }],
    ' a.b:c* = age: 90s , entries:1 ;': [{ channels: 'a.b:c*', maxAgeMs: 90_000, maxEntries: 1 }],
  };
  for (const [text, expected] of Object.entries(good)) {
    test(`takes ${text}`, () => assert.deepEqual(rules({ RETENTION: text }), expected));
  }

  const bad: Record<string, RegExp> = {
    'scores:*': /"scores:\*" has not the form channels=bounds/,
    'a=entries:1; b': /: "b" has not the form/,
    'a=age:1h=2': /"a=age:1h=2" has not the form/,
    'sco*res=age:1h': /"sco\*res" names no channels/,
    '=age:1h': /"" names no channels/,
    'a=entries:1; b=entries:many': /"entries:many" of b must be a whole number/,
    'a=entries:0': /"entries:0" of a must be/,
    'a=entries:1.5': /"entries:1.5" of a must be/,
    'a=bytes:10xib': /"bytes:10xib" of a must be a size/,
    'a=bytes:2048tib': /"bytes:2048tib" of a must be/,
    'a=age:-1h': /"age:-1h" of a must be a time/,
    'a=age:1h,age:2h': /"age:2h" of a must be a time such as 1h, and once/,
    'a=size:3': /"size:3" of a is none of entries, bytes, age/,
    'a=': /":" of a is none of/,
    'a=__proto__:3': /"__proto__:3" of a is none of/,
    'a=age:1h; a=age:2h': /a is named twice/,
  };
  for (const [text, told] of Object.entries(bad)) {
    test(`names what is wrong with ${text}`, () => {
      const message = problem({ RETENTION: text });
      assert.match(message, told);
      assert.match(message, /^RETENTION=.* is not allowed: .*\. Allowed: /);
    });
  }
});

describe('RETENTION_FILE', () => {
  test('is read at the start, beside RETENTION', async (t) => {
    const path = join(await tempDir(t), 'retention.json');
    const list = [
      { channels: 'scores:*', maxEntries: 1000, maxBytes: '10mib', maxAge: '1h' },
      { channels: '*', maxAge: 5000 },
    ];
    await writeFile(path, JSON.stringify(list));
    assert.deepEqual(rules({ RETENTION: 'a=entries:3', RETENTION_FILE: path }), [
      { channels: 'a', maxEntries: 3 },
      { channels: 'scores:*', maxEntries: 1000, maxBytes: 10 * 1024 * 1024, maxAgeMs: HOUR },
      { channels: '*', maxAgeMs: 5000 },
    ]);
    assert.match(problem({ RETENTION: '*=entries:3', RETENTION_FILE: path }), /both name the channels \*\./);
  });

  const bad: Record<string, RegExp> = {
    '{"channels":"a"}': /holds no list/,
    '[{"channels":"a","maxAge":"1h"},7]': /: 7 is no object/,
    '[{"channels":"a"}]': /a has no bound/,
    '[{"maxAge":"1h"}]': /"" names no channels/,
    '[{"channels":"a","maxAges":"1h"}]': /"maxAges:1h" of a is none of maxEntries, maxBytes, maxAge/,
    '[{"channels":"a","maxEntries":null}]': /"maxEntries:" of a must be a whole number/,
    '[{"channels":"a","maxEntries":1}': /the file can not be used: .*JSON/,
  };
  for (const [content, told] of Object.entries(bad)) {
    test(`names what is wrong with ${content}`, async (t) => {
      const path = join(await tempDir(t), 'retention.json');
      await writeFile(path, content);
      assert.match(problem({ RETENTION_FILE: path }), told);
    });
  }

  test('has to be there', () => {
    assert.match(problem({ RETENTION_FILE: '/nowhere/rules.json' }), /^RETENTION_FILE=.*ENOENT/);
  });
});
