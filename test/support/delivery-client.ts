/**
 * A client of one door, on a connection that is played: what it receives, read from the bytes written, is told
 * to the models of its channels, and the cursor it would come back with is kept as a real client would.
 */
import assert from 'node:assert/strict';
import type { WriteOutcome } from '../../src/broadcaster/transport.ts';
import type { V1Connection } from '../../src/broadcaster/v1-session.ts';
import type { Gap, GapReason } from '../../src/log/log.ts';
import { type Cursor, formatCursor, parseCursor } from '../../src/protocol/cursor.ts';
import { OPCODE_BINARY } from '../../src/protocol/websocket-frame.ts';
import type { ChannelModel, Story, Told } from './delivery-model.ts';
import { parseFrame } from './raw-socket.ts';

export type Door = 'raw-fail' | 'raw-skip' | 'v1-fail' | 'v1-skip' | 'sse';

/** What an entry looks like to a client: raw and SSE do not tell JSON from text. */
export function contentOf(isBinary: boolean, data: Buffer): string {
  return `${isBinary ? 'binary' : 'text'} ${data.toString('latin1')}`;
}

/** More than everything there is, written entry by entry. */
const MAX_WRITES = 10_000;

export class PlayedConnection implements V1Connection {
  /** Whether the next write waits in this process. */
  stalls = false;
  /** One side has begun to close: nothing is written any more. */
  isClosing = false;
  closedWith: { readonly code: number; readonly reason: string } | null = null;
  isDestroyed = false;
  #arrived: Buffer[] = [];
  #pending: Buffer[] = [];

  get isOpen(): boolean {
    return this.closedWith === null && !this.isDestroyed;
  }

  /** What has reached the client since it was last asked. */
  take(): Buffer[] {
    const arrived = this.#arrived;
    assert.ok(arrived.length <= MAX_WRITES, 'the server writes without end');
    this.#arrived = [];
    return arrived;
  }

  write(bytes: Buffer): WriteOutcome {
    if (this.isClosing || !this.isOpen) return 'closed';
    if (!this.stalls) {
      this.#arrived.push(bytes);
      // Let go of, or a server that never stops would never let the test fail.
      if (this.#arrived.length > MAX_WRITES) this.isClosing = true;
      return 'taken';
    }
    this.#pending.push(bytes);
    return 'pending';
  }

  drain(): void {
    this.stalls = false;
    this.#arrived.push(...this.#pending.splice(0));
  }

  close(code: number, reason: string): void {
    this.drain();
    this.closedWith = { code, reason };
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  pause(): void {}

  resume(): void {}
}

/** One channel that the client follows, or did and will again. */
interface Strand {
  readonly model: ChannelModel;
  readonly story: Story;
  /** Where it would resume; null: the client has not been told yet. */
  cursor: Cursor | null;
  isFollowed: boolean;
  /** It asked for the latest: where it begins is for the server to say. */
  isLatest: boolean;
}

const TELLS: Readonly<Record<Door, Story['tells']>> = {
  'raw-fail': 'losses',
  'raw-skip': 'nothing',
  'v1-fail': 'everything',
  'v1-skip': 'everything',
  sse: 'everything',
};

export class Client {
  readonly door: Door;
  readonly strands: Map<string, Strand> = new Map();
  connection: PlayedConnection | null = null;
  /** How many asks were answered. */
  answers = 0;

  constructor(door: Door) {
    this.door = door;
  }

  /** It will follow a channel, from entry `at` on; null: from wherever the server says. */
  expect(channel: string, model: ChannelModel, at: number | null): Strand {
    const story: Story = {
      tells: TELLS[this.door],
      at: at ?? 0,
      history: null,
      isFresh: true,
      isForked: false,
    };
    const strand = { model, story, cursor: null, isFollowed: false, isLatest: at === null };
    this.strands.set(channel, strand);
    return strand;
  }

  /** The server says where the subscription to a channel begins. */
  begin(channel: string, cursor: Cursor): void {
    const strand = this.#strand(channel);
    const { model, story, isLatest } = strand;
    strand.isFollowed = true;
    if (!story.isFresh || strand.cursor !== null) return;
    if (isLatest) story.at = model.place(cursor);
    model.begin(story, cursor);
    strand.cursor = cursor;
  }

  /** It was refused because of a gap. */
  refused(channel: string, gap: Gap): void {
    this.#gap(channel, { ...gap, cursor: gap.resumeAt });
  }

  /** Takes in what has arrived. */
  read(): void {
    const { connection } = this;
    if (connection === null) return;
    for (const bytes of connection.take()) this.#take(bytes);
    if (connection.isOpen) return;
    this.connection = null;
    if (connection.closedWith !== null) this.#closed(connection.closedWith);
    // Nobody tells a raw client that is cut where it stood: it can not resume.
    else if (this.door.startsWith('raw')) this.strands.clear();
    for (const strand of this.strands.values()) strand.isFollowed = false;
  }

  #closed({ code, reason }: { readonly code: number; readonly reason: string }): void {
    if (!reason.startsWith('cursor=')) return;
    const cursor = read(reason.slice('cursor='.length));
    for (const [channel, { isFollowed }] of this.strands) {
      if (!isFollowed) continue;
      if (code === 4410) this.#gap(channel, { cursor });
      else this.#stands(channel, cursor);
    }
  }

  #take(bytes: Buffer): void {
    if (this.door === 'sse') {
      for (const event of bytes.toString().split('\n\n').slice(0, -1)) this.#event(event);
      return;
    }
    for (let rest = bytes; rest.length > 0; ) {
      const { frame, end } = parseFrame(rest) ?? assert.fail('a write ends inside a frame');
      rest = rest.subarray(end);
      if (this.door.startsWith('v1')) this.#frame(JSON.parse(frame.payload.toString()) as V1Frame);
      else this.#entry(contentOf(frame.opcode === OPCODE_BINARY, frame.payload));
    }
  }

