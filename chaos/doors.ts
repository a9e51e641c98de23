/**
 * The three doors a subscriber can come by. Each opens one connection for the strands given, tells their stories
 * what comes, and says once that it is gone. What it is sent must be what was published, whole.
 */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { WebSocket } from 'ws';
import { parseCursor } from '../src/protocol/cursor.ts';
import { EventParser, type StreamEvent } from '../test/support/event-stream.ts';
import { codeIn } from './message.ts';
import type { Story, ToldGap } from './story.ts';
import {
  type ChannelFrame,
  gapIn,
  isBrokenFrame,
  type Message,
  problemIn,
  type RefusedGap,
  subscriberFrameIn,
} from './wire.ts';

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
  /** It was told what nobody can read, and leaves. */
  readonly unreadable: (what: string) => void;
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
      const problem = problemIn(text);
      why = problem?.code ?? String(response.statusCode);
      if (problem?.gap) story.gap(toldGap(problem.gap, strand.cursor));
      // Whatever is cut can not be read.
      if (problem === null && response.complete) ends.unreadable(`${why} ${text}`);
      socket.terminate();
    });
  });
  socket.on('close', (code, reason) => {
    if (code !== 1006) why = String(code);
    const cursor = /^cursor=(.+)$/.exec(reason.toString())?.[1];
    if (cursor !== undefined && parseCursor(cursor) === null) ends.unreadable(reason.toString());
    else if (cursor !== undefined && code === 4410)
      story.gap({ reason: null, requested: null, lost: null, cursor });
    else if (cursor !== undefined) story.stands(cursor);
    ends.gone(why);
  });
  socket.on('error', (error) => {
    if (isBrokenFrame(error)) ends.unreadable(error.message);
  });
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
    const frame = subscriberFrameIn(data.toString());
    if (frame?.type === 'hello') return;
    const strand = frame === null || frame.type === 'error' ? undefined : byChannel.get(frame.channel);
    if (frame !== null && frame.type !== 'error' && strand !== undefined) return hear(frame, strand, ends);
    // Subscriptions are asked for again, all of them, by another connection.
    why = frame?.type === 'error' ? `error ${frame.code}` : 'what can not be read';
    if (frame?.type !== 'error') ends.unreadable(data.toString());
    socket.terminate();
  });
  socket.on('close', (code) => ends.gone(code === 1006 ? why : String(code)));
  socket.on('error', (error) => {
    if (isBrokenFrame(error)) ends.unreadable(error.message);
  });
  return doorOf(socket);
}

function hear(frame: ChannelFrame, strand: Strand, ends: Ends): void {
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
      return story.gap(toldGap(frame, frame.requested));
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
  let isLeft = false;
  const leave = (what: string): void => {
    isLeft = true;
    ends.unreadable(what);
    asked.destroy();
  };
  const parser = new EventParser((event) => {
    if (isNew) ends.foreign(story, `an event before the position: ${event.data}`);
    else if (!hearEvent(event, story, ends)) leave(`${event.lastEventId} ${event.type} ${event.data}`);
  });
  const hear = (text: string): void => {
    const events = (rest + text).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      if (isLeft) return;
      parser.push(`${event}\n\n`);
      if (parser.lastEventId === '' || isLeft) continue;
      if (parseCursor(parser.lastEventId) === null) return leave(event);
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

/** False: it can not be read. */
function hearEvent({ type, data, lastEventId }: StreamEvent, story: Story, ends: Ends): boolean {
  const cursor = parseCursor(lastEventId);
  if (cursor === null) return false;
  if (type === 'gap') {
    const gap = gapIn(data);
    if (gap !== null) story.gap(toldGap(gap, gap.requested));
    return gap !== null;
  }
  const isBinary = type === 'binary';
  const code = codeIn(isBinary, isBinary ? Buffer.from(data, 'base64').toString('latin1') : data);
  if (code === null) ends.foreign(story, data);
  else story.entry(cursor.id, cursor.epoch, code);
  return true;
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

function codeOfMessage({ data, data64 }: Message): number | null {
  if (data64 !== undefined) return codeIn(true, Buffer.from(data64, 'base64').toString('latin1'));
  return codeIn(false, typeof data === 'string' ? data : JSON.stringify(data));
}

function toldGap({ reason, lost, cursor }: RefusedGap, requested: string | null): ToldGap {
  return { reason, requested, lost, cursor };
}

function textOf(response: IncomingMessage, take: (text: string) => void): void {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('close', () => take(Buffer.concat(chunks).toString()));
}
