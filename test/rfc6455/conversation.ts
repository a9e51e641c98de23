/**
 * Plays a case of the suite at one door of a real server, over a TCP connection of its own, and judges what comes back: every byte of it, since what a server sends has rules as well.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import { maxPublishFrameBytes } from '../../src/protocol/v1-publish.ts';
import { handshake, OPCODE, RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { type Case, closing, frame, type Message, text, textOf } from './case.ts';

const MAX_MESSAGE_BYTES = 70 * 1024;
const START = { id: '0-0', epoch: null, ordinal: null } as const;
const ALL = { maxEntries: 1000, maxBytes: 64 * 1024 * 1024 };
const V1 = 'Sec-WebSocket-Protocol: rivercast.v1';
const FENCE = 'the fence';
const PROBE = Buffer.from('the probe');

export interface Door {
  readonly name: string;
  readonly path: string;
  readonly headers: readonly string[];
  /** How large a message may be. */
  readonly limit: number;
  /** Whether each message is answered by a frame: none of the suite's is one of rivercast.v1. */
  readonly isV1: boolean;
  readonly ways: readonly Way[];
}

/** How the bytes of a case arrive. */
const WAYS = ['at once', 'byte by byte', 'between two messages', 'with the handshake'] as const;
type Way = (typeof WAYS)[number];

/** What is behind a door in v1 reads as it does raw: some ways are enough. */
export const DOORS: readonly Door[] = [
  {
    name: '/ws/manager',
    path: '/ws/manager',
    headers: [],
    limit: MAX_MESSAGE_BYTES,
    isV1: false,
    ways: WAYS,
  },
  {
    name: '/ws/manager in v1',
    path: '/ws/manager',
    headers: [V1],
    limit: maxPublishFrameBytes(MAX_MESSAGE_BYTES),
    isV1: true,
    ways: ['byte by byte', 'between two messages'],
  },
  { name: '/ws/broadcast', path: '/ws/broadcast', headers: [], limit: 65_536, isV1: false, ways: WAYS },
  {
    name: '/ws/broadcast in v1',
    path: '/ws/broadcast',
    headers: [V1],
    limit: 65_536,
    isV1: true,
    ways: ['at once'],
  },
];

/** Of a large frame only so many bytes come one by one; the rest follows in pieces. */
const SINGLE_BYTES = 40;
const PIECE_BYTES = 30_000;

interface Heard {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** One server for all cases, and a publisher that is not theirs. */
export class Scene implements AsyncDisposable {
  readonly server: TestServer;
  readonly log: MemoryLog;
  readonly #fencer: RawSocket;
  readonly #fences: (() => void)[] = [];
  #channels = 0;
  #fenced = 0;

