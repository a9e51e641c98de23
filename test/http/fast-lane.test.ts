/**
 * The fast lane is a shortcut, never a difference: whatever bytes come, cut wherever, a connection with it hears
 * the same messages, answers the same pings and ends with the same close as one that `ws` alone reads.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { Incomplete } from '../../src/http/limits/incomplete.ts';
import { Connection, type ConnectionUser } from '../../src/http/ws/connection.ts';
import type { Inflater } from '../../src/http/ws/deflate.ts';
import { FastLane, type LaneLimits } from '../../src/http/ws/fast-lane.ts';
import { type ReasonedSocket, WsServer } from '../../src/http/ws/ws-server.ts';
import { Refusals } from '../../src/refusals.ts';
import { frame } from '../rfc6455/case.ts';
import { ManualClock } from '../support/clock.ts';
import { laneLimits, limited } from '../support/lane.ts';
import { clientFrame, closeOf, OPCODE } from '../support/raw-socket.ts';
import { upgradedPair } from '../support/upgraded-pair.ts';
import { until, within } from '../support/within.ts';

const MAX_BYTES = 40_000;
const RUNS = 300;

/** Knows how the socket of `ws` would read by itself. */
class ListenedServer extends WsServer {
  read: (chunk: Buffer) => void = () => undefined;

  override socket(socket: Socket, head: Buffer, inflater: Inflater | null): ReasonedSocket {
    const made = super.socket(socket, head, inflater);
    this.read = socket.listeners('data')[0] as (chunk: Buffer) => void;
    return made;
  }
}

interface Heard {
  readonly messages: readonly string[];
  readonly frames: readonly string[];
}

/** What a connection makes of bytes that come in such pieces, and what it says. */
async function hear(hasFastLane: boolean, chunks: readonly Buffer[], pausedAfter = -1): Promise<Heard> {
  await using pair = await upgradedPair();
  const messages: string[] = [];
  const server = new ListenedServer(MAX_BYTES, 5000, new Refusals());
  let connection: Connection | null = null;
  let isGone = false;
  const user: ConnectionUser = {
    drained: () => undefined,
    detach: () => undefined,
    visit: () => null,
    dismiss: () => undefined,
    closeReason: 'why',
    receive: (data, isBinary) => {
      messages.push(`${isBinary ? 'binary' : 'text'} ${data.toString('hex')}`);
      if (messages.length === pausedAfter) connection?.pause();
    },
  };
  server.accept(pair, { protocol: null, deflate: false }, () => {
    const context = { server, clock: new ManualClock(), heartbeatMs: 1000, idleTimeoutMs: 2000 };
    connection = new Connection(
      pair.socket,
      { ...context, ...limited(MAX_BYTES), gone: () => (isGone = true) },
      false,
    );
    connection.user = user;
    connection.wake();
    if (hasFastLane) return;
    pair.socket.removeAllListeners('data');
    pair.socket.on('data', server.read);
  });
  await pair.client.head();
  for (const chunk of chunks) {
    // A copy of its own, as each read of a socket has: it is unmasked in place.
    pair.socket.emit('data', Buffer.from(chunk));
    await nextTurn();
  }
  pair.client.socket.end();
  await until('it is gone', () => isGone);
  await within('the end', pair.client.closed);
  const frames = pair.client.framesHere().map((frame) => {
    const said =
      frame.opcode === OPCODE.close && frame.payload.length >= 2
        ? JSON.stringify(closeOf(frame))
        : frame.payload.toString('hex');
    return `${frame.opcode} ${said}`;
  });
  return { messages, frames };
}

async function sameEitherWay(chunks: readonly Buffer[]): Promise<Heard> {
  const [plain, fast] = await Promise.all([hear(false, chunks), hear(true, chunks)]);
  assert.deepEqual(fast, plain);
  return fast;
}

