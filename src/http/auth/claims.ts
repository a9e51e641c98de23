/** What the claims of a checked token grant. Pure; a signature does not make its claims well formed. */
import { PATTERN_RULE } from '../../channels.ts';
import { RivercastError } from '../../errors.ts';
import {
  ChannelSet,
  type Grant,
  isPatterns,
  MAX_PATTERNS,
  NO_CHANNELS,
  type Permission,
} from '../../grant.ts';

/** Subjects are kept, and shown to people. */
const MAX_SUBJECT_LENGTH = 256;

/** Throws RivercastError `unauthenticated`. */
export function grantOf(claims: Readonly<Record<string, unknown>>): Grant {
  const { sub, exp } = claims;
  if (sub !== undefined && (typeof sub !== 'string' || sub.length > MAX_SUBJECT_LENGTH)) {
    throw malformed(`the claim sub must be a string of at most ${MAX_SUBJECT_LENGTH} characters`);
  }
  return {
    subject: sub ?? null,
    publish: channelsOf(claims, 'publish'),
    subscribe: channelsOf(claims, 'subscribe'),
    admin: channelsOf(claims, 'admin'),
    expiresMs: typeof exp === 'number' ? exp * 1000 : null,
    apiKey: null,
  };
}

function channelsOf(claims: Readonly<Record<string, unknown>>, name: Permission): ChannelSet {
  const patterns = Object.hasOwn(claims, name) ? claims[name] : undefined;
  if (patterns === undefined) return NO_CHANNELS;
  if (isPatterns(patterns)) return new ChannelSet(patterns);
  throw malformed(
    `the claim ${name} must be a list of at most ${MAX_PATTERNS}, each one of: ${PATTERN_RULE}`,
  );
}

function malformed(detail: string): RivercastError {
  return new RivercastError('unauthenticated', detail);
}
