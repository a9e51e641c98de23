/**
 * The three doors a subscriber can come by. Each opens one connection for the strands given, tells their stories
 * what comes, and says once that it is gone. What it is sent must be what was published, whole.
 */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { WebSocket } from 'ws';
import { EventParser, type StreamEvent } from '../test/support/event-stream.ts';
import { codeIn } from './message.ts';
import type { Story } from './story.ts';

/** One channel that a subscriber follows. */
export interface Strand {
  readonly story: Story;
  /** What it asks for when it comes for the first time, or anew. */
  after: string;
  /** A cursor of its own, or null: it comes with `after`. */
  cursor: string | null;
}

export interface Ends {
  /** It was let in. */
  readonly open: () => void;
  /** Once, whatever ended it. */
  readonly gone: (why: string) => void;
  readonly foreign: (story: Story, what: string) => void;
}

export interface Door {
  /** Takes nothing from the socket any more, and goes on. */
  pause(): void;
  resume(): void;
  /** As a network is cut. */
  cut(): void;
}

export type DoorName = 'raw' | 'v1' | 'sse';

const OPENING_MS = 4000;

export function openRaw(address: string, strand: Strand, ends: Ends): Door {
  const { story } = strand;
  const query = new URLSearchParams({ channel: story.book.channel, after: strand.cursor ?? strand.after });
  const socket = new WebSocket(`${address}/ws/broadcast?${query.toString()}`, options());
  let why = 'cut';
  socket.on('open', () => {
    ends.open();
    if (strand.cursor === null) story.start(strand.after, strand.after === 'earliest' ? '0-0' : null);
  });
  socket.on('message', (data: Buffer, isBinary) => {
    const code = codeIn(isBinary, data.toString(isBinary ? 'latin1' : 'utf8'));
    if (code === null) ends.foreign(story, data.toString('latin1'));
    else story.bare(code);
  });
  socket.on('unexpected-response', (_request, response) => {
    textOf(response, (text) => {
      const told = problemIn(text);
      why = told.code ?? String(response.statusCode);
      if (told.code === 'gap') story.gap(gapOf(told, strand.cursor));
      socket.terminate();
    });
  });
  socket.on('close', (code, reason) => {
    if (code !== 1006) why = String(code);
    const cursor = /^cursor=(.+)$/.exec(reason.toString())?.[1];
    if (cursor !== undefined && code === 4410)
      story.gap({ reason: null, requested: null, lost: null, cursor });
    else if (cursor !== undefined) story.stands(cursor);
    ends.gone(why);
  });
  socket.on('error', () => undefined);
  return doorOf(socket);
}

export function openV1(address: string, strands: readonly Strand[], ends: Ends): Door {
  const byChannel = new Map(strands.map((strand) => [strand.story.book.channel, strand]));
  const socket = new WebSocket(`${address}/ws/broadcast?channel=`, ['rivercast.v1'], options());
  let why = 'cut';
  socket.on('open', () => {
    ends.open();
    for (const [channel, strand] of byChannel)
      socket.send(JSON.stringify({ type: 'subscribe', channel, after: strand.cursor ?? strand.after }));
  });
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as V1Frame;
    if (frame.type === 'hello') return;
    const strand = byChannel.get(frame.channel ?? '');
    if (strand !== undefined && frame.type !== 'error') return hear(frame, strand, ends);
    // Subscriptions are asked for again, all of them, by another connection.
    why = `error ${frame.type === 'error' ? frame.code : frame.type}`;
    socket.terminate();
  });
  socket.on('close', (code) => ends.gone(code === 1006 ? why : String(code)));
  socket.on('error', () => undefined);
  return doorOf(socket);
}

function hear(frame: Exclude<V1Frame, HelloFrame | ErrorFrame>, strand: Strand, ends: Ends): void {
  const { story } = strand;
  switch (frame.type) {
    case 'subscribed':
      // One that comes back has a story already, and its gap follows.
      if (strand.cursor === null) story.start(strand.after, startOf(strand.after, frame.cursor));
      return;
    case 'messages':
      for (const message of frame.messages) {
        const code = codeOfMessage(message);
        if (code === null) ends.foreign(story, JSON.stringify(message));
        else story.entry(message.id, frame.epoch, code);
      }
      return;
    case 'gap':
      return story.gap(gapOf(frame, null));
    case 'cursor':
      return story.stands(frame.cursor);
  }
}

