/**
 * What somebody may do: publish to channels, subscribe to channels, administer them. A grant comes with a token or
 * an API key (http/auth/), and with nothing where none is asked for. Each permission is a list of patterns
 * (channels.ts): a name, a prefix with `*`, or `*`.
 *
 * To subscribe to a channel is also to read its history and its bounds; to administer it, to remove its entries;
 * `*` administers the server: its statistics, its subscribers, its metrics.
 */
import { isChannelsPattern } from './channels.ts';
import { RivercastError } from './errors.ts';

/** Channels that a permission is for. */
export class ChannelSet {
  readonly patterns: readonly string[];
  readonly #names: ReadonlySet<string>;
  readonly #prefixes: readonly string[];

  /** `patterns`: each one that `isChannelsPattern` takes. */
  constructor(patterns: readonly string[]) {
    this.patterns = patterns;
    this.#names = new Set(patterns.filter((pattern) => !pattern.endsWith('*')));
    this.#prefixes = patterns
      .filter((pattern) => pattern.endsWith('*'))
      .map((pattern) => pattern.slice(0, -1));
  }

  get isEmpty(): boolean {
    return this.patterns.length === 0;
  }

  /** Whether it is every channel there can be. */
  get isAll(): boolean {
    return this.#prefixes.includes('');
  }

  has(channel: string): boolean {
    return this.#names.has(channel) || this.#prefixes.some((prefix) => channel.startsWith(prefix));
  }
}

/** Of one permission: each is compared with the channel of each message. */
export const MAX_PATTERNS = 100;

/** Whether these can be the channels of a permission. */
export function isPatterns(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_PATTERNS &&
    value.every((pattern) => typeof pattern === 'string' && isChannelsPattern(pattern))
  );
}

export type Permission = 'publish' | 'subscribe' | 'admin';

export interface Grant {
  /** Who it is, for limits and for people; null: nobody knows. */
  readonly subject: string | null;
  readonly publish: ChannelSet;
  readonly subscribe: ChannelSet;
  readonly admin: ChannelSet;
  /** Until when, in ms by the wall clock; null: for good. */
  readonly expiresMs: number | null;
  /** What identifies the API key it came with, as it was then; null: it came with none. */
  readonly apiKey: string | null;
}

export const ALL_CHANNELS: ChannelSet = new ChannelSet(['*']);
export const NO_CHANNELS: ChannelSet = new ChannelSet([]);

/** Of everybody, where no token is asked for. */
export const EVERYTHING: Grant = {
  subject: null,
  publish: ALL_CHANNELS,
  subscribe: ALL_CHANNELS,
  admin: ALL_CHANNELS,
  expiresMs: null,
  apiKey: null,
};

/** Of those who show no token where only publishing needs one. */
export const LISTENING: Grant = { ...EVERYTHING, publish: NO_CHANNELS, admin: NO_CHANNELS };

/** Why `channel` may not be had, for whom it concerns; null: it may. */
export function denial(grant: Grant, permission: Permission, channel: string): string | null {
  if (grant[permission].has(channel)) return null;
  return `the token does not let you ${WORDS[permission]} ${channel}`;
}

const WORDS: Readonly<Record<Permission, string>> = {
  publish: 'publish to',
  subscribe: 'subscribe to',
  admin: 'administer',
};

/**
 * Who is at the other end of a connection, and what it may do as of now: a client that stays shows a new token
 * before the old one expires.
 */
export interface Caller {
  readonly grant: Grant;
  /**
   * Takes a new token in place of the last one, of the same subject. Resolves with what it grants; rejects with
   * RivercastError `unauthenticated`, `token_expired`, `forbidden` or `auth_unavailable`.
   */
  renew(token: string): Promise<Grant>;
}

/** Who comes where nobody has to be known. */
export const ANYBODY: Caller = {
  grant: EVERYTHING,
  renew: async () => {
    throw new RivercastError('bad_request', 'no tokens are asked for here');
  },
};