/** Cuts bytes into pieces of these sizes, over and over. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const payload = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(125, 126, 127, 1000, 17_000).map((size) => Buffer.alloc(size, 'é')),
  },
);
const good = fc
  .tuple(fc.constantFrom(OPCODE.text, OPCODE.binary), payload)
  .map(([opcode, data]) => clientFrame(opcode, data));
const fragmented = fc
  .tuple(fc.constantFrom(OPCODE.text, OPCODE.binary), fc.array(payload, { minLength: 2, maxLength: 4 }))
  .map(([opcode, parts]) =>
    Buffer.concat(
      parts.map((part, i) =>
        clientFrame(i === 0 ? opcode : OPCODE.continuation, part, { fin: i === parts.length - 1 }),
      ),
    ),
  );
const control = fc
  .tuple(fc.constantFrom(OPCODE.ping, OPCODE.pong), fc.string({ maxLength: 20 }))
  .map(([opcode, text]) => clientFrame(opcode, text));
const wrong = fc.constantFrom(
  clientFrame(OPCODE.text, 'unmasked', { masked: false }),
  clientFrame(OPCODE.text, 'reserved bit', { rsv: 2 }),
  clientFrame(3, 'reserved opcode'),
  clientFrame(11, 'reserved control'),
  clientFrame(OPCODE.ping, 'cut ping', { fin: false }),
  clientFrame(OPCODE.ping, Buffer.alloc(126)),
  frame(OPCODE.ping, 'a length with 16 bits', { lengthBits: 16 }),
  frame(OPCODE.pong, 'a length with 64 bits', { lengthBits: 64 }),
  frame(OPCODE.text, '', { announced: 2n ** 63n }),
  clientFrame(OPCODE.continuation, 'of nothing'),
  clientFrame(OPCODE.text, 'begun and never ended', { fin: false }),
  clientFrame(OPCODE.text, Buffer.from([0xff, 0xfe])),
  clientFrame(OPCODE.text, Buffer.alloc(MAX_BYTES + 1, 'x')),
  clientFrame(OPCODE.close, Buffer.from([0x03, 0xe8])),
  clientFrame(OPCODE.close, Buffer.from([0x03])),
  clientFrame(OPCODE.close, ''),
);
const frames = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: good },
    { weight: 2, arbitrary: fragmented },
    { weight: 2, arbitrary: control },
    { weight: 1, arbitrary: wrong },
  ),
  { minLength: 1, maxLength: 12 },
);
const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 100, max: 70_000 })), {
  minLength: 1,
  maxLength: 6,
});

/** Bits by where they are in the bytes, from 0 to 1. */
const flips = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { maxLength: 3 });

function flipped(bytes: Buffer, at: readonly number[]): Buffer {
  for (const place of at) {
    const bit = Math.floor(place * bytes.length * 8);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  }
  return bytes;
}

