/**
 * The subprotocol `rivercast.v1`, the words of a publisher's connection: what it may ask, read from hostile text,
 * and what it is told.
 *
 *   → publish
 *   ← hello, then an ack or an error for each publish, in the order of asking
 *
 * Answers are made of ASCII alone, so that many of them go out as one string of one byte a character.
 */
import {
  isOverlong,
  membersBeforeData,
  parseJsonObject,
  readEntry,
  tooLarge,
  type WrittenEntry,
} from './entry-json.ts';
import { errorFrame, REF_RULE, type Ref, readRef, type V1Error } from './v1.ts';

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
export function readPublishAsk(text: string, maxMessageBytes: number): PublishAsk | MisaskedPublish {
  if (isOverlong(text, maxMessageBytes)) {
    const { code, message } = tooLarge(maxMessageBytes);
    return misasked(code, message, readRef(membersBeforeData(text)?.['ref']) ?? null);
  }
  const frame = parseJsonObject(text);
  if (frame === null) return misasked('bad_request', 'a frame must be one JSON object', null);
  const members = frame as { type?: unknown; channel?: unknown; ref?: unknown };
  const ref = readRef(members.ref);
  if (ref === undefined) return misasked('bad_request', REF_RULE, null);
  if (members.type !== 'publish') return misasked('bad_request', whyNot(members.type), ref);
  const { channel } = members;
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

function whyNot(type: unknown): string {
  const isSubscribers = type === 'subscribe' || type === 'unsubscribe';
  return isSubscribers ? `${type} on /ws/broadcast; this connection publishes` : 'type must be publish';
}

function misasked(code: MisaskedPublish['code'], message: string, ref: Ref | null): MisaskedPublish {
  return { type: 'misasked', code, message, ref };
}