  #event(text: string): void {
    const lines = text.split('\n');
    const field = (name: string): string[] =>
      lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
    const cursor = read(field('id')[0] as string);
    const data = field('data').join('\n');
    const [type] = field('event');
    if (type === 'gap') this.#gap(undefined, toldGap(JSON.parse(data) as GapFrame));
    else if (type === 'binary') this.#entry(contentOf(true, Buffer.from(data, 'base64')), cursor);
    else if (lines.length > 1) this.#entry(contentOf(false, Buffer.from(data)), cursor);
    else this.#stands(undefined, cursor);
  }

  #frame(frame: V1Frame): void {
    const { channel } = frame;
    switch (frame.type) {
      case 'hello':
        return;
      case 'subscribed':
        this.answers += 1;
        return this.begin(channel, read(frame.cursor));
      case 'gap':
        return this.#gap(channel, toldGap(frame));
      case 'messages':
        for (const message of frame.messages) {
          const { id } = message;
          this.#entry(contentIn(message), read(frame.epoch === null ? id : `${id}@${frame.epoch}`), channel);
        }
        return;
      case 'cursor':
        return this.#stands(channel, read(frame.cursor));
      case 'unsubscribed':
        this.#strand(channel).isFollowed = false;
        return this.#stands(channel, read(frame.cursor));
      case 'error':
        assert.equal(frame.code, 'gap', frame.message);
        this.#strand(channel).isFollowed = false;
        // A live one has been told of the gap already.
        if (isSame(read(frame.cursor), this.#strand(channel).cursor)) return;
        this.answers += 1;
        return this.#gap(channel, { cursor: read(frame.cursor) });
    }
  }

  #entry(content: string, cursor: Cursor | null = null, channel?: string): void {
    const strand = this.#strand(channel);
    const { id } = strand.model.entry(strand.story, content, cursor?.epoch ?? null);
    if (cursor === null) return;
    assert.equal(cursor.id, id);
    strand.cursor = cursor;
  }

  #gap(channel: string | undefined, told: Told): void {
    const strand = this.#strand(channel);
    strand.model.gap(strand.story, told);
    strand.cursor = told.cursor;
  }

  #stands(channel: string | undefined, cursor: Cursor): void {
    const strand = this.#strand(channel);
    strand.model.standing(strand.story, cursor);
    strand.cursor = cursor;
  }

  /** The one of the channel; a door of one channel does not name it. */
  #strand(channel: string = [...this.strands.keys()][0] as string): Strand {
    return this.strands.get(channel) ?? assert.fail(`it does not follow ${channel}`);
  }
}

interface GapFrame {
  readonly requested: string;
  readonly lost: number | null;
  readonly reason: GapReason;
  readonly cursor: string;
}

interface Message {
  readonly id: string;
  readonly data?: unknown;
  readonly data64?: string;
}

type V1Frame = { readonly channel: string; readonly cursor: string } & (
  | { readonly type: 'hello' | 'subscribed' | 'cursor' | 'unsubscribed' }
  | { readonly type: 'error'; readonly code: string; readonly message: string }
  | ({ readonly type: 'gap' } & GapFrame)
  | { readonly type: 'messages'; readonly epoch: string | null; readonly messages: readonly Message[] }
);

function contentIn({ data, data64 }: Message): string {
  if (data64 !== undefined) return contentOf(true, Buffer.from(data64, 'base64'));
  return contentOf(false, Buffer.from(typeof data === 'string' ? data : JSON.stringify(data)));
}

function isSame(a: Cursor, b: Cursor | null): boolean {
  return b !== null && formatCursor(a) === formatCursor(b);
}

function toldGap({ requested, lost, reason, cursor }: GapFrame): Told {
  return { requested: read(requested), lost, reason, cursor: read(cursor) };
}

function read(text: string): Cursor {
  const cursor = parseCursor(text) ?? assert.fail(`${text} is no cursor`);
  assert.equal(formatCursor(cursor), text);
  return cursor;
}
