/** What a subscriber is given. */
import type { Gap } from './error.ts';

export interface Message<Data = unknown> {
  readonly channel: string;
  readonly id: string;
  /** Which history of the channel the id belongs to: the two together name a message for good. */
  readonly epoch: string | null;
  /** Text is a string, JSON what it says, anything else its bytes. Shared by all who follow the channel in this client: not to be changed. */
  readonly data: Data;
  /** To go on after this message, here or elsewhere. */
  readonly cursor: string;
  /** When it was stored, in ms since 1970. */
  readonly time: number;
}

/** A subscription, as seen from outside. */
export type SubscriptionState =
  /** On its way: connecting, or asked for. */
  | 'connecting'
  | 'live'
  /** Its buffer is full: it goes on from its cursor once there is room. */
  | 'paused'
  | 'ended';

/** A validator by the Standard Schema (https://standardschema.dev): those of zod, valibot, arktype and others. */
export interface Schema<Output> {
  readonly '~standard': {
    readonly validate: (value: unknown) => Checked<Output> | Promise<Checked<Output>>;
  };
}

type Checked<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** Keeps a cursor from one visit to the next: see `stored`. */
export interface CursorStore {
  load(): string | null;
  save(cursor: string): void;
}

export interface SubscribeOptions<Data> {
  /**
   * Where to start: `latest` (what comes from now on), `earliest`, `last:10`, `-5m`, an ISO time, a cursor; or a store that
   * has the cursor of the last visit.
   */
  readonly after?: string | CursorStore;
  /** What the data of each message must be; else the subscription fails with `invalid`. */
  readonly schema?: Schema<Data>;
  /** Some messages can not be had any more; the next one comes after them. Without it a gap ends the subscription with a GapError. */
  readonly onGap?: (gap: Gap) => void;
  readonly onState?: (state: SubscriptionState, error: Error | null) => void;
  /** Messages kept for a reader that is slower than they come. Above it the channel is left, and joined again from its cursor. */
  readonly buffer?: number;
}

export interface ListenOptions<Data> extends SubscribeOptions<Data> {
  /** Called for one message at a time; a promise is waited for. What it throws ends the subscription, which `onState` is told; without that it is written to the console. */
  readonly onMessage: (message: Message<Data>) => unknown;
}

/** Whether the id `a` is no later than `b`, an id or a cursor: their numbers need not fit into one of JavaScript's. */
export function isNoLater(a: string, b: string): boolean {
  return padded(a) <= padded(b);
}

function padded(id: string): string {
  return id.replace(/\d+/g, (digits) => digits.padStart(20, '0'));
}

/** As it is in a frame of the server. */
export interface RawMessage {
  readonly id: string;
  readonly data?: unknown;
  readonly data64?: string;
}

export function messageOf<Data>(channel: string, epoch: string | null, raw: RawMessage): Message<Data> {
  const { id, data, data64 } = raw;
  return {
    channel,
    id,
    epoch,
    data: (data64 === undefined ? data : bytesOf(data64)) as Data,
    cursor: epoch === null ? id : `${id}@${epoch}`,
    time: Number.parseInt(id, 10),
  };
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
