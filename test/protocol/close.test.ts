import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { CLOSE, closeReason, cursorReason } from '../../src/protocol/close.ts';
import { MAX_CURSOR_LENGTH } from '../../src/protocol/cursor.ts';

describe('close codes', () => {
  test('every code may be sent by an application', () => {
    for (const [name, code] of Object.entries(CLOSE)) {
      const isRegistered = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
      assert.ok(isRegistered || (code >= 4000 && code <= 4999), `${name} ${code}`);
    }
    assert.equal(new Set(Object.values(CLOSE)).size, Object.values(CLOSE).length);
  });

  test('a cursor of any length fits into the reason as it is', () => {
    const reason = cursorReason('1'.repeat(MAX_CURSOR_LENGTH));
    assert.equal(closeReason(reason), reason);
    assert.equal(cursorReason('5-0@e.3'), 'cursor=5-0@e.3');
  });

  test('a reason is cut to 123 bytes, never inside a character', () => {
    assert.equal(closeReason('short'), 'short');
    assert.equal(closeReason('x'.repeat(123)), 'x'.repeat(123));
    assert.equal(closeReason('x'.repeat(124)), 'x'.repeat(123));
    assert.equal(closeReason(`${'x'.repeat(122)}é`), 'x'.repeat(122));
    assert.equal(closeReason(`${'x'.repeat(120)}🐎`), 'x'.repeat(120));
    const property = fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
      const reason = closeReason(text);
      assert.ok(Buffer.byteLength(reason) <= 123);
      assert.ok(text.startsWith(reason));
      assert.equal(Buffer.from(reason).toString(), reason);
    });
    fc.assert(property);
  });
});