export function openSse(address: string, strand: Strand, ends: Ends): Door {
  const { story } = strand;
  const query = new URLSearchParams({ channel: story.book.channel });
  const headers: Record<string, string> = {};
  if (strand.cursor === null) query.set('after', strand.after);
  else headers['last-event-id'] = strand.cursor;
  let isOpen = false;
  let isNew = strand.cursor === null;
  let response: IncomingMessage | null = null;
  let rest = '';
  const parser = new EventParser((event) => {
    if (isNew) ends.foreign(story, `an event before the position: ${event.data}`);
    else hearEvent(event, story, ends);
  });
  const hear = (text: string): void => {
    const events = (rest + text).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      parser.push(`${event}\n\n`);
      if (parser.lastEventId === '') continue;
      // The first id says where the stream starts.
      if (isNew) story.start(strand.after, startOf(strand.after, parser.lastEventId));
      isNew = false;
      story.stands(parser.lastEventId);
      if (!isOpen) ends.open();
      isOpen = true;
    }
  };
  const asked: ClientRequest = request(
    `${address}/sse?${query.toString()}`,
    { headers, agent: false },
    (answer) => {
      response = answer;
      answer.setEncoding('utf8');
      answer.on('data', hear);
      answer.on('error', () => undefined);
    },
  );
  asked.setTimeout(OPENING_MS, () => {
    if (response === null) asked.destroy();
  });
  asked.on('error', () => undefined);
  asked.end();
  asked.on('close', () => ends.gone(response === null ? 'no answer' : `ended ${response.statusCode}`));
  return {
    pause: () => response?.pause(),
    resume: () => response?.resume(),
    cut: () => asked.destroy(),
  };
}

function hearEvent({ type, data, lastEventId }: StreamEvent, story: Story, ends: Ends): void {
  if (type === 'gap') return story.gap(gapOf(JSON.parse(data) as GapFrame, null));
  const isBinary = type === 'binary';
  const text = isBinary ? Buffer.from(data, 'base64').toString('latin1') : data;
  const code = codeIn(isBinary, text);
  if (code === null) return ends.foreign(story, data);
  const [id = '', rest] = lastEventId.split('@');
  story.entry(id, rest?.split('.')[0] ?? null, code);
}

/** The oldest entry is the very first one, wherever a server says that it begins. */
function startOf(after: string, cursor: string): string {
  return after === 'earliest' ? '0-0' : cursor;
}

function doorOf(socket: WebSocket): Door {
  return {
    pause: () => {
      if (socket.readyState === WebSocket.OPEN) socket.pause();
    },
    resume: () => socket.resume(),
    cut: () => socket.terminate(),
  };
}

function options(): { readonly perMessageDeflate: false; readonly handshakeTimeout: number } {
  return { perMessageDeflate: false, handshakeTimeout: OPENING_MS };
}

interface V1Message {
  readonly id: string;
  readonly data?: unknown;
  readonly data64?: string;
}

function codeOfMessage({ data, data64 }: V1Message): number | null {
  if (data64 !== undefined) return codeIn(true, Buffer.from(data64, 'base64').toString('latin1'));
  return codeIn(false, typeof data === 'string' ? data : JSON.stringify(data));
}

interface GapFrame {
  readonly type: 'gap';
  readonly channel?: string;
  readonly reason: string;
  readonly requested: string;
  readonly lost: number | null;
  readonly cursor: string;
}

function gapOf(told: Partial<GapFrame>, requested: string | null): Parameters<Story['gap']>[0] {
  const { reason = null, lost = null, cursor = '' } = told;
  return { reason, requested: told.requested ?? requested, lost, cursor };
}

interface HelloFrame {
  readonly type: 'hello';
}

interface ErrorFrame {
  readonly type: 'error';
  readonly channel?: string;
  readonly code: string;
}

type V1Frame =
  | HelloFrame
  | ErrorFrame
  | GapFrame
  | { readonly type: 'subscribed'; readonly channel: string; readonly cursor: string }
  | { readonly type: 'cursor'; readonly channel: string; readonly cursor: string }
  | {
      readonly type: 'messages';
      readonly channel: string;
      readonly epoch: string | null;
      readonly messages: readonly V1Message[];
    };

function problemIn(text: string): Partial<GapFrame> & { readonly code?: string } {
  try {
    return JSON.parse(text) as Partial<GapFrame> & { readonly code?: string };
  } catch {
    // Cut in the middle.
    return {};
  }
}

function textOf(response: IncomingMessage, take: (text: string) => void): void {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('close', () => take(Buffer.concat(chunks).toString()));
}
