/** What a publisher may ask, read from hostile text, and what it is told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { readEntry } from '../../src/protocol/entry-json.ts';
import {
  ackText,
  maxPublishFrameBytes,
  publishErrorText,
  readPublishAsk,
} from '../../src/protocol/v1-publish.ts';
import { asciiFrame } from '../../src/protocol/websocket-frame.ts';

const MAX_BYTES = 100;

interface Read {
  readonly type: string;
  readonly data: string;
  readonly key?: string | undefined;
  readonly channel?: string | null;
  readonly ref?: string | number | null;
}

function published(members: Partial<Read>): Read {
  return { type: 'text', data: 'x', key: undefined, channel: null, ref: null, ...members };
}

/** In place of a text that is no JSON, what is wrong. */
function read(text: string): Read | readonly [code: string, message: string, ref: string | number | null] {
  const asked = readPublishAsk(text, MAX_BYTES);
  if (asked.type === 'misasked') return [asked.code, asked.message, asked.ref];
  if (asked.type === 'auth') return [asked.type, asked.token, asked.ref];
  const { entry, channel, ref } = asked;
  return { type: entry.type, data: entry.data.toString('latin1'), key: entry.key, channel, ref };
}

const ASKS: readonly (readonly [text: string, ask: Read])[] = [
  ['{"type":"publish","data":"x"}', published({})],
  ['{"type":"publish","data":""}', published({ data: '' })],
  ['{"type":"publish","data":"\\u00e9"}', published({ data: '\xc3\xa9' })],
  ['{"type":"publish","data":"\\ud83d\\ude00"}', published({ data: '\xf0\x9f\x98\x80' })],
  [
    '{"ref":7,"key":"k","channel":"c","data":1,"type":"publish","extra":[{}]}',
    published({ type: 'json', data: '1', key: 'k', channel: 'c', ref: 7 }),
  ],
  ['{"type":"publish","data":"x","channel":null,"key":null,"ref":null}', published({})],
  ['{"type":"publish","data":"x","channel":"not a name"}', published({ channel: 'not a name' })],
  ['{"type":"publish","data":null}', published({ type: 'json', data: 'null' })],
  ['{"type":"publish","data":[ 1 , "a" ]}', published({ type: 'json', data: '[1,"a"]' })],
  ['{"type":"publish","data":{"a":{"a":-0.0}}}', published({ type: 'json', data: '{"a":{"a":0}}' })],
  ['{"type":"publish","data":1e400}', published({ type: 'json', data: 'null' })],
  [
    '{"type":"publish","data":12345678901234567890}',
    published({ type: 'json', data: '12345678901234567000' }),
  ],
  // The last one counts, as in every JSON parser.
  ['{"type":"no","data":1,"data":2,"type":"publish"}', published({ type: 'json', data: '2' })],
  [
    '{"type":"publish","data":{"__proto__":{"a":1},"constructor":0}}',
    published({ type: 'json', data: '{"__proto__":{"a":1},"constructor":0}' }),
  ],
  ['{"type":"publish","__proto__":{"key":"k"},"data":"x"}', published({})],
  ['{"type":"publish","data64":""}', published({ type: 'binary', data: '' })],
  ['{"type":"publish","data64":"AP+A"}', published({ type: 'binary', data: '\x00\xff\x80' })],
  ['{"type":"publish","data64":"AA=="}', published({ type: 'binary', data: '\x00' })],
  // An escaped backslash, and then letters.
  ['{"type":"publish","data":["\\\\ud800"]}', published({ type: 'json', data: '["\\\\ud800"]' })],
  [`{"type":"publish","data":"${'x'.repeat(100)}"}`, published({ data: 'x'.repeat(100) })],
  [`{"type":"publish","data":"x","key":"${'k'.repeat(128)}"}`, published({ key: 'k'.repeat(128) })],
];