describe('with the fast lane and without', () => {
  test('the same is heard and said, whatever comes', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(frames, sizes, flips, async (list, cuts, bits) => {
        const bytes = flipped(Buffer.concat(list), bits);
        // Tiny pieces of a large message would be as many turns of the event loop.
        const least = Math.ceil(bytes.length / 400);
        await sameEitherWay(
          cut(
            bytes,
            cuts.map((size) => Math.max(size, least)),
          ),
        );
      }),
      { numRuns: RUNS },
    );
  });

  test('messages of every length come whole at every alignment', async () => {
    const list = Array.from({ length: 300 }, (_, size) =>
      clientFrame(OPCODE.binary, Buffer.alloc(size, size)),
    );
    const { messages } = await sameEitherWay([Buffer.concat(list)]);
    assert.equal(messages.length, 300);
    assert.deepEqual(
      messages,
      Array.from({ length: 300 }, (_, size) => `binary ${Buffer.alloc(size, size).toString('hex')}`),
    );
  });

  test('nothing is heard behind what is wrong, in the same piece and after it', async () => {
    const after = clientFrame(OPCODE.text, 'after');
    const cases: readonly (readonly [name: string, code: number, wrong: Buffer])[] = [
      ['not UTF-8', 1007, clientFrame(OPCODE.text, Buffer.from([0xc3]))],
      ['not masked', 1002, clientFrame(OPCODE.text, 'x', { masked: false })],
      ['too large', 1009, clientFrame(OPCODE.binary, Buffer.alloc(MAX_BYTES + 1))],
      ['a close', 1000, clientFrame(OPCODE.close, Buffer.from([0x03, 0xe8]))],
      [
        'fragments that are not UTF-8',
        1007,
        Buffer.concat([
          clientFrame(OPCODE.text, Buffer.from([0xc3]), { fin: false }),
          clientFrame(OPCODE.continuation, 'x'),
        ]),
      ],
    ];
    for (const [name, code, bytes] of cases) {
      const { messages, frames: said } = await sameEitherWay([Buffer.concat([bytes, after]), after]);
      assert.deepEqual(messages, [], name);
      assert.match(said[0] ?? '', new RegExp(`"code":${code}`), name);
    }
  });

  test('what a paused connection had received when it closed is heard', async () => {
    const list = Array.from({ length: 20 }, (_, i) => clientFrame(OPCODE.text, `message ${i}`));
    await using pair = await upgradedPair();
    const messages: string[] = [];
    const server = new WsServer(MAX_BYTES, 5000, new Refusals());
    let isGone = false;
    let connection: Connection | null = null;
    server.accept(pair, { protocol: null, deflate: false }, () => {
      const context = { server, clock: new ManualClock(), heartbeatMs: 1000, idleTimeoutMs: 2000 };
      connection = new Connection(
        pair.socket,
        { ...context, ...limited(MAX_BYTES), gone: () => (isGone = true) },
        false,
      );
      connection.user = {
        drained: () => undefined,
        detach: () => undefined,
        visit: () => null,
        dismiss: () => undefined,
        closeReason: '',
        receive: (data) => messages.push(data.toString()),
      };
      connection.wake();
    });
    await pair.client.head();
    const [first, ...others] = list as [Buffer, ...Buffer[]];
    // The beginning of the second is kept by the lane when the reading stops.
    const rest = Buffer.concat(others);
    pair.socket.emit('data', Buffer.concat([first, rest.subarray(0, 5)]));
    (connection as Connection | null)?.pause();
    pair.client.write(rest.subarray(5));
    await until(
      'the rest has come',
      () => pair.socket.bytesRead > 0 && pair.socket.readableLength === rest.length - 5,
    );
    pair.socket.destroy();
    await until('it is gone', () => isGone);
    assert.deepEqual(
      messages,
      Array.from({ length: 20 }, (_, i) => `message ${i}`),
    );
  });
});

