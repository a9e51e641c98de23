/** Where a start that claims nothing begins: always a cursor from which a read meets no gap. */
import { RivercastError } from '../../errors.ts';
import type { Cursor } from '../../protocol/cursor.ts';
import { type EntryId, ID_ZERO, idBefore } from '../../protocol/id.ts';
import type { Entry, FreshStart } from '../log.ts';
import { decodeEntries } from './entries.ts';
import type { RedisLook } from './look.ts';
import type { Reader } from './reader.ts';
import { loadScript, runScript } from './script.ts';

/** `last:N` walks backwards in steps: one step holds Redis up for about a millisecond. */
const STEP_ENTRIES = 1000;
const STEP_BYTES = 4 * 1024 * 1024;

/** `until` is there, and perhaps undefined. */
interface CountedStart {
  readonly count: number;
  readonly until?: EntryId | undefined;
}

const LAST = loadScript('last');

export async function locate(reader: Reader, channel: string, start: FreshStart): Promise<Cursor> {
  const look = await reader.look(channel);
  switch (start.at) {
    case 'latest':
      return atTip(look);
    case 'earliest':
      return atFloor(reader, channel, look);
    case 'last':
      return fromEnd(reader, channel, look, start);
    case 'time':
      return fromId(reader, channel, look, `${Math.max(0, Math.ceil(start.ms))}-0`);
  }
}

function atTip(look: RedisLook): Cursor {
  const isUnknown = look.epoch === null && look.tip === ID_ZERO;
  return { id: look.tip, epoch: look.epoch, ordinal: isUnknown ? null : look.tipOrdinal };
}

function atFloor(reader: Reader, channel: string, look: RedisLook): Promise<Cursor> {
  return look.floor === null ? Promise.resolve(atTip(look)) : fromId(reader, channel, look, look.floor);
}

/** Just before the first entry at or after `id`, or after it when it is written `(id`. */
async function fromId(reader: Reader, channel: string, look: RedisLook, id: string): Promise<Cursor> {
  const { stream } = reader.keysOf(channel);
  const args = [stream, id, '+', 'COUNT', '1'];
  const [next] = decodeEntries(await reader.ask((link, ms) => link.callRaw('xrange', args, ms)));
  return next === undefined ? atTip(look) : before(next.id, next, look);
}

async function fromEnd(
  reader: Reader,
  channel: string,
  look: RedisLook,
  { count, until }: CountedStart,
): Promise<Cursor> {
  if (count === 0) return until === undefined ? atTip(look) : fromId(reader, channel, look, `(${until}`);
  if (count >= look.length) return atFloor(reader, channel, look);
  return (await walkBack(reader, channel, look, { count, until })) ?? atFloor(reader, channel, look);
}

async function walkBack(
  reader: Reader,
  channel: string,
  look: RedisLook,
  { count, until = '+' }: CountedStart,
): Promise<Cursor | null> {
  const { stream } = reader.keysOf(channel);
  const step = Math.max(1, Math.min(STEP_ENTRIES, Math.floor(STEP_BYTES / (look.meanBytes + 64))));
  let end = until;
  for (let left = count; ; ) {
    const call = { script: LAST, keys: [stream], args: [end, `${Math.min(step, left)}`] };
    const reply = await reader.ask((link, ms) => runScript(link, call, ms));
    if (!Array.isArray(reply)) throw new RivercastError('internal', 'last.lua answered no list');
    const [passed, id, p, n] = reply.map(String) as [string, string?, string?, string?];
    if (id === undefined) return null;
    left -= Number(passed);
    if (left > 0) {
      end = `(${id}`;
      continue;
    }
    return before(id, { prev: p === '' ? null : (p as string), ordinal: n === '' ? null : Number(n) }, look);
  }
}

function before(id: EntryId, { prev, ordinal }: Pick<Entry, 'prev' | 'ordinal'>, look: RedisLook): Cursor {
  const position = prev ?? idBefore(id);
  return { id: position, epoch: look.epoch, ordinal: ordinal === null ? null : ordinal - 1 };
}