/** What is said begins so. */
const MISASKED: readonly (readonly [text: string, message: string, ref?: string | number])[] = [
  ['', 'a frame must be'],
  ['{', 'a frame must be'],
  ['null', 'a frame must be'],
  ['[{"type":"publish","data":"x"}]', 'a frame must be'],
  ['"publish"', 'a frame must be'],
  ['\ufeff{"type":"publish","data":"x"}', 'a frame must be'],
  ['['.repeat(4000), 'a frame must be'],
  ['{}', 'type must be'],
  ['{"type":"Publish","data":"x","ref":"r"}', 'type must be', 'r'],
  ['{"type":"subscribe","channel":"c","ref":1}', 'subscribe on /ws/broadcast', 1],
  ['{"type":"unsubscribe","channel":"c","ref":1}', 'unsubscribe on /ws/broadcast', 1],
  ['{"type":"publish","ref":1}', 'data, or data64, must be there', 1],
  ['{"type":"publish","__proto__":{"data":"x"}}', 'data, or data64, must be there'],
  ['{"type":"publish","ref":1,"data":null,"data64":null}', 'data and data64 exclude', 1],
  ['{"type":"publish","data":"x","data64":"AA=="}', 'data and data64 exclude'],
  ['{"type":"publish","data":"x","ref":{}}', 'ref must be'],
  ['{"type":"publish","data":"x","ref":9007199254740993}', 'ref must be'],
  ['{"type":"publish","data":"x","channel":7,"ref":0}', 'channel must be', 0],
  ['{"type":"publish","data":"x","key":""}', 'key must be'],
  ['{"type":"publish","data":"x","key":7}', 'key must be'],
  ['{"type":"publish","data":"x","key":"\\ud800"}', 'key must be'],
  [`{"type":"publish","data":"x","key":"${'k'.repeat(129)}"}`, 'key must be'],
  [`{"type":"publish","data":"x","key":"${'é'.repeat(65)}"}`, 'key must be'],
  ['{"type":"publish","data":"\\ud800"}', 'data has half of'],
  ['{"type":"publish","data":"\\udc00\\ud800"}', 'data has half of'],
  ['{"type":"publish","data":["a\\udfff"]}', 'data has half of'],
  ['{"type":"publish","data":["\\\\\\ud800"]}', 'data has half of'],
  ['{"type":"publish","data":{"\\ud800":1}}', 'data has half of'],
  ['{"type":"publish","data64":1}', 'data64 must be'],
  ['{"type":"publish","data64":"AA"}', 'data64 must be'],
  ['{"type":"publish","data64":"AA="}', 'data64 must be'],
  ['{"type":"publish","data64":"AB=="}', 'data64 must be'],
  ['{"type":"publish","data64":"AP-_"}', 'data64 must be'],
  ['{"type":"publish","data64":"AA==\\n"}', 'data64 must be'],
  ['{"type":"publish","data64":"A A="}', 'data64 must be'],
  ['{"type":"publish","data64":"AA==AA=="}', 'data64 must be'],
  ['{"type":"publish","data64":"\u00c0AAA"}', 'data64 must be'],
];

const TOO_LARGE: readonly string[] = [
  `"data":"${'x'.repeat(101)}"`,
  `"data":"${'é'.repeat(51)}"`,
  `"data":["${'x'.repeat(97)}"]`,
  `"data":["${'é'.repeat(49)}"]`,
  `"data64":"${Buffer.alloc(101).toString('base64')}"`,
  `"data64":"${'A'.repeat(1000)}"`,
];

describe('a publish', () => {
  for (const [text, ask] of ASKS) {
    test(text.slice(0, 90), () => assert.deepEqual(read(text), ask));
  }
});

describe('what is none', () => {
  for (const [text, message, ref] of MISASKED) {
    test(text.slice(0, 90), () => {
      const [code, said, told] = read(text) as [string, string, string | number | null];
      assert.deepEqual([code, said.slice(0, message.length), told], ['bad_request', message, ref ?? null]);
    });
  }

  for (const members of TOO_LARGE) {
    test(`too large: ${members.slice(0, 60)}`, () => {
      assert.deepEqual(read(`{"type":"publish","ref":3,${members}}`), [
        'too_large',
        'a message has at most 100 bytes',
        3,
      ]);
    });
  }

  test('longer than any message has to be: refused unread, by the ref that stands before its data', () => {
    const large = ['too_large', 'a message has at most 100 bytes'];
    const padding = ' '.repeat(5000);
    const ref = '"type":"publish","ref":"r é"';
    assert.deepEqual(read(`{${ref},"data":1,"other":"${padding}"}`), [...large, 'r é']);
    assert.deepEqual(read(`{${ref},"data64":"${padding}`), [...large, 'r é']);
    assert.deepEqual(read(`{"data":"${padding}",${ref}}`), [...large, null]);
    assert.deepEqual(read(`{${ref},"other":"${padding}"}`), [...large, null]);
    assert.deepEqual(read(`{"ref":{},"data":"${padding}"}`), [...large, null]);
    assert.deepEqual(read(padding), [...large, null]);
  });

  test('not so long when each escape is one character', () => {
    const key = '\\u0061'.repeat(700);
    const data = '\\u0062'.repeat(100);
    const other = '\\n'.repeat(3000);
    const text = `{"type":"publish","data":"${data}","${key}":"${other}"}`;
    assert.deepEqual(read(text), published({ data: 'b'.repeat(100) }));
  });

  test('nested too deeply to be written again', () => {
    const depth = 2_000_000;
    const asked = readPublishAsk(`{"type":"publish","data":${'['.repeat(depth)}${']'.repeat(depth)}}`, 1e9);
    assert.equal(asked.type, 'misasked');
  });
});

