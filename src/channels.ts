/** The grammar of channel names, and how long a channel keeps its entries. */

const CHANNEL_PATTERN = /^[A-Za-z0-9_.:-]{1,128}$/;

/** The grammar in words, for who got it wrong. */
export const CHANNEL_RULE = '1 to 128 characters of A-Z a-z 0-9 _ . : -';

export function isChannelName(name: string): boolean {
  return CHANNEL_PATTERN.test(name);
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
