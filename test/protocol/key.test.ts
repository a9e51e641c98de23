/** What may be an idempotency key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKey, MAX_KEY_BYTES } from '../../src/protocol/key.ts';

test('a key is text of 1 to 128 bytes', () => {
  for (const key of ['a', ' ', '\0', 'ключ', '😀'.repeat(32), 'k'.repeat(MAX_KEY_BYTES)]) {
    assert.ok(isKey(key), JSON.stringify(key));
  }
  for (const key of ['', 'k'.repeat(MAX_KEY_BYTES + 1), 'é'.repeat(65), '😀'.repeat(33)]) {
    assert.ok(!isKey(key), JSON.stringify(key));
  }
});

test('a lone surrogate is none: as bytes it would be the same as another', () => {
  for (const key of ['\ud83d', 'a\ude00', '\ude00\ud83d']) assert.ok(!isKey(key), JSON.stringify(key));
});
