/** What a subscriber may ask, read from hostile text, and what it is told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  cursorFrame,
  errorFrame,
  gapFrame,
  helloFrame,
  readSubscriberAsk,
  type SubscriberAsk,
  subscribedFrame,
  unsubscribedFrame,
} from '../../src/protocol/v1.ts';

const CURSOR = { id: '5-3', epoch: 'e1', ordinal: 7 };

function subscribe(members: object): SubscriberAsk {
  const ask = { type: 'subscribe', channel: 'c', after: null, onGap: 'skip', ref: null, ...members };
  return ask as SubscriberAsk;
}

const ASKS: readonly (readonly [text: string, ask: SubscriberAsk])[] = [
  ['{"type":"subscribe","channel":"c"}', subscribe({})],
  ['{"type":"subscribe","channel":"c","after":null,"on_gap":null,"ref":null,"extra":[{}]}', subscribe({})],
  [
    ' {"ref":7,"on_gap":"fail","after":"last:3","channel":"c","type":"subscribe"}\r\n',
    subscribe({ after: 'last:3', onGap: 'fail', ref: 7 }),
  ],
  ['{"type":"subscribe","channel":"c","ref":""}', subscribe({ ref: '' })],
  ['{"type":"subscribe","channel":"c","ref":-0.5}', subscribe({ ref: -0.5 })],
  ['{"type":"subscribe","channel":"c","ref":9007199254740991}', subscribe({ ref: 2 ** 53 - 1 })],
  [`{"type":"subscribe","channel":"c","ref":"${'r'.repeat(128)}"}`, subscribe({ ref: 'r'.repeat(128) })],
  // The last one counts, as in every JSON parser.
  ['{"type":"nothing","type":"subscribe","channel":"b","channel":"c"}', subscribe({})],
  ['{"type":"subscribe","channel":"not a name"}', subscribe({ channel: 'not a name' })],
  ['{"type":"unsubscribe","channel":"c","ref":"x"}', { type: 'unsubscribe', channel: 'c', ref: 'x' }],
];

/** The beginning of what is said, and the ref that it is said with. */
const MISASKED: readonly (readonly [text: string, message: string, ref?: string | number])[] = [
  ['', 'a frame must be'],
  ['{', 'a frame must be'],
  ['{"type":"subscribe","channel":"c"} x', 'a frame must be'],
  ["{'type':'subscribe'}", 'a frame must be'],
  ['\ufeff{"type":"subscribe","channel":"c"}', 'a frame must be'],
  ['null', 'a frame must be'],
  ['true', 'a frame must be'],
  ['1', 'a frame must be'],
  ['"subscribe"', 'a frame must be'],
  ['[]', 'a frame must be'],
  ['[{"type":"subscribe","channel":"c"}]', 'a frame must be'],
  ['['.repeat(60_000), 'a frame must be'],
  [`{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`, 'type must be'],
  ['{}', 'type must be'],
  ['{"type":null,"ref":1}', 'type must be', 1],
  ['{"type":["subscribe"],"channel":"c"}', 'type must be'],
  ['{"type":"Subscribe","channel":"c"}', 'type must be'],
  ['{"type":"constructor"}', 'type must be'],
  ['{"type":"__proto__"}', 'type must be'],
  ['{"type":"hello"}', 'type must be'],
  ['{"type":"publish","channel":"c","data":1,"ref":"p"}', 'publish on /ws/manager', 'p'],
  ['{"__proto__":{"type":"subscribe","channel":"c"}}', 'type must be'],
  ['{"constructor":{"prototype":{"type":"subscribe"}},"channel":"c"}', 'type must be'],
  ['{"type":"subscribe","__proto__":{"channel":"c"},"ref":2}', 'channel must be', 2],
  ['{"type":"subscribe"}', 'channel must be'],
  ['{"type":"subscribe","channel":null}', 'channel must be'],
  ['{"type":"subscribe","channel":5}', 'channel must be'],
  ['{"type":"subscribe","channel":["c"]}', 'channel must be'],
  ['{"type":"subscribe","channel":{"toString":"c"}}', 'channel must be'],
  ['{"type":"unsubscribe","channel":true}', 'channel must be'],
  ['{"type":"subscribe","channel":"c","after":5}', 'after must be'],
  ['{"type":"subscribe","channel":"c","after":{}}', 'after must be'],
  ['{"type":"subscribe","channel":"c","after":["earliest"]}', 'after must be'],
  ['{"type":"subscribe","channel":"c","on_gap":"Fail"}', 'on_gap must be'],
  ['{"type":"subscribe","channel":"c","on_gap":true}', 'on_gap must be'],
  ['{"type":"subscribe","channel":"c","ref":true}', 'ref must be'],
  ['{"type":"subscribe","channel":"c","ref":[]}', 'ref must be'],
  ['{"type":"subscribe","channel":"c","ref":{}}', 'ref must be'],
  ['{"type":"subscribe","channel":"c","ref":1e999}', 'ref must be'],
  ['{"type":"subscribe","channel":"c","ref":9007199254740993}', 'ref must be'],
  [`{"type":"subscribe","channel":"c","ref":"${'r'.repeat(129)}"}`, 'ref must be'],
  [`{"type":"subscribe","channel":"c","ref":${'9'.repeat(60_000)}}`, 'ref must be'],
];

