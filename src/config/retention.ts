/**
 * How the retention of channels is written: as text, `scores:*=entries:1000,age:1h; audit=age:30d`, and as a
 * JSON file. What is wrong is told by the piece that is wrong.
 */
import { readFileSync } from 'node:fs';
import { isChannelsPattern, PATTERN_RULE, type RetentionRule } from '../channels.ts';
import { bytes, count, explained, type Row, type Rows, time } from './rows.ts';
import type { Explained } from './shape.ts';
import { DAY, GIB, MAX_TIMER_MS, parseBytes, parseCount, parseTime } from './values.ts';

type Bound = Exclude<keyof RetentionRule, 'channels'>;
type Range = readonly [min: number, max: number];

/** The same for the bounds of all channels. */
const BOUND_RANGES: Readonly<Record<Bound, Range>> = {
  maxEntries: [1, Number.MAX_SAFE_INTEGER],
  maxBytes: [1, 1024 * 1024 * GIB],
  maxAgeMs: [1, 36_500 * DAY],
};

interface Notation {
  readonly bound: Bound;
  readonly parse: (text: string) => number;
  readonly what: string;
}

const ENTRIES: Notation = { bound: 'maxEntries', parse: parseCount, what: 'a whole number from 1' };
const BYTES: Notation = { bound: 'maxBytes', parse: parseBytes, what: 'a size such as 10mib' };
const AGE: Notation = { bound: 'maxAgeMs', parse: parseTime, what: 'a time such as 1h' };
const IN_TEXT = new Map([
  ['entries', ENTRIES],
  ['bytes', BYTES],
  ['age', AGE],
]);
const IN_FILE = new Map([
  ['maxEntries', ENTRIES],
  ['maxBytes', BYTES],
  ['maxAge', AGE],
]);
const MAX_RULES = 1000;

type RulesRow = Row<ReturnType<typeof explained<RetentionRule[]>>>;

const RETENTION: RulesRow = {
  schema: explained(parseRules),
  initial: '',
  allowed: '`<channels>=entries:<n>,bytes:<size>,age:<time>`, separated by `;`, each bound optional',
  description:
    'Other bounds for some channels: `scores:*=entries:1000,age:1h; audit=age:30d`. Channels are named by a name, a prefix with `*`, or `*`; the name itself counts before the longest prefix. A bound that is not named is the general one.',
};

const RETENTION_FILE: RulesRow = {
  schema: explained(readRules),
  initial: '',
  allowed:
    'the path of a JSON file: `[{"channels":"scores:*","maxEntries":1000,"maxBytes":"10mib","maxAge":"1h"}]`',
  description: 'The same in a file, read at the start; beside `RETENTION`, but for other channels.',
};

/** The rows of the table of settings (config.ts) about how long entries are kept. */
export interface RetentionValues {
  RETENTION_MAX_ENTRIES: number;
  RETENTION_MAX_BYTES: number;
  RETENTION_MAX_AGE_MS: number;
  RETENTION: readonly RetentionRule[] | undefined;
  RETENTION_FILE: readonly RetentionRule[] | undefined;
  SWEEP_MS: number;
}

export const RETENTION_ROWS: Rows<RetentionValues> = {
  RETENTION_MAX_ENTRIES: count(
    '1000000',
    BOUND_RANGES.maxEntries,
    'Entries a channel keeps. Whichever of the three bounds is reached first removes the oldest.',
  ),
  RETENTION_MAX_BYTES: bytes('1gib', BOUND_RANGES.maxBytes, 'Bytes of messages a channel keeps.'),
  RETENTION_MAX_AGE_MS: time('7d', BOUND_RANGES.maxAgeMs, 'How long a channel keeps an entry.'),
  RETENTION,
  RETENTION_FILE,
  SWEEP_MS: time(
    '60s',
    [100, MAX_TIMER_MS],
    'How often retention is applied to channels that get no messages; others have it applied as they do.',
  ),
};

type Rules = Explained<RetentionRule[]>;

/** What is written in RETENTION, or what is wrong, with the piece that is. */
function parseRules(text: string): Rules {
  const pieces = text.split(';').map((piece) => piece.trim());
  return all(pieces.filter((piece) => piece !== '').map(parseRule));
}

function parseRule(piece: string): Explained<RetentionRule> {
  const quoted = JSON.stringify(piece);
  const [channels = '', bounds, ...more] = piece.split('=').map((part) => part.trim());
  if (bounds === undefined || more.length > 0) return { wrong: `${quoted} has not the form channels=bounds` };
  const named = bounds.split(',').map((bound) => {
    const [name = '', ...value] = bound.split(':');
    return [name.trim(), value.join(':').trim()] as const;
  });
  return rule(channels, named, IN_TEXT);
}

/** The rules of a file. */
function readRules(path: string): Rules {
  let list: unknown;
  try {
    list = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return { wrong: `the file can not be used: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (!Array.isArray(list)) return { wrong: 'the file holds no list' };
  return all(list.map(fileRule));
}

function fileRule(value: unknown): Explained<RetentionRule> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { wrong: `${JSON.stringify(value)} is no object` };
  }
  const { channels, ...bounds } = value as Record<string, unknown>;
  const named = Object.entries(bounds).map(([name, bound]) => [name, asText(bound)] as const);
  return rule(asText(channels), named, IN_FILE);
}

/** A number is a count, or of the smallest unit. */
function asText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function rule(
  channels: string,
  named: readonly (readonly [name: string, value: string])[],
  notations: ReadonlyMap<string, Notation>,
): Explained<RetentionRule> {
  if (!isChannelsPattern(channels)) {
    return { wrong: `${JSON.stringify(channels)} names no channels: it must be ${PATTERN_RULE}` };
  }
  const bounds: Partial<Record<Bound, number>> = {};
  for (const [name, text] of named) {
    const notation = notations.get(name);
    const piece = `${JSON.stringify(`${name}:${text}`)} of ${channels}`;
    if (notation === undefined) return { wrong: `${piece} is none of ${[...notations.keys()].join(', ')}` };
    const { bound, parse, what } = notation;
    const value = parse(text);
    const [min, max] = BOUND_RANGES[bound];
    const isGood = Number.isSafeInteger(value) && value >= min && value <= max;
    if (!isGood || bounds[bound] !== undefined) return { wrong: `${piece} must be ${what}, and once` };
    bounds[bound] = value;
  }
  if (named.length === 0) return { wrong: `${channels} has no bound` };
  return { ok: { channels, ...bounds } };
}

/** All rules, or the first thing that is wrong with one of them or with two of them. */
function all(rules: readonly Explained<RetentionRule>[]): Rules {
  const good: RetentionRule[] = [];
  for (const one of rules) {
    if ('wrong' in one) return one;
    good.push(one.ok);
  }
  const twice = repeatedIn(good);
  if (twice !== null) return { wrong: `${twice} is named twice` };
  return good.length > MAX_RULES ? { wrong: `there are more than ${MAX_RULES} rules` } : { ok: good };
}

/** The channels that two of the rules name alike; null when there are none. */
export function repeatedIn(rules: readonly RetentionRule[]): string | null {
  const seen = new Set<string>();
  for (const { channels } of rules) {
    if (seen.has(channels)) return channels;
    seen.add(channels);
  }
  return null;
}
