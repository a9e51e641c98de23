/** How entries look in each format: bounds of a frame, fidelity of a payload, and that bytes are shared. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Block } from '../../src/broadcaster/block.ts';
import type { Encodable, Encoding, Format } from '../../src/broadcaster/format.ts';
import { RAW } from '../../src/broadcaster/formats/raw.ts';
import { SSE } from '../../src/broadcaster/formats/sse.ts';
import { V1 } from '../../src/broadcaster/formats/v1.ts';
import { Ring } from '../../src/broadcaster/ring.ts';
import { type Run, Runs } from '../../src/broadcaster/runs.ts';
import type { Entry, EntryType } from '../../src/log/log.ts';
import { at, entries, entry, gapPage, items, pageOf, Rig } from '../support/broadcast-rig.ts';
import { readEvents } from '../support/encoded.ts';
import { parseFrame } from '../support/raw-socket.ts';
import { messagesOf, type V1Frame, type V1Message } from '../support/v1-client.ts';

const KIB = 1024;

function blockOf(list: readonly Entry[]): Block {
  return items(pageOf(list))[0] as Block;
}

/** The texts of the frames, each as it came. */
function frameTexts(bytes: Buffer): string[] {
  const texts: string[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const next = parseFrame(rest) ?? assert.fail('a write ends inside a frame');
    assert.equal(next.frame.opcode, 1);
    texts.push(next.frame.payload.toString());
    rest = rest.subarray(next.end);
  }
  return texts;
}

function messagesIn(bytes: Buffer): V1Message[] {
  return frameTexts(bytes).flatMap((text) => messagesOf(JSON.parse(text) as V1Frame));
}

function v1Of(...list: readonly (readonly [type: EntryType, data: string | Buffer])[]): string {
  const block = blockOf(list.map(([type, data], i) => entry(i + 1, data, type)));
  return frameTexts(V1.encode(block, 0, list.length).bytes).join('\n');
}

/** How many messages each frame of a block of such texts holds. */
function counts(sizes: readonly number[]): number[] {
  const block = blockOf(sizes.map((size, i) => entry(i + 1, 'x'.repeat(size))));
  return frameTexts(V1.encode(block, 0, sizes.length).bytes).map(
    (text) => messagesOf(JSON.parse(text) as V1Frame).length,
  );
}

describe('a v1 messages frame', () => {
  test('is JSON, byte for byte, with channel and epoch', () => {
    assert.equal(
      v1Of(['text', 'hi'], ['json', '{"a": 1.0}'], ['binary', Buffer.from([0, 255])]),
      '{"type":"messages","channel":"c","epoch":"e1","messages":[{"id":"1-0","data":"hi"},{"id":"2-0","data":{"a": 1.0}},{"id":"3-0","data64":"AP8="}]}',
    );
  });

  test('holds 100 messages at most', () => {
    assert.deepEqual(counts(Array.from({ length: 250 }, () => 1)), [100, 100, 50]);
    assert.deepEqual(counts(Array.from({ length: 100 }, () => 0)), [100]);
  });

  test('is 32 KiB at most, to the byte, unless one message is larger', () => {
    const envelope = '{"type":"messages","channel":"c","epoch":"e1","messages":[]}'.length;
    const wrapping = '{"id":"1-0","data":""}'.length;
    const whole = 32 * KIB - envelope - wrapping;
    assert.equal(v1Of(['text', 'x'.repeat(whole)]).length, 32 * KIB);
    assert.deepEqual(counts([whole, 0]), [1, 1]);
    // One message fewer bytes than the other and its comma take: both fit exactly.
    assert.deepEqual(counts([whole - wrapping - 1, 0]), [2]);
    assert.deepEqual(counts([whole - wrapping, 0]), [1, 1]);
    assert.deepEqual(counts([1, whole + 1, 1]), [1, 1, 1]);
    assert.deepEqual(counts([KIB * KIB, 1, 1]), [1, 2]);
  });

  test('counts the bytes that are sent, not characters and not those of the payload', () => {
    for (const char of ['€', '\u0000', '😀', '"']) {
      const list = Array.from({ length: 90 }, (_, i) => entry(i + 1, char.repeat(300)));
      const frames = frameTexts(V1.encode(blockOf(list), 0, 90).bytes);
      assert.ok(frames.length > 1, char);
      for (const text of frames) assert.ok(Buffer.byteLength(text) <= 32 * KIB, char);
    }
  });
});