function shown(text: string): string {
  return text.length > 90 ? `${text.slice(0, 90)}…` : text;
}

describe('an ask', () => {
  for (const [text, ask] of ASKS) {
    test(`${shown(text).trim()} is read`, () => assert.deepEqual(readSubscriberAsk(text), ask));
  }

  for (const [text, message, ref = null] of MISASKED) {
    test(`${shown(text)} is refused: ${message}`, () => {
      const ask = readSubscriberAsk(text);
      assert.ok(ask.type === 'misasked' && ask.message.startsWith(message), JSON.stringify(ask));
      assert.equal(ask.ref, ref);
    });
  }

  test('of any text and any JSON is answered, never thrown, and changes no prototype', () => {
    const member = fc.oneof(
      fc.constantFrom('type', 'channel', 'after', 'on_gap', 'ref', '__proto__', 'constructor', 'hasOwn'),
      fc.string(),
    );
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('subscribe', 'unsubscribe', 'c', 'fail'));
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.dictionary(member, value).map((it) => JSON.stringify(it)),
    );
    const before = Object.getOwnPropertyNames(Object.prototype);
    fc.assert(
      fc.property(text, (it) => {
        assert.ok(['subscribe', 'unsubscribe', 'misasked'].includes(readSubscriberAsk(it).type));
      }),
    );
    assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), before);
  });
});

describe('a frame', () => {
  test('is one JSON object, byte for byte', () => {
    const told = { channel: 'c', epoch: 'e1', cursor: CURSOR, tip: '9-0' };
    const gap = { reason: 'trimmed', requested: CURSOR, floor: '8-0', lost: 2, resumeAt: CURSOR };
    const frames: readonly (readonly [frame: string, text: string])[] = [
      [helloFrame({ server: 's', heartbeat: 25 }), '{"type":"hello","server":"s","heartbeat":25}'],
      [
        subscribedFrame({ ...told, ref: 0 }),
        '{"type":"subscribed","channel":"c","epoch":"e1","cursor":"5-3@e1.7","tip":"9-0","ref":0}',
      ],
      [
        subscribedFrame({ ...told, epoch: null, ref: null }),
        '{"type":"subscribed","channel":"c","epoch":null,"cursor":"5-3@e1.7","tip":"9-0"}',
      ],
      [
        unsubscribedFrame('c', CURSOR, ''),
        '{"type":"unsubscribed","channel":"c","cursor":"5-3@e1.7","ref":""}',
      ],
      [cursorFrame('c', CURSOR), '{"type":"cursor","channel":"c","cursor":"5-3@e1.7"}'],
      [
        gapFrame('c', gap),
        '{"type":"gap","channel":"c","epoch":"e1","requested":"5-3@e1.7","floor":"8-0","lost":2,"reason":"trimmed","cursor":"5-3@e1.7"}',
      ],
      [
        errorFrame({ code: 'x', message: 'm', retry: false, ref: null }),
        '{"type":"error","code":"x","message":"m","retry":false}',
      ],
      [
        errorFrame({
          code: 'x',
          message: 'm',
          retry: true,
          retryAfter: 2,
          channel: 'c',
          cursor: '1-0',
          ref: 1,
        }),
        '{"type":"error","code":"x","message":"m","retry":true,"retryAfter":2,"channel":"c","cursor":"1-0","ref":1}',
      ],
    ];
    for (const [frame, text] of frames) assert.equal(frame, text);
  });

  test('gives a ref back as it came, whatever characters it has', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 128 }), (ref) => {
        const ask = readSubscriberAsk(JSON.stringify({ type: 'unsubscribe', channel: 'c', ref }));
        assert.equal(ask.ref, ref);
        assert.equal(JSON.parse(unsubscribedFrame('c', CURSOR, ask.ref)).ref, ref);
      }),
    );
  });
});
