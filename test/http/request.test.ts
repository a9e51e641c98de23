/** What an upgrade request asks for: every form of every parameter, and what is refused. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import { channelOf, onGapOf, protocolOf, startOf, targetOf } from '../../src/http/request.ts';
import type { Start } from '../../src/protocol/start.ts';

const NOW = Date.parse('2025-06-01T12:00:00Z');

function query(text: string): URLSearchParams {
  return new URLSearchParams(text);
}

const STARTS: readonly (readonly [text: string, start: Start | 'refused'])[] = [
  ['', { at: 'latest' }],
  ['after=latest', { at: 'latest' }],
  ['after=earliest', { at: 'earliest' }],
  ['after=last:0', { at: 'last', count: 0 }],
  ['after=last:100', { at: 'last', count: 100 }],
  ['after=last:1000000', { at: 'last', count: 1_000_000 }],
  ['after=5-3', { at: 'cursor', cursor: { id: '5-3', epoch: null, ordinal: null } }],
  ['after=5-3@abc', { at: 'cursor', cursor: { id: '5-3', epoch: 'abc', ordinal: null } }],
  ['after=5-3%40abc.17', { at: 'cursor', cursor: { id: '5-3', epoch: 'abc', ordinal: 17 } }],
  ['after=0-0', { at: 'cursor', cursor: { id: '0-0', epoch: null, ordinal: null } }],
  [
    'after=18446744073709551615-18446744073709551615',
    { at: 'cursor', cursor: { id: '18446744073709551615-18446744073709551615', epoch: null, ordinal: null } },
  ],
  ['after=-30s', { at: 'time', ms: NOW - 30_000 }],
  ['after=-5m', { at: 'time', ms: NOW - 300_000 }],
  ['after=-2h', { at: 'time', ms: NOW - 7_200_000 }],
  ['after=-1d', { at: 'time', ms: NOW - 86_400_000 }],
  ['after=-250ms', { at: 'time', ms: NOW - 250 }],
  ['after=-999999999d', { at: 'time', ms: 0 }],
  ['after=2025-06-01', { at: 'time', ms: Date.parse('2025-06-01T00:00:00Z') }],
  ['after=2025-06-01T10:00', { at: 'time', ms: NOW - 7_200_000 }],
  ['after=2025-06-01T10:00:00Z', { at: 'time', ms: NOW - 7_200_000 }],
  ['after=2025-06-01T10:00:00.250Z', { at: 'time', ms: NOW - 7_200_000 + 250 }],
  ['after=2025-06-01T12:00:00%2B02:00', { at: 'time', ms: NOW - 7_200_000 }],
  ['after=2025-06-01T12:00:00+02:00', { at: 'time', ms: NOW - 7_200_000 }],
  ['after=', 'refused'],
  ['after', 'refused'],
  ['after=$', 'refused'],
  ['after=LATEST', 'refused'],
  ['after=5', 'refused'],
  ['after=-1', 'refused'],
  ['after=5-', 'refused'],
  ['after=05-3', 'refused'],
  ['after=5--3', 'refused'],
  ['after=18446744073709551616-0', 'refused'],
  ['after=5-3@', 'refused'],
  ['after=5-3@abc.', 'refused'],
  ['after=5-3@abc.01', 'refused'],
  ['after=5-3@abc.9999999999999999', 'refused'],
  ['after=5-3@abcdefghijklmnopq', 'refused'],
  ['after=5-3%20', 'refused'],
  ['after=5-3%0d%0a', 'refused'],
  ['after=last:', 'refused'],
  ['after=last:-1', 'refused'],
  ['after=last:1000001', 'refused'],
  ['after=last:01', 'refused'],
  ['after=-5y', 'refused'],
  ['after=2025-13-01', 'refused'],
  ['after=2025-06-01T25:00', 'refused'],
  ['after=1969-12-31', 'refused'],
  ['after=yesterday', 'refused'],
  ['after=5-3&after=5-4', 'refused'],
  [`after=${'9'.repeat(1_000)}`, 'refused'],
];

describe('after', () => {
  for (const [text, expected] of STARTS) {
    const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
    test(`"${shown}" ${expected === 'refused' ? 'is refused' : `is ${expected.at}`}`, () => {
      const asked = startOf(query(text), NOW);
      if (expected !== 'refused') assert.deepEqual(asked, { ok: expected });
      else assert.equal('refused' in asked && asked.refused.code, 'bad_cursor');
    });
  }
});

describe('channel', () => {
  test('absent is the default channel', () => {
    assert.deepEqual(channelOf(query(''), 'local-q'), { ok: 'local-q' });
  });

  for (const name of ['a', 'A-Z_0.9:x', '...', '.a', '..:', 'constructor', '__proto__', 'x'.repeat(128)]) {
    test(`"${name.slice(0, 20)}" is a name`, () => {
      assert.deepEqual(channelOf(new URLSearchParams({ channel: name }), 'd'), { ok: name });
    });
  }

  for (const name of [
    '',
    ' ',
    '.',
    '..',
    'a b',
    '../x',
    'a/b',
    '*',
    'a*',
    'ä',
    'a\0',
    'a\n',
    '{a}',
    'x'.repeat(129),
  ]) {
    test(`${JSON.stringify(name).slice(0, 20)} is refused`, () => {
      const asked = channelOf(new URLSearchParams({ channel: name }), 'd');
      assert.equal('refused' in asked && asked.refused.code, 'bad_channel');
    });
  }

  test('two are refused, also when they are the same', () => {
    assert.ok('refused' in channelOf(query('channel=a&channel=a'), 'd'));
  });
});

describe('on_gap', () => {
  test('absent is fail; fail and skip are themselves', () => {
    assert.deepEqual(onGapOf(query(''), 'fail'), { ok: 'fail' });
    assert.deepEqual(onGapOf(query('on_gap=fail'), 'fail'), { ok: 'fail' });
    assert.deepEqual(onGapOf(query('on_gap=skip'), 'fail'), { ok: 'skip' });
  });

  for (const text of ['on_gap=', 'on_gap=SKIP', 'on_gap=tell', 'on_gap=skip&on_gap=skip']) {
    test(`"${text}" is refused`, () => {
      const asked = onGapOf(query(text), 'fail');
      assert.equal('refused' in asked && asked.refused.code, 'bad_request');
    });
  }
});

describe('subprotocols', () => {
  for (const [header, chosen] of [
    [undefined, null],
    ['rivercast.raw', 'rivercast.raw'],
    ['other, rivercast.raw', 'rivercast.raw'],
    ['access_token.a.b.c', null],
    ['access_token.a.b.c,rivercast.raw', 'rivercast.raw'],
  ] as const) {
    test(`${header} is answered with ${chosen}`, () => {
      assert.deepEqual(protocolOf(header), { ok: chosen });
    });
  }

  for (const header of ['', 'mqtt', 'graphql-ws, mqtt', 'access_token.x, mqtt', 'RIVERCAST.RAW']) {
    test(`"${header}" is refused`, () => {
      const asked = protocolOf(header);
      assert.equal('refused' in asked && asked.refused.code, 'bad_request');
    });
  }
});

test('the target of a request is its path and its query, whatever they are', () => {
  const of = (url: string): readonly [string, string] => {
    const { path, query } = targetOf({ url } as IncomingMessage);
    return [path, query.toString()];
  };
  assert.deepEqual(of('/ws/broadcast'), ['/ws/broadcast', '']);
  assert.deepEqual(of('/ws/broadcast?a=1&b=2'), ['/ws/broadcast', 'a=1&b=2']);
  assert.deepEqual(of('/ws?a=1?b=2'), ['/ws', 'a=1%3Fb%3D2']);
  assert.deepEqual(of('/%?%=%'), ['/%', '%25=%25']);
  assert.deepEqual(of('//evil.io/x'), ['//evil.io/x', '']);
});