  private constructor(server: TestServer, log: MemoryLog, fencer: RawSocket) {
    this.server = server;
    this.log = log;
    this.#fencer = fencer;
    // Until it is ended.
    this.#hear().catch(() => undefined);
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<Scene> {
    const log = new MemoryLog({ clock: systemClock, retention: () => DEFAULT_RETENTION });
    const server = await TestServer.start({ MAX_MESSAGE_BYTES: `${MAX_MESSAGE_BYTES}`, ...settings }, log);
    const fencer = await RawSocket.connect(server.address);
    fencer.write(handshake('/ws/manager', V1));
    await fencer.head();
    return new Scene(server, log, fencer);
  }

  newChannel(): string {
    this.#channels += 1;
    return `case-${this.#channels}`;
  }

  /** Publishes an entry; resolves with it once it is stored, and with it all that the channel was sent before. */
  fence(channel: string): Promise<string> {
    this.#fenced += 1;
    const data = `${FENCE} ${this.#fenced}.`;
    const stored = new Promise<string>((resolve) => this.#fences.push(() => resolve(data)));
    this.#fencer.write(text(JSON.stringify({ type: 'publish', channel, data })));
    return stored;
  }

  /** What a channel holds before its fence. */
  async stored(channel: string): Promise<Message[]> {
    const fence = await this.fence(channel);
    const { entries } = await this.log.read(channel, START, ALL);
    assert.equal(entries.at(-1)?.data.toString(), fence);
    return entries.slice(0, -1).map(({ type, data }) => ({ type: type === 'binary' ? type : 'text', data }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fencer[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }

  async #hear(): Promise<void> {
    for (;;) {
      const { payload } = await readFrame(this.#fencer);
      if (JSON.parse(payload.toString()).type === 'ack') this.#fences.shift()?.();
    }
  }
}

/** Rejects unless the door does with the case, arriving this way, what the case says. */
export async function converse(scene: Scene, door: Door, way: Way, given: Case): Promise<void> {
  const isOpen = given.end === 'open';
  // Subscribers share one, since a thousand channels that are followed are another test.
  const channel = door.path === '/ws/manager' ? scene.newChannel() : 'followed';
  const { frames, messages } = arranged(given, door, way);
  await using talk = await Talk.begin(scene, { door, channel, way, frames });
  if (isOpen) await talk.goesOn(messages.length, given.pings ?? []);
  await talk.ends(given.end === 'open' ? 1000 : given.end, isOpen ? 'bye' : given.reason);
  talk.hasAnswered(messages.length, given);
  if (door.path !== '/ws/manager') return;
  const stored = await scene.stored(channel);
  assert.deepEqual(stored, door.isV1 ? [] : messages, 'what is stored');
}

/** What is sent, and which messages of it are right. */
function arranged(
  { send, messages = [], end }: Case,
  { limit }: Door,
  way: Way,
): { readonly frames: readonly Buffer[]; readonly messages: readonly Message[] } {
  const frames = typeof send === 'function' ? send(limit) : send;
  const right = typeof messages === 'function' ? messages(limit) : messages;
  if (way !== 'between two messages') return { frames, messages: right };
  return {
    frames: [text('before'), ...frames, text('behind')],
    messages: [textOf('before'), ...right, ...(end === 'open' ? [textOf('behind')] : [])],
  };
}

class Talk implements AsyncDisposable {
  readonly #socket: RawSocket;
  readonly #scene: Scene;
  readonly #door: Door;
  readonly #channel: string;
  readonly #heard: Heard[] = [];

  private constructor(socket: RawSocket, scene: Scene, door: Door, channel: string) {
    this.#socket = socket;
    this.#scene = scene;
    this.#door = door;
    this.#channel = channel;
  }

  static async begin(
    scene: Scene,
    asked: {
      readonly door: Door;
      readonly channel: string;
      readonly way: Way;
      readonly frames: readonly Buffer[];
    },
  ): Promise<Talk> {
    const { door, channel, way, frames } = asked;
    const socket = await RawSocket.connect(scene.server.address);
    const request = Buffer.from(handshake(`${door.path}?channel=${channel}`, ...door.headers));
    const bytes = Buffer.concat(frames);
    socket.write(way === 'with the handshake' ? Buffer.concat([request, bytes]) : request);
    assert.match(await socket.head(), /^HTTP\/1\.1 101 /);
    if (way === 'byte by byte') await dribble(socket, frames);
    else if (way !== 'with the handshake') socket.write(bytes);
    return new Talk(socket, scene, door, channel);
  }

  /** The connection is as good as before: it answers, and a subscriber's brings what is published. */
  async goesOn(answers: number, pings: readonly Buffer[]): Promise<void> {
    const last = pings.at(-1);
    if (last !== undefined)
      await this.#until(({ opcode, payload }) => opcode === OPCODE.pong && payload.equals(last));
    this.#socket.write(frame(OPCODE.ping, PROBE));
    await this.#until(({ opcode, payload }) => opcode === OPCODE.pong && payload.equals(PROBE));
    while (this.#answers().length < answers && this.#door.isV1) await this.#next();
    if (this.#door.path === '/ws/broadcast') {
      const fence = await this.#scene.fence(this.#channel);
      await this.#until(({ payload }) => payload.includes(fence));
    }
    this.#socket.write(closing(1000, 'bye'));
  }

  /** A close frame with that code comes, nothing behind it, and the server ends the connection (7.1.1). */
  async ends(code: number | 'empty', reason: string | undefined): Promise<void> {
    const close = await this.#until(({ opcode }) => opcode === OPCODE.close);
    if (code === 'empty') assert.equal(close.payload.length, 0, 'an empty close is answered by one');
    else {
      const said = close.payload.subarray(2).toString();
      assert.deepEqual([close.payload.readUInt16BE(0), said], [code, reason ?? said]);
    }
    await this.#socket.closed;
    assert.equal(this.#socket.left.length, 0, 'nothing comes behind a close');
  }

  /** What came besides: answers and pongs to what was asked, and nothing that was not. */
  hasAnswered(messages: number, { pings = [], end }: Case): void {
    const answers = this.#answers();
    assert.ok(answers.every(({ opcode }) => opcode === OPCODE.text));
    // A connection that is ended may take along what it was about to say.
    if (this.#door.isV1 && end === 'open') assert.equal(answers.length, messages, 'each message is answered');
    else assert.ok(answers.length <= (this.#door.isV1 ? messages : 0), 'no message is answered');
    const pongs = this.#heard.filter(({ opcode }) => opcode === OPCODE.pong).map(({ payload }) => payload);
    let at = 0;
    for (const pong of pongs.filter((payload) => !payload.equals(PROBE))) {
      const found = pings.findIndex((ping, i) => i >= at && ping.equals(pong));
      assert.notEqual(found, -1, `a pong for no ping: ${pong.toString('hex')}`);
      at = found + 1;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket[Symbol.asyncDispose]();
  }

  /** Of rivercast.v1: the errors, since no message of the suite is right there. Raw: whatever came as data. */
  #answers(): Heard[] {
    const data = this.#heard.filter(({ opcode }) => opcode <= OPCODE.binary);
    if (this.#door.isV1) return data.filter(({ payload }) => payload.includes('"type":"error"'));
    return data.filter(({ payload }) => !payload.toString().startsWith(FENCE));
  }

  async #until(holds: (heard: Heard) => boolean): Promise<Heard> {
    const before = this.#heard.find(holds);
    if (before !== undefined) return before;
    for (;;) {
      const heard = await this.#next();
      if (holds(heard)) return heard;
    }
  }

  async #next(): Promise<Heard> {
    const heard = await readFrame(this.#socket);
    this.#heard.push(heard);
    return heard;
  }
}

/** A frame as a server has to send it: whole, not masked, nothing reserved, the length as short as can be. */
async function readFrame(socket: RawSocket): Promise<Heard> {
  const [first, second] = (await socket.take(2)) as unknown as [number, number];
  const opcode = first & 0x0f;
  assert.equal(first & 0xf0, 0x80, 'final, and no reserved bit');
  assert.ok([OPCODE.text, OPCODE.binary, OPCODE.close, OPCODE.ping, OPCODE.pong].includes(opcode as 1));
  assert.ok(second < 0x80, 'a server does not mask');
  assert.ok(opcode < 8 || second <= 125, 'a control frame is short');
  if (second < 126) return { opcode, payload: await socket.take(second) };
  const length =
    second === 126
      ? (await socket.take(2)).readUInt16BE(0)
      : Number((await socket.take(8)).readBigUInt64BE(0));
  assert.ok(length >= (second === 126 ? 126 : 65_536), 'the length is as short as can be');
  return { opcode, payload: await socket.take(length) };
}

/** Each byte in a packet of its own, those of the first and the last of a large frame at least. */
async function dribble(socket: RawSocket, frames: readonly Buffer[]): Promise<void> {
  for (const bytes of frames) {
    for (let at = 0; at < bytes.length; ) {
      const left = bytes.length - at;
      const isLarge = bytes.length > 10 * SINGLE_BYTES;
      const size =
        isLarge && at >= SINGLE_BYTES && left > SINGLE_BYTES ? Math.min(PIECE_BYTES, left - SINGLE_BYTES) : 1;
      if (!socket.socket.writable) return;
      socket.write(bytes.subarray(at, at + size));
      at += size;
      await nextTurn();
    }
  }
}