/** Every UTF-16 unit there is, surrogates in their pairs. */
const ALL_TEXT = Array.from({ length: 0x110 }, (_, plane) =>
  Array.from({ length: 0x1000 }, (_unused, i) => plane * 0x1000 + i)
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code))
    .join(''),
);
const TEXTS = [
  '',
  '"',
  '\\',
  '\u0000',
  '\u2028\u2029',
  '\ufeffbom',
  '\r\n',
  ' lead',
  ']}',
  '\u007f',
  ...ALL_TEXT,
];
const JSONS = [
  'null',
  'true',
  '""',
  '"\\ud800"',
  '"text in json"',
  '-0',
  '1e400',
  '12345678901234567890',
  '0.1000000000000000055',
  '[ ]',
  ' {"a":1,"a":2}\n',
  '{"__proto__":{"x":1}}',
  '{"z":1,"10":2,"2":3}',
  '"\u2028"',
];

describe('a payload in v1', () => {
  test('of text is the same characters, all of Unicode', () => {
    for (const text of TEXTS) {
      const [message] = messagesIn(V1.encode(blockOf([entry(1, text)]), 0, 1).bytes);
      assert.equal(message?.data, text);
    }
  });

  test('of json is the same bytes', () => {
    for (const json of JSONS) {
      assert.ok(v1Of(['json', json]).endsWith(`[{"id":"1-0","data":${json}}]}`), json);
    }
  });

  test('of binary is base64, also of nothing', () => {
    for (let length = 0; length < 300; length++) {
      const data = Buffer.from(Array.from({ length }, (_, i) => i));
      const [message] = messagesIn(V1.encode(blockOf([entry(1, data, 'binary')]), 0, 1).bytes);
      assert.equal(message?.data64, data.toString('base64'));
      assert.equal(message?.data, undefined);
    }
  });

  test('of 1 MiB goes alone, whole', () => {
    const text = 'y'.repeat(KIB * KIB);
    const encoding = V1.encode(blockOf([entry(1, 'a'), entry(2, text), entry(3, 'b')]), 0, 3);
    assert.deepEqual([...(encoding.entryEnds ?? [])], [1, 2, 3]);
    assert.equal(messagesIn(encoding.bytes)[1]?.data, text);
  });
});

describe('an event', () => {
  const LINES = ['a', 'a\nb', 'a\rb', 'a\r\nb', '\n', '\r\n\r\n', 'a\n', '\na', '', ' lead', ': no comment'];
  const MORE = [
    'data: x\nid: 7\nevent: y\n\nz',
    '\ufeffbom',
    '\u0000',
    '\u2028',
    'retry: 1',
    'a\n\rb',
    '   ',
  ];

  test('gives the text back, with every line end as a newline', () => {
    for (const text of [...LINES, ...MORE]) {
      const { events, lastEventId } = readEvents(SSE.encode(blockOf([entry(1, text)]), 0, 1).bytes);
      const data = text.replace(/\r\n|\r/g, '\n');
      assert.deepEqual(events, [{ type: 'message', data, lastEventId: '1-0@e1.1' }], JSON.stringify(text));
      assert.equal(lastEventId, '1-0@e1.1');
    }
  });

  test('gives json as it is and binary as base64, named so', () => {
    const list = [entry(1, '{\n"a":1}', 'json'), entry(2, Buffer.from([1, 2]), 'binary')];
    const { events } = readEvents(SSE.encode(blockOf(list), 0, 2).bytes);
    assert.deepEqual(
      events.map(({ type, data }) => [type, data]),
      [
        ['message', '{\n"a":1}'],
        ['binary', 'AQI='],
      ],
    );
  });

  test('tells a gap and a position, and only the gap is an event', () => {
    const { gap } = gapPage('trimmed', at(7)).gaps[0] ?? assert.fail();
    const notice = SSE.notice('c', gap) ?? assert.fail();
    const position = SSE.position('c', at(9)) ?? assert.fail();
    const { events, lastEventId } = readEvents(Buffer.concat([notice, position]));
    assert.deepEqual(
      events.map(({ type, lastEventId: id }) => [type, id]),
      [['gap', '7-0@e1.7']],
    );
    assert.equal(JSON.parse(events[0]?.data ?? '').reason, 'trimmed');
    assert.equal(lastEventId, '9-0@e1.9');
  });
});

