/**
 * Channels: the grammar of their names, patterns that stand for many of them, and how long a channel keeps its
 * entries. A pattern is a name, a prefix with `*` behind it, or `*` alone; of those that fit a channel the most
 * specific one counts: the name itself, else the longest prefix.
 */

/** The channel of whoever names none, unless `STREAM` names another. */
export const DEFAULT_CHANNEL = 'local-q';

export const MAX_CHANNEL_LENGTH = 128;

/**
 * `.` and `..` are none: in the path of a URL they are steps (RFC 3986 5.2.4), also as %2e, so no request could name them.
 * Without a lookahead, since tools read it in the contracts whose engines have none.
 */
export const CHANNEL_PATTERN: RegExp = /^(?:\.{0,2}[A-Za-z0-9_:-]|\.{3})[A-Za-z0-9_.:-]*$/;

/** The grammar in words, for who got it wrong. */
export const CHANNEL_RULE = '1 to 128 characters of A-Z a-z 0-9 _ . : -, and not . or .. alone';

export function isChannelName(name: string): boolean {
  return name.length <= MAX_CHANNEL_LENGTH && CHANNEL_PATTERN.test(name);
}

const PREFIX_PATTERN = /^[A-Za-z0-9_.:-]{0,128}\*$/;

export const PATTERN_RULE = 'the name of a channel, the beginning of names followed by *, or * alone';

export function isChannelsPattern(text: string): boolean {
  return text.endsWith('*') ? PREFIX_PATTERN.test(text) : isChannelName(text);
}

/** Matches are remembered for so many channels, then found anew. */
const MAX_REMEMBERED = 10_000;

/** Finds what the most specific of the patterns that fit a channel stands for; `otherwise` when none fits. */
export function matcher<Value>(
  patterns: ReadonlyMap<string, Value>,
  otherwise: Value,
): (channel: string) => Value {
  const prefixes = [...patterns.keys()].filter((pattern) => pattern.endsWith('*'));
  const lengths = [...new Set(prefixes.map((prefix) => prefix.length - 1))].toSorted((a, b) => b - a);
  const remembered = new Map<string, Value>();

  function find(channel: string): Value {
    if (patterns.has(channel)) return patterns.get(channel) as Value;
    for (const length of lengths) {
      const pattern = `${channel.slice(0, length)}*`;
      if (length <= channel.length && patterns.has(pattern)) return patterns.get(pattern) as Value;
    }
    return otherwise;
  }

  return (channel) => {
    const known = remembered.get(channel);
    if (known !== undefined) return known;
    const found = find(channel);
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(channel, found);
    return found;
  };
}

/** Whichever bound is reached first removes the oldest entries. */
export interface Retention {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

export const DEFAULT_RETENTION: Retention = {
  maxEntries: 1_000_000,
  maxBytes: 1024 ** 3,
  maxAgeMs: 7 * 24 * 3_600_000,
};

/** The retention of the channels that a pattern stands for; a bound that it does not name is the general one. */
export interface RetentionRule extends Partial<Retention> {
  readonly channels: string;
}

/** How long each channel keeps its entries. */
export function retentionBy(
  general: Retention,
  rules: readonly RetentionRule[],
): (channel: string) => Retention {
  const patterns = rules.map(({ channels, ...bounds }) => [channels, { ...general, ...bounds }] as const);
  return matcher(new Map(patterns), general);
}

/** A channel that got no entry for so long is forgotten, all that is kept of it at once. */
export const CHANNEL_TTL_MS: number = 30 * 24 * 3_600_000;

/** The same for a channel of this retention: none is forgotten before its entries are too old. */
export function forgetAfterMs({ maxAgeMs }: Retention, ttlMs: number = CHANNEL_TTL_MS): number {
  return Math.max(ttlMs, maxAgeMs);
}

/** Whether a channel that got its last entry at `lastMs` is to be forgotten. */
export function isForgotten(lastMs: number, retention: Retention, nowMs: number, ttlMs?: number): boolean {
  return lastMs + forgetAfterMs(retention, ttlMs) < nowMs;
}

/** In the order of their bytes, which for the grammar of names is that of their characters. */
export function compareChannels(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
