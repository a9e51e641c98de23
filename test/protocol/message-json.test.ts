/** An entry as JSON: whatever it holds, the JSON is valid and says the same. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { messageJson } from '../../src/protocol/message-json.ts';

const ID = '1700000000000-7';

describe('a message as JSON', () => {
  test('says the characters of a text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.deepEqual(JSON.parse(messageJson(ID, 'text', Buffer.from(text))), { id: ID, data: text });
      }),
    );
  });

  test('is one line when the entry is a text, whatever is in it', () => {
    for (const text of ['a\nb', 'a\r\nb', '\u2028\u2029', '\0', '"\\', '']) {
      const json = messageJson(ID, 'text', Buffer.from(text));
      assert.doesNotMatch(json, /[\r\n]/);
      assert.equal((JSON.parse(json) as { data: string }).data, text);
    }
  });

  test('has the JSON of a json entry byte for byte', () => {
    for (const json of ['{"a": 1.0 ,"a":2}', '12345678901234567890', '"s"', 'null', '[\n1\n]']) {
      assert.equal(messageJson(ID, 'json', Buffer.from(json)), `{"id":"${ID}","data":${json}}`);
    }
  });

  test('has the bytes of a binary as base64', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const message = JSON.parse(messageJson(ID, 'binary', Buffer.from(bytes))) as Record<string, string>;
        assert.deepEqual(Object.keys(message), ['id', 'data64']);
        assert.deepEqual(Buffer.from(message['data64'] as string, 'base64'), Buffer.from(bytes));
      }),
    );
  });
});
