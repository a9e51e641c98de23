/**
 * The subprotocol `rivercast.v1`, the words of a publisher's connection: what it may ask, read from hostile text,
 * and what it is told.
 *
 *   → publish, auth
 *   ← hello, then an ack, authenticated or an error for each, in the order of asking
 *
 * Answers are made of ASCII alone, so that many of them go out as one string of one byte a character.
 */
import {
  isOverlong,
  type JsonObject,
  membersBeforeData,
  parseJsonObject,
  readEntry,
  tooLarge,
  type WrittenEntry,
} from './entry-json.ts';
import {
  type AuthAsk,
  authenticatedFrame,
  errorFrame,
  REF_RULE,
  type Ref,
  readRef,
  TOKEN_RULE,
  type V1Error,
} from './v1.ts';

export type PublisherAsk = PublishAsk | AuthAsk | MisaskedPublish;

export interface PublishAsk {
  readonly type: 'publish';
  readonly entry: WrittenEntry;
  /** Null: that of the connection. Not checked for its grammar. */
  readonly channel: string | null;
  readonly ref: Ref | null;
}

/** A frame that asks nothing that can be done; `message` says why. */
export interface MisaskedPublish {
  readonly type: 'misasked';
  readonly code: 'bad_request' | 'too_large';
  readonly message: string;
  readonly ref: Ref | null;
}

/**
 * A character of a payload takes at most six in JSON (`\u0000`), or a third more in base64; the other members take
 * less than this, each of their characters escaped as well.
 */
const ENVELOPE_BYTES = 4096;
const JSON_GROWTH = 6;

const NOT_ASCII = /[\u0080-\uffff]/g;

/** The largest frame a publisher may send, so that a message of `maxMessageBytes` fits however it is escaped. */
export function maxPublishFrameBytes(maxMessageBytes: number): number {
  return maxMessageBytes * JSON_GROWTH + ENVELOPE_BYTES;
}

/** What a publisher's frame asks for. Never throws, whatever the text. */
export function readPublishAsk(text: string, maxMessageBytes: number): PublisherAsk {
  if (isOverlong(text, maxMessageBytes)) {
    const { code, message } = tooLarge(maxMessageBytes);
    return misasked(code, message, readRef(membersBeforeData(text)?.['ref']) ?? null);
  }
  const frame = parseJsonObject(text);
  if (frame === null) return misasked('bad_request', 'a frame must be one JSON object', null);
  const members = frame as { type?: unknown; ref?: unknown };
  const ref = readRef(members.ref);
  if (ref === undefined) return misasked('bad_request', REF_RULE, null);
  if (members.type === 'auth') return readAuth(frame, ref);
  if (members.type !== 'publish') return misasked('bad_request', whyNot(members.type), ref);
  return readPublish(frame, ref, maxMessageBytes);
}

function readPublish(
  frame: JsonObject,
  ref: Ref | null,
  maxMessageBytes: number,
): PublishAsk | MisaskedPublish {
  const { channel } = frame as { channel?: unknown };
  if (channel !== undefined && channel !== null && typeof channel !== 'string') {
    return misasked('bad_request', 'channel must be a string', ref);
  }
  const entry = readEntry(frame, maxMessageBytes);
  if (entry.type === 'wrong') return misasked(entry.code, entry.message, ref);
  return { type: 'publish', entry, channel: channel ?? null, ref };
}

export function ackText(id: string, duplicate: boolean, ref: Ref | null): string {
  if (ref === null) return `{"type":"ack","id":"${id}","duplicate":${duplicate}}`;
  return `{"type":"ack","ref":${refText(ref)},"id":"${id}","duplicate":${duplicate}}`;
}

/** As authenticatedFrame, in ASCII. */
export function authenticatedText(told: Parameters<typeof authenticatedFrame>[0]): string {
  return ascii(authenticatedFrame(told));
}

/** As errorFrame, in ASCII. */
export function publishErrorText(error: V1Error): string {
  return ascii(errorFrame(error));
}

function refText(ref: Ref): string {
  return typeof ref === 'number' ? JSON.stringify(ref) : ascii(JSON.stringify(ref));
}

/** The same JSON, with what is not ASCII escaped. */
function ascii(json: string): string {
  return json.replace(NOT_ASCII, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function readAuth(frame: JsonObject, ref: Ref | null): AuthAsk | MisaskedPublish {
  const { token } = frame as { token?: unknown };
  if (typeof token === 'string' && token !== '') return { type: 'auth', token, ref };
  return misasked('bad_request', TOKEN_RULE, ref);
}

function whyNot(type: unknown): string {
  const isSubscribers = type === 'subscribe' || type === 'unsubscribe';
  return isSubscribers
    ? `${type} on /ws/broadcast; this connection publishes`
    : 'type must be publish or auth';
}

function misasked(code: MisaskedPublish['code'], message: string, ref: Ref | null): MisaskedPublish {
  return { type: 'misasked', code, message, ref };
}