/** A format that counts what is asked of it. */
class Counted implements Format {
  readonly name = 'raw';
  readonly encodings: (readonly [from: number, to: number])[] = [];
  readonly #inner: Format;

  constructor(inner: Format) {
    this.#inner = inner;
  }

  encode(block: Encodable, from: number, to: number): Encoding {
    this.encodings.push([from, to]);
    return this.#inner.encode(block, from, to);
  }

  notice(...told: Parameters<Format['notice']>): Buffer | null {
    return this.#inner.notice(...told);
  }

  position(...told: Parameters<Format['position']>): Buffer | null {
    return this.#inner.position(...told);
  }
}

describe('encodings', () => {
  test('are made once, and every subscriber at the same place is written the same object', () => {
    for (const inner of [RAW, V1, SSE]) {
      const format = new Counted(inner);
      const rig = new Rig();
      const members = Array.from({ length: 20 }, () => rig.subscribe({ format }));
      for (let n = 1; n <= 3; n++) {
        rig.tail.push(pageOf(entries(n * 200 - 199, n * 200)));
        const written = members.map(({ transport }) => transport.writes[n - 1]);
        assert.ok(written[0] !== undefined && written.every((bytes) => bytes === written[0]));
        assert.equal(format.encodings.length, n);
      }
      assert.deepEqual(new Set(format.encodings.map(String)), new Set(['0,200']));
    }
  });

  test('of several small blocks in one write are shared, too', () => {
    const rig = new Rig();
    const stalled = Array.from({ length: 5 }, () => rig.subscribe({ format: V1 }));
    for (const { transport } of stalled) transport.outcome = 'pending';
    for (let n = 1; n <= 10; n++) rig.tail.push(pageOf([entry(n)]));
    for (const { transport, subscriber } of stalled) {
      transport.drain();
      subscriber.drained();
    }
    const [, second] = stalled[0]?.transport.writes ?? [];
    for (const { transport } of stalled) {
      assert.equal(transport.writes.length, 2);
      assert.equal(transport.writes[1], second);
    }
  });

  test('in part are made for one that starts inside a frame only, up to the end of that frame', () => {
    const format = new Counted(V1);
    const ring = new Ring(at(0));
    ring.push(blockOf(entries(1, 250)));
    const runs = new Runs();
    const shape = { format, maxBytes: 1024 * KIB };
    const inside = runs.next(ring, 0, 30, shape) as Run;
    assert.deepEqual(format.encodings, [
      [0, 250],
      [30, 100],
    ]);
    assert.deepEqual([inside.next, inside.end], [{ no: 0, index: 100 }, at(100)]);
    const behind = runs.next(ring, 0, 100, shape) as Run;
    const whole = runs.next(ring, 0, 0, shape) as Run;
    assert.equal(behind.bytes.buffer, whole.bytes.buffer);
    assert.equal(runs.next(ring, 0, 30, shape), inside);
    assert.equal(format.encodings.length, 2);
    assert.deepEqual(
      [...messagesIn(inside.bytes), ...messagesIn(behind.bytes)].map(({ data }) => data),
      entries(31, 250).map(({ data }) => data.toString()),
    );
  });

  test('in part count towards no memory that is kept, whole ones do', () => {
    const block = blockOf(entries(1, 250));
    const before = block.memoryBytes;
    const bytes = block.encoded(V1).bytes.length;
    assert.ok(block.memoryBytes >= before + bytes);
    const once = block.memoryBytes;
    block.encoded(V1);
    assert.equal(block.memoryBytes, once);
  });
});
