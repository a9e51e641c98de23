/** What a request for history asks for: every parameter, and what is refused. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formOf, readHistoryAsk } from '../../src/http/history/request.ts';

const NOW = Date.parse('2025-06-01T12:00:00Z');

function read(query: string, accept?: string, channel = 'c'): ReturnType<typeof readHistoryAsk> {
  return readHistoryAsk({ channel, query: new URLSearchParams(query), accept, nowMs: NOW });
}

describe('a request without parameters', () => {
  test('is for the newest hundred, as JSON, and passes gaps', () => {
    assert.deepEqual(read(''), {
      ok: { channel: 'c', form: 'json', after: null, before: null, limit: 100, onGap: 'skip' },
    });
  });
});

describe('after and before', () => {
  for (const [text, start] of [
    ['latest', { at: 'latest' }],
    ['earliest', { at: 'earliest' }],
    ['last:7', { at: 'last', count: 7 }],
    ['-5m', { at: 'time', ms: NOW - 300_000 }],
    ['2025-06-01', { at: 'time', ms: Date.parse('2025-06-01') }],
    ['5-3', { at: 'cursor', cursor: { id: '5-3', epoch: null, ordinal: null } }],
    ['5-3@ab.9', { at: 'cursor', cursor: { id: '5-3', epoch: 'ab', ordinal: 9 } }],
  ] as const) {
    test(`take ${text}`, () => {
      const asked = read(`after=${text}&before=${text}`);
      assert.ok('ok' in asked);
      assert.deepEqual([asked.ok.after, asked.ok.before], [start, start]);
    });
  }
});

const REFUSED: readonly (readonly [query: string, code: string])[] = [
  ['after=', 'bad_cursor'],
  ['after', 'bad_cursor'],
  ['after=x', 'bad_cursor'],
  ['after=%zz', 'bad_cursor'],
  ['after=5-3&after=5-3', 'bad_cursor'],
  ['before=', 'bad_cursor'],
  ['before=5', 'bad_cursor'],
  ['before=5-3&before=5-4', 'bad_cursor'],
  ['limit=', 'bad_request'],
  ['limit=0', 'bad_request'],
  ['limit=-1', 'bad_request'],
  ['limit=+1', 'bad_request'],
  ['limit=01', 'bad_request'],
  ['limit=1.5', 'bad_request'],
  ['limit=1e2', 'bad_request'],
  ['limit=0x10', 'bad_request'],
  ['limit=1001', 'bad_request'],
  ['limit=99999999999999999999', 'bad_request'],
  ['limit=5&limit=5', 'bad_request'],
  ['on_gap=', 'bad_request'],
  ['on_gap=FAIL', 'bad_request'],
  ['on_gap=fail&on_gap=fail', 'bad_request'],
];

describe('a malformed parameter', () => {
  for (const [query, code] of REFUSED) {
    test(`"${query}" is refused`, () => {
      const asked = read(query);
      assert.equal('refused' in asked && asked.refused.code, code);
    });
  }

  test('is refused whatever the channel, and a channel that is none is refused', () => {
    for (const channel of ['', '.', '..', 'a b', 'a/b', 'ü', '*', 'a'.repeat(129), 'a\0', '%41']) {
      const asked = read('', undefined, channel);
      assert.equal('refused' in asked && asked.refused.code, 'bad_channel', channel);
    }
    assert.ok('ok' in read('', undefined, 'a'.repeat(128)));
  });
});

describe('limit', () => {
  test('goes further in lines than in a page', () => {
    assert.ok('ok' in read('limit=1000'));
    assert.ok('ok' in read('limit=1000000', 'application/x-ndjson'));
    assert.ok('refused' in read('limit=1000001', 'application/x-ndjson'));
  });
});

describe('Accept', () => {
  for (const [accept, form] of [
    [undefined, 'json'],
    ['', 'json'],
    ['*/*', 'json'],
    ['application/json', 'json'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'json'],
    ['application/x-ndjson', 'ndjson'],
    ['Application/X-NDJSON; charset=utf-8', 'ndjson'],
    ['application/x-ndjson, */*', 'ndjson'],
    ['application/json, application/x-ndjson', 'ndjson'],
    ['application/json, application/x-ndjson;q=0.5', 'json'],
    ['application/json;q=0.2 , application/x-ndjson;q=0.5', 'ndjson'],
    ['application/x-ndjson;q=0', 'json'],
    ['application/x-ndjson;q=x', 'json'],
    ['application/x-ndjson;q=-1', 'json'],
    [',;,q=1,', 'json'],
  ] as const) {
    test(`"${accept}" means ${form}`, () => assert.equal(formOf(accept), form));
  }
});
