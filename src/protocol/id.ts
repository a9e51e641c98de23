/**
 * Entry ids: `<ms>-<seq>`, two unsigned 64-bit decimal numbers, as a Redis Stream gives them.
 *
 * An id is kept as its canonical string (no leading zeros, both parts present). Two canonical decimal
 * numbers compare exactly by length and then by characters, so no bigint and no rounding is involved,
 * and equality is string equality.
 */

export type EntryId = string;

/** The id before every entry; the tip of a channel that never held one. */
export const ID_ZERO: EntryId = '0-0';

const U64_MAX = '18446744073709551615';
/** The greatest id there is. */
export const LAST_ID: EntryId = `${U64_MAX}-${U64_MAX}`;
const ID_PATTERN = /^(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})$/;

/** The canonical id in `text`, or null when it is not one (also when a part exceeds 64 bits). */
export function parseId(text: string): EntryId | null {
  const match = ID_PATTERN.exec(text);
  if (match === null) return null;
  const [, ms, seq] = match as unknown as [string, string, string];
  return compareDecimal(ms, U64_MAX) <= 0 && compareDecimal(seq, U64_MAX) <= 0 ? text : null;
}

/** Negative when `a` is before `b`, 0 when equal, positive when after. */
export function compareIds(a: EntryId, b: EntryId): number {
  if (a === b) return 0;
  const dashA = a.indexOf('-');
  const dashB = b.indexOf('-');
  const byMs = compareDecimal(a.slice(0, dashA), b.slice(0, dashB));
  return byMs !== 0 ? byMs : compareDecimal(a.slice(dashA + 1), b.slice(dashB + 1));
}

/** The least of them, of which there is one at least. */
export function lowestId(ids: readonly EntryId[]): EntryId {
  return ids.reduce((low, id) => (compareIds(id, low) < 0 ? id : low));
}

/** The milliseconds part as a number; exact below 2^53, which a clock reaches in the year 287396. */
export function idMs(id: EntryId): number {
  return Number(id.slice(0, id.indexOf('-')));
}

/** The sequence part as a number; exact below 2^53. */
export function idSeq(id: EntryId): number {
  return Number(id.slice(id.indexOf('-') + 1));
}

/** An id as two numbers; exact below 2^53, beyond which only ids of somebody else's making lie. */
export interface IdParts {
  readonly ms: number;
  readonly seq: number;
}

export function idParts(id: EntryId): IdParts {
  return { ms: idMs(id), seq: idSeq(id) };
}

/** The greatest id below `id` (`0-0` stays `0-0`). */
export function idBefore(id: EntryId): EntryId {
  const dash = id.indexOf('-');
  const ms = id.slice(0, dash);
  const seq = id.slice(dash + 1);
  if (seq !== '0') return `${ms}-${(BigInt(seq) - 1n).toString()}`;
  return ms === '0' ? ID_ZERO : `${(BigInt(ms) - 1n).toString()}-${U64_MAX}`;
}

/** The least id above `id`; the greatest of all stays. */
export function idAfter(id: EntryId): EntryId {
  const dash = id.indexOf('-');
  const ms = id.slice(0, dash);
  const seq = id.slice(dash + 1);
  if (seq !== U64_MAX) return `${ms}-${(BigInt(seq) + 1n).toString()}`;
  return ms === U64_MAX ? id : `${(BigInt(ms) + 1n).toString()}-0`;
}

/**
 * The ids of the next `count` entries after `last`, by the rule of Redis' `streamNextID`: the clock's
 * milliseconds when they are ahead, else the last id's, counting on; so ids rise whatever the clock does.
 */
export function idsAfter(last: EntryId, nowMs: number, count: number): EntryId[] {
  const lastMs = idMs(last);
  const ms = Math.max(nowMs, lastMs);
  const seq = nowMs > lastMs ? 0 : idSeq(last) + 1;
  const ids: EntryId[] = [];
  for (let i = 0; i < count; i++) ids.push(`${ms}-${seq + i}`);
  return ids;
}

function compareDecimal(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}
