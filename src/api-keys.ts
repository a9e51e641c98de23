/**
 * Keys for programs that have no token: `rck_` and 43 characters, 256 bits by chance. What is kept of them is their
 * hash, so that who reads the file can publish nothing; a key has more bits than can be tried, so the hash needs not
 * be slow.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { PATTERN_RULE } from './channels.ts';
import { ChannelSet, type Grant, isPatterns, type Permission } from './grant.ts';

const KEY_PREFIX = 'rck_';
const KEY_BYTES = 32;
const HASH = /^sha256:([0-9a-f]{64})$/;
const NAME = /^[A-Za-z0-9_.:@-]{1,64}$/;
/** Each is compared with each that is shown. */
const MAX_KEYS = 1000;
const PERMISSIONS: readonly Permission[] = ['publish', 'subscribe', 'admin'];
const MEMBERS: ReadonlySet<string> = new Set(['name', 'hash', 'expires', ...PERMISSIONS]);

export interface ApiKey {
  readonly hash: Buffer;
  readonly grant: Grant;
}

/** Whether this is meant to be an API key and no token. */
export function isApiKey(text: string): boolean {
  return text.startsWith(KEY_PREFIX);
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** What a key grants; null: it is none. Takes as long for one that is nearly right as for any other. */
export function find(keys: readonly ApiKey[], shown: string): Grant | null {
  const hash = hashOf(shown);
  let found: Grant | null = null;
  for (const key of keys) if (timingSafeEqual(key.hash, hash)) found = key.grant;
  return found;
}

/** What a file holds of a key. */
export interface KeyItem {
  readonly name: string;
  readonly hash: string;
  readonly publish?: readonly string[];
  readonly subscribe?: readonly string[];
  readonly admin?: readonly string[];
  /** An ISO time. */
  readonly expires?: string;
}

/** A new key, and what a file is to hold of it. */
export function makeApiKey(item: Omit<KeyItem, 'hash'>): { readonly key: string; readonly item: KeyItem } {
  const key = `${KEY_PREFIX}${randomBytes(KEY_BYTES).toString('base64url')}`;
  const { name, ...rest } = item;
  return { key, item: { name, hash: `sha256:${hashOf(key).toString('hex')}`, ...rest } };
}

/** The keys of the text of a file. Throws an Error that says what is wrong with it. */
export function parseApiKeys(text: string): ApiKey[] {
  const list: unknown = JSON.parse(text);
  if (!Array.isArray(list) || list.length > MAX_KEYS) {
    throw new Error(`it must hold a list of at most ${MAX_KEYS} keys`);
  }
  const keys = list.map((item: unknown, at) => {
    try {
      return keyOf(item);
    } catch (error) {
      throw new Error(`its key number ${at + 1}: ${(error as Error).message}`, { cause: error });
    }
  });
  const names = new Set(keys.map(({ grant }) => grant.subject));
  if (names.size < keys.length) throw new Error('it names two keys the same');
  return keys;
}

function keyOf(item: unknown): ApiKey {
  if (typeof item !== 'object' || item === null) throw new Error('must be an object');
  const members = item as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(members).find((member) => !MEMBERS.has(member));
  if (unknown !== undefined) throw new Error(`${JSON.stringify(unknown)} is not a member of a key`);
  const { name, hash, expires } = members;
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new Error('name must be 1 to 64 characters of A-Z a-z 0-9 _ . : @ -');
  }
  const digest = typeof hash === 'string' ? HASH.exec(hash)?.[1] : undefined;
  if (digest === undefined) throw new Error('hash must be sha256: and 64 hexadecimal digits');
  return {
    hash: Buffer.from(digest, 'hex'),
    grant: {
      subject: name,
      publish: channelsOf(members, 'publish'),
      subscribe: channelsOf(members, 'subscribe'),
      admin: channelsOf(members, 'admin'),
      expiresMs: expiresOf(expires),
      apiKey: createHash('sha256').update(JSON.stringify(item)).digest('hex'),
    },
  };
}

function channelsOf(members: Readonly<Record<string, unknown>>, permission: Permission): ChannelSet {
  const patterns = members[permission] ?? [];
  if (isPatterns(patterns)) return new ChannelSet(patterns);
  throw new Error(`${permission} must be a list, each one of: ${PATTERN_RULE}`);
}

function expiresOf(expires: unknown): number | null {
  if (expires === undefined || expires === null) return null;
  const ms = typeof expires === 'string' ? Date.parse(expires) : Number.NaN;
  if (Number.isNaN(ms)) throw new Error('expires must be a time such as 2027-01-01T00:00:00Z');
  return ms;
}
