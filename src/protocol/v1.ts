/**
 * The subprotocol `rivercast.v1`: one JSON object per WebSocket text message. Here are the words of a
 * subscriber's connection: what it may ask, read from hostile text, and what it is told.
 *
 *   → subscribe, unsubscribe
 *   ← hello, then per channel: subscribed, gap?, messages…, cursor…, unsubscribed; error at any time
 */
import { type Cursor, formatCursor } from './cursor.ts';
import { type JsonObject, parseJsonObject } from './entry-json.ts';
import { gapMembers, type ToldGap } from './gap-json.ts';

export const V1_PROTOCOL = 'rivercast.v1';

/** A `messages` frame holds no more than this, unless a single message is larger: clients cap frames. */
export const MAX_FRAME_MESSAGES = 100;
export const MAX_FRAME_BYTES: number = 32 * 1024;

export const TOKEN_RULE = 'token must be a string';
const MAX_REF_LENGTH = 128;
export const REF_RULE: string = `ref must be a string of at most ${MAX_REF_LENGTH} characters, or a number that JSON keeps`;

/** What a client sends along with a request, to know the answer by. */
export type Ref = string | number;

export interface SubscribeAsk {
  readonly type: 'subscribe';
  readonly channel: string;
  readonly after: string | null;
  readonly onGap: 'fail' | 'skip';
  readonly ref: Ref | null;
}

export interface UnsubscribeAsk {
  readonly type: 'unsubscribe';
  readonly channel: string;
  readonly ref: Ref | null;
}

/** A frame that asks nothing that can be done; `message` says why. */
export interface Misasked {
  readonly type: 'misasked';
  readonly message: string;
  readonly ref: Ref | null;
}

/** A new token in place of the one the connection came with; at both doors. */
export interface AuthAsk {
  readonly type: 'auth';
  readonly token: string;
  readonly ref: Ref | null;
}

export type SubscriberAsk = SubscribeAsk | UnsubscribeAsk | AuthAsk | Misasked;

export interface V1Error {
  readonly code: string;
  readonly message: string;
  readonly retry: boolean;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  readonly ref: Ref | null;
  readonly channel?: string | undefined;
  /** Where to go on, when the error is a gap. */
  readonly cursor?: string | undefined;
}

/** What a subscriber's message asks for. Never throws, whatever the text. */
export function readSubscriberAsk(text: string): SubscriberAsk {
  const frame = parseJsonObject(text);
  if (frame === null) return { type: 'misasked', message: 'a frame must be one JSON object', ref: null };
  const ref = readRef(own(frame, 'ref'));
  if (ref === undefined) return { type: 'misasked', message: REF_RULE, ref: null };
  try {
    return readAsk(frame, ref);
  } catch (error) {
    if (!(error instanceof WrongField)) throw error;
    return { type: 'misasked', message: error.message, ref };
  }
}

/** What each connection is told first; `heartbeat` in seconds. */
export interface Hello {
  readonly server: string;
  readonly heartbeat: number;
  /** Of a subscriber: how many the connection may follow. */
  readonly channels?: number;
  /** Of a publisher: for how many seconds keys are remembered. */
  readonly keys?: number;
}

export function helloFrame(hello: Hello): string {
  return JSON.stringify({ type: 'hello', ...hello });
}

export function subscribedFrame(told: {
  readonly channel: string;
  readonly epoch: string | null;
  readonly cursor: Cursor;
  readonly tip: string;
  readonly ref: Ref | null;
}): string {
  const { channel, epoch, cursor, tip, ref } = told;
  return JSON.stringify({
    type: 'subscribed',
    channel,
    epoch,
    cursor: formatCursor(cursor),
    tip,
    ref: ref ?? undefined,
  });
}

/** `cursor`: where to subscribe again. */
export function unsubscribedFrame(channel: string, cursor: Cursor, ref: Ref | null): string {
  return JSON.stringify({
    type: 'unsubscribed',
    channel,
    cursor: formatCursor(cursor),
    ref: ref ?? undefined,
  });
}

export function errorFrame({ ref, ...error }: V1Error): string {
  return JSON.stringify({ type: 'error', ...error, ref: ref ?? undefined });
}

/** `expires`: in seconds since 1970; null: never. */
export function authenticatedFrame(told: {
  readonly subject: string | null;
  readonly expires: number | null;
  readonly ref: Ref | null;
}): string {
  const { subject, expires, ref } = told;
  return JSON.stringify({ type: 'authenticated', subject, expires, ref: ref ?? undefined });
}

export function gapFrame(channel: string, gap: ToldGap): string {
  return JSON.stringify({ type: 'gap', channel, ...gapMembers(gap) });
}

export function cursorFrame(channel: string, cursor: Cursor): string {
  return JSON.stringify({ type: 'cursor', channel, cursor: formatCursor(cursor) });
}

/** A `messages` frame is this, the messages as JSON with commas between, and MESSAGES_END. */
export function messagesStart(channel: string, epoch: string | null): string {
  return `{"type":"messages","channel":"${channel}","epoch":${JSON.stringify(epoch)},"messages":[`;
}

export const MESSAGES_END = ']}';

class WrongField extends Error {}

function readAsk(frame: JsonObject, ref: Ref | null): SubscriberAsk {
  const type = own(frame, 'type');
  switch (type) {
    case 'subscribe':
      return { type, channel: readChannel(frame), after: readAfter(frame), onGap: readOnGap(frame), ref };
    case 'unsubscribe':
      return { type, channel: readChannel(frame), ref };
    case 'auth':
      return { type, token: readToken(frame), ref };
    case 'publish':
      throw new WrongField('publish on /ws/manager; this connection subscribes');
    default:
      throw new WrongField('type must be subscribe, unsubscribe or auth');
  }
}

/** Never what the prototype has: `{"__proto__":…}` and names such as `constructor` are the client's to send. */
function own(frame: JsonObject, name: string): unknown {
  return Object.hasOwn(frame, name) ? frame[name] : undefined;
}

/** Null: none. Undefined: not one. */
export function readRef(ref: unknown): Ref | null | undefined {
  if (ref === undefined || ref === null) return null;
  if (typeof ref === 'number') return isKept(ref) ? ref : undefined;
  return typeof ref === 'string' && ref.length <= MAX_REF_LENGTH ? ref : undefined;
}

/** Whether the number comes back as it was sent: beyond 2^53 the client could not know its answer by it. */
function isKept(ref: number): boolean {
  return Number.isFinite(ref) && (!Number.isInteger(ref) || Number.isSafeInteger(ref));
}

function readChannel(frame: JsonObject): string {
  const channel = own(frame, 'channel');
  if (typeof channel === 'string') return channel;
  throw new WrongField('channel must be a string');
}

/** Throws WrongField. */
function readToken(frame: JsonObject): string {
  const token = own(frame, 'token');
  if (typeof token === 'string' && token !== '') return token;
  throw new WrongField(TOKEN_RULE);
}

function readAfter(frame: JsonObject): string | null {
  const after = own(frame, 'after');
  if (after === undefined || after === null) return null;
  if (typeof after === 'string') return after;
  throw new WrongField('after must be a string');
}

function readOnGap(frame: JsonObject): 'fail' | 'skip' {
  const onGap = own(frame, 'on_gap');
  if (onGap === undefined || onGap === null) return 'skip';
  if (onGap === 'fail' || onGap === 'skip') return onGap;
  throw new WrongField('on_gap must be "fail" or "skip"');
}