test('any JSON value comes out as JSON.stringify writes what was parsed', () => {
  fc.assert(
    fc.property(fc.json(), (json) => {
      const value: unknown = JSON.parse(json);
      const entry = readEntry({ data: value }, 1e9);
      if (entry.type === 'wrong') {
        assert.doesNotMatch(JSON.stringify(value), /^[^\\]*$/);
        return;
      }
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      assert.deepEqual(entry, {
        type: typeof value === 'string' ? 'text' : 'json',
        data: Buffer.from(text),
        key: undefined,
      });
    }),
  );
});

test('a string is refused if and only if it has half of a surrogate pair, wherever it stands', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', '\\', '"', '\ud83d', '\ude00', 'ud8') }), (text) => {
      const isLone = Buffer.from(text).toString() !== text;
      for (const data of [text, [text], { [text]: 0 }, { a: { b: [text] } }]) {
        assert.equal(readEntry({ data }, 1e9).type === 'wrong', isLone, JSON.stringify(data));
      }
    }),
    { numRuns: 500 },
  );
});

test('base64 is read if and only if it is what those bytes are written as', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom('', '=', ' ', '\n', '-', 'A'), (bytes, more) => {
      const text = Buffer.from(bytes).toString('base64') + more;
      const entry = readEntry({ data64: text }, 1e9);
      const isCanonical = Buffer.from(text, 'base64').toString('base64') === text;
      assert.equal(entry.type, isCanonical ? 'binary' : 'wrong');
      if (more === '') assert.deepEqual(entry, { type: 'binary', data: Buffer.from(bytes), key: undefined });
    }),
  );
});

describe('answers', () => {
  const answers: readonly (readonly [text: string, means: object])[] = [
    [ackText('5-3', false, null), { type: 'ack', id: '5-3', duplicate: false }],
    [ackText('5-3', true, 7), { type: 'ack', ref: 7, id: '5-3', duplicate: true }],
    [ackText('5-3', true, 1e21), { type: 'ack', ref: 1e21, id: '5-3', duplicate: true }],
    [ackText('5-3', false, 'é"\\\n😀'), { type: 'ack', ref: 'é"\\\n😀', id: '5-3', duplicate: false }],
    [ackText('5-3', false, '\ud800'), { type: 'ack', ref: '\ud800', id: '5-3', duplicate: false }],
    [
      publishErrorText({
        code: 'overloaded',
        message: 'ü',
        retry: true,
        retryAfter: 1,
        ref: 'é',
        channel: 'c',
      }),
      {
        type: 'error',
        code: 'overloaded',
        message: 'ü',
        retry: true,
        retryAfter: 1,
        channel: 'c',
        ref: 'é',
      },
    ],
  ];
  for (const [text, means] of answers) {
    test(text.slice(0, 60), () => {
      assert.deepEqual(JSON.parse(text), means);
      assert.match(text, /^[ -~]*$/);
    });
  }

  test('go out as frames whatever their length', () => {
    for (const length of [0, 125, 126, 65_535]) {
      const frame = Buffer.from(asciiFrame('x'.repeat(length)), 'latin1');
      assert.equal(frame[0], 0x81);
      const short = frame[1] as number;
      assert.equal(short === 126 ? frame.readUInt16BE(2) : short, length);
      assert.equal(frame.length, length + (short === 126 ? 4 : 2));
    }
    assert.throws(() => asciiFrame('x'.repeat(65_536)), RangeError);
  });
});

test('the largest frame has room for the largest message, however it and all around it is escaped', () => {
  const members = [
    `"data":"${'\\u0000'.repeat(MAX_BYTES)}"`,
    `"data64":"${Buffer.alloc(MAX_BYTES).toString('base64')}"`,
  ];
  const escaped = '\\u0041'.repeat(128);
  for (const member of members) {
    const text = `{"type":"publish","ref":"${escaped}","channel":"${escaped}","key":"${escaped}",${member}}`;
    assert.ok(Buffer.byteLength(text) <= maxPublishFrameBytes(MAX_BYTES), `${text.length}`);
    assert.equal(readPublishAsk(text, MAX_BYTES).type, 'publish');
  }
});