describe('the lane', () => {
  interface Fed {
    readonly lane: FastLane;
    readonly incomplete: Incomplete;
    readonly messages: Buffer[];
    readonly passed: Buffer[];
    readonly refused: string[];
  }

  function open(limits: Partial<LaneLimits> = {}, isDeflated = false): Fed {
    const incomplete = new Incomplete(1024 * 1024);
    const messages: Buffer[] = [];
    const passed: Buffer[] = [];
    const refused: string[] = [];
    const lane = new FastLane({
      limits: { ...laneLimits(1024 * 1024), ...limits },
      clock: new ManualClock(),
      incomplete,
      isDeflated,
      receive: (data) => messages.push(Buffer.from(data)),
      pass: (bytes) => passed.push(Buffer.from(bytes)),
      refuse: (limit) => refused.push(limit),
    });
    return { lane, incomplete, messages, passed, refused };
  }

  test('counts the memory of what is not whole, and gives it back when it is, or when no more comes', () => {
    const large = clientFrame(OPCODE.binary, Buffer.alloc(500_000, 7));
    const cases: readonly (readonly [name: string, bytes: Buffer, cuts: readonly number[], least: number])[] =
      [
        ['a large frame', large, [70_000, 200_000], 200_000],
        ['the beginning of a small frame', clientFrame(OPCODE.text, 'x'.repeat(9000)), [8000], 8000],
        ['a small frame that is cut twice', clientFrame(OPCODE.text, 'x'.repeat(9000)), [20, 5000], 5000],
        ['half a head', large, [3], 3],
        ['a fragment', clientFrame(OPCODE.text, 'abc', { fin: false }), [9], 3],
      ];
    for (const [name, bytes, cuts, least] of cases) {
      for (const isFinished of [true, false]) {
        const { lane, incomplete, messages, passed } = open();
        let at = 0;
        for (const end of cuts) {
          lane.feed(Buffer.from(bytes.subarray(at, end)));
          at = end;
        }
        assert.ok(
          incomplete.bytes >= least && incomplete.bytes <= 4 * least + 2048,
          `${name}: ${incomplete.bytes}`,
        );
        if (isFinished) {
          lane.feed(Buffer.from(bytes.subarray(at)));
          if (name === 'a fragment') lane.feed(clientFrame(OPCODE.continuation));
          assert.equal(messages.length, 1, name);
        } else lane.close();
        assert.equal(incomplete.bytes, 0, name);
        assert.deepEqual(passed, [], name);
      }
    }
  });

  test('takes a byte for a byte, whatever it comes in', () => {
    const { lane, incomplete, messages } = open({ maxFragments: 100_000 });
    const one = clientFrame(OPCODE.continuation, 'x', { fin: false });
    lane.feed(clientFrame(OPCODE.text, 'x', { fin: false }));
    for (let i = 1; i < 50_000; i++) for (const byte of one) lane.feed(Buffer.from([byte]));
    assert.ok(incomplete.bytes < 140_000, `${incomplete.bytes}`);
    lane.feed(clientFrame(OPCODE.continuation));
    assert.equal(messages[0]?.length, 50_000);
  });

  test('refuses the one whose bytes have no room; whole messages need none', () => {
    const full = open();
    assert.equal(full.incomplete.hold(900_000), true);
    full.lane.feed(clientFrame(OPCODE.text, 'x'.repeat(100_000)));
    full.lane.feed(clientFrame(OPCODE.text, 'x'.repeat(10_000)).subarray(0, 9000));
    assert.deepEqual(
      [full.messages.length, full.refused.length],
      [1, 0],
      'the beginning of a small frame has room',
    );
    full.lane.feed(Buffer.alloc(1008));
    full.lane.feed(clientFrame(OPCODE.text, 'x', { fin: false }));
    full.lane.feed(clientFrame(OPCODE.continuation, 'x'.repeat(200_000)));
    assert.deepEqual(full.refused, ['incomplete_bytes']);
    full.lane.feed(clientFrame(OPCODE.text, 'more'));
    assert.equal(full.messages.length, 2);
    assert.equal(full.incomplete.bytes, 900_000);
  });

  test('hands compressed messages over whole, and those between them in their order', () => {
    const { lane, messages, passed } = open({}, true);
    const frames = [
      clientFrame(OPCODE.text, 'abc', { rsv: 4 }),
      clientFrame(OPCODE.text, 'de', { rsv: 4, fin: false }),
      clientFrame(OPCODE.ping, 'p'),
      clientFrame(OPCODE.continuation, 'f'),
      clientFrame(OPCODE.text, 'plain'),
    ];
    lane.feed(Buffer.concat(frames));
    assert.deepEqual(messages, []);
    const whole = clientFrame(OPCODE.text, 'def', { rsv: 4 });
    assert.deepEqual(
      Buffer.concat(passed),
      Buffer.concat([frames[0], frames[2], whole, frames[4]] as Buffer[]),
    );
  });
});
