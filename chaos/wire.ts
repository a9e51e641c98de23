/**
 * What a server says, read strictly: from text to one of the shapes below, or to null when it is none of them.
 * A server that says anything else misbehaves: whoever is told it accuses, and goes on.
 */
import { parseCursor } from '../src/protocol/cursor.ts';
import { type JsonObject, parseJsonObject } from '../src/protocol/entry-json.ts';
import { parseId } from '../src/protocol/id.ts';

export interface ToldError {
  readonly code: string;
  readonly message: string;
  readonly retry: boolean;
  /** Seconds. */
  readonly retryAfter?: number;
}

export interface Stored {
  readonly id: string;
  readonly duplicate: boolean;
}

/** Of one message published over HTTP. */
export type Answer = Stored | { readonly error: ToldError };

/** As a request is refused for it. */
export interface RefusedGap {
  readonly reason: string;
  readonly lost: number | null;
  readonly cursor: string;
}

export interface Gap extends RefusedGap {
  readonly requested: string;
}

export interface Message {
  readonly id: string;
  readonly data?: unknown;
  readonly data64?: string;
}

type HelloFrame = { readonly type: 'hello' };
type ErrorFrame = { readonly type: 'error'; readonly ref?: unknown } & ToldError;
type AckFrame = { readonly type: 'ack'; readonly ref?: unknown } & Stored;

export type PublisherFrame = HelloFrame | AckFrame | ErrorFrame;

type OfChannel<Type extends string, Members> = { readonly type: Type; readonly channel: string } & Members;

export type ChannelFrame =
  | OfChannel<'subscribed', { readonly cursor: string }>
  | OfChannel<'cursor', { readonly cursor: string }>
  | OfChannel<'gap', Gap>
  | OfChannel<'messages', { readonly epoch: string | null; readonly messages: readonly Message[] }>;

export type SubscriberFrame = HelloFrame | ErrorFrame | ChannelFrame;

/** A refusal over HTTP. */
export interface Problem {
  readonly code: string;
  readonly detail: string;
  /** When that is why. */
  readonly gap: RefusedGap | null;
}

type Check = (value: unknown) => boolean;
type Shape = Readonly<Record<string, Check>>;

const isText: Check = (value) => typeof value === 'string';
const isFlag: Check = (value) => typeof value === 'boolean';
const isNumber: Check = (value) => typeof value === 'number';
const isId: Check = (value) => typeof value === 'string' && parseId(value) !== null;
const isCursor: Check = (value) => typeof value === 'string' && parseCursor(value) !== null;
const orNothing =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);

const STORED: Shape = { id: isId, duplicate: isFlag };
const ERROR: Shape = { code: isText, message: isText, retry: isFlag, retryAfter: orNothing(isNumber) };
const PROBLEM: Shape = { code: isText, detail: isText };
const REFUSED_GAP: Shape = { reason: isText, lost: orNull(isNumber), cursor: isCursor };
const GAP: Shape = { ...REFUSED_GAP, requested: isCursor };
const MESSAGE: Shape = { id: isId, data64: orNothing(isText) };
const isMessages: Check = (value) => Array.isArray(value) && value.every((each) => fits(each, MESSAGE));

const PUBLISHER_FRAMES: Readonly<Record<string, Shape>> = { hello: {}, ack: STORED, error: ERROR };
const SUBSCRIBER_FRAMES: Readonly<Record<string, Shape>> = {
  hello: {},
  error: ERROR,
  subscribed: { channel: isText, cursor: isCursor },
  cursor: { channel: isText, cursor: isCursor },
  gap: { channel: isText, ...GAP },
  messages: { channel: isText, epoch: orNull(isText), messages: isMessages },
};

export function publisherFrameIn(text: string): PublisherFrame | null {
  return frameIn(text, PUBLISHER_FRAMES) as PublisherFrame | null;
}

export function subscriberFrameIn(text: string): SubscriberFrame | null {
  return frameIn(text, SUBSCRIBER_FRAMES) as SubscriberFrame | null;
}

/** The data of a `gap` event. */
export function gapIn(text: string): Gap | null {
  const members = parseJsonObject(text);
  return fits(members, GAP) ? (members as unknown as Gap) : null;
}

export function problemIn(text: string): Problem | null {
  const problem = parseJsonObject(text);
  if (!fits(problem, PROBLEM)) return null;
  const { code, detail, ...rest } = problem as unknown as Omit<Problem, 'gap'> & RefusedGap;
  if (code !== 'gap') return { code, detail, gap: null };
  return fits(rest, REFUSED_GAP) ? { code, detail, gap: rest } : null;
}

/** The body of a whole answer to a POST, in the order of what was asked: 201 has one, 200 a line for each. */
export function answersIn(status: number, text: string): readonly Answer[] | null {
  if (status === 200) return linesIn(text);
  if (status === 201) {
    const stored = parseJsonObject(text);
    return fits(stored, STORED) ? [stored as unknown as Stored] : null;
  }
  const problem = problemIn(text);
  if (problem === null) return null;
  const { code, detail } = problem;
  return [{ error: { code, message: `${status} ${detail}`, retry: status === 429 || status >= 500 } }];
}

/** Whether a connection of `ws` ended because what came was no WebSocket frame. */
export function isBrokenFrame(error: Error & { readonly code?: unknown }): boolean {
  return typeof error.code === 'string' && error.code.startsWith('WS_ERR_');
}

function linesIn(text: string): readonly Answer[] | null {
  const lines = text.split('\n');
  // Every line has an end.
  if (lines.pop() !== '') return null;
  const answers = lines.map(parseJsonObject);
  const areAnswers = answers.every((line) => fits(line, STORED) || fits(line?.['error'], ERROR));
  return areAnswers ? (answers as unknown as readonly Answer[]) : null;
}

function frameIn(text: string, shapes: Readonly<Record<string, Shape>>): JsonObject | null {
  const frame = parseJsonObject(text);
  const type = frame?.['type'];
  const shape = typeof type === 'string' && Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  return shape !== undefined && fits(frame, shape) ? frame : null;
}

function fits(value: unknown, shape: Shape): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(shape).every(([name, check]) => check((value as JsonObject)[name]));
}
