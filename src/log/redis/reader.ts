/**
 * Reads of a channel, each as of one moment: entries between two looks that are equal. A look that
 * contradicts what this process saw begins a new epoch first (compare-and-set), so that the page that is
 * returned tells of the loss.
 *
 * COUNT is chosen by the entries' sizes, because Redis has no way to bound a reply by bytes.
 */
import type { Clock } from '../../clock.ts';
import { RivercastError } from '../../errors.ts';
import type { Cursor } from '../../protocol/cursor.ts';
import { type EntryId, ID_ZERO, LAST_ID } from '../../protocol/id.ts';
import { newEpoch } from '../epoch.ts';
import { judgePage } from '../judge.ts';
import type { Entry, Page, PageLimits } from '../log.ts';
import { redisBackoff } from './connection/backoff.ts';
import type { Keeper } from './connection/keeper.ts';
import { type Link, RedisFault } from './connection/link.ts';
import { ReplyReader } from './connection/reply.ts';
import { decodeEntries } from './entries.ts';
import { findFork, type Seen } from './fork.ts';
import { type ChannelKeys, channelKeys } from './keys.ts';
import { decodeLook, isNeighbour, type RedisLook, withOrdinals } from './look.ts';
import { loadScript, runAround, runScript, type ScriptCall } from './script.ts';
import { contradicts, isNewTo, type Witness, type Witnesses } from './witness.ts';

/** A reply is meant to stay below this, and below eight times it if every entry is the largest known. */
const REPLY_BYTES = 8 * 1024 * 1024;
const WORST_REPLY_BYTES = 8 * REPLY_BYTES;
const MAX_COUNT = 10_000;
const MIN_COUNT = 16;
/** Field names, numbers and nesting around a payload. */
const ENTRY_OVERHEAD_BYTES = 64;
/** A new epoch is begun at most this often within one look: each time by evidence that is new. */
const MAX_ROTATIONS = 3;
/** A pipeline of ours is run in one go unless it arrives in pieces, so a second try is rare already. */
const MAX_SIGHTS = 5;

const LATE = 'Redis did not answer in time';
const LOOK = loadScript('look');
const ROTATE = loadScript('rotate');

export interface ReaderOptions {
  readonly stream: string;
  readonly clock: Clock;
  readonly keeper: Keeper;
  readonly witnesses: Witnesses;
  readonly readMs: number;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** One look, and the entries found in it. */
interface Sight {
  readonly look: RedisLook;
  readonly entries: readonly Entry[];
  readonly cursorEntry: Entry | undefined;
}

export class Reader {
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  keysOf(channel: string): ChannelKeys {
    return channelKeys(this.#options.stream, channel);
  }

  read(channel: string, after: Cursor, limits: PageLimits): Promise<Page> {
    return this.#page(channel, after, limits, () => false);
  }

  /** For the live tail: tells also of a loss that somebody else's look has met. */
  follow(channel: string, after: Cursor, limits: PageLimits): Promise<Page> {
    return this.#page(channel, after, limits, (witness) => witness.owes(after));
  }

  /** What the channel holds, without entries. */
  async look(channel: string): Promise<RedisLook> {
    return (await this.#find(channel, ID_ZERO, 0)).look;
  }

  async #page(
    channel: string,
    after: Cursor,
    limits: PageLimits,
    owes: (witness: Witness) => boolean,
  ): Promise<Page> {
    const witness = this.#options.witnesses.of(channel);
    if (witness.meanBytes === null) await this.look(channel);
    const { look, entries, lost } = await this.#find(channel, after.id, countFor([witness], limits));
    const found = cut(withOrdinals(entries, look), limits);
    const kept = look.cursorKept || isNeighbour(after.id, found[0]);
    // Who asks from the very beginning claims to have seen nothing.
    const isTold = owes(witness) || (lost && after.id !== ID_ZERO);
    if (!isTold) return judgePage(after, { ...look, cursorKept: kept }, found);
    return told(judgePage({ ...after, epoch: LOST_EPOCH }, look, found), after);
  }

  /** Calls Redis within the deadline of a read; a lost connection is tried again while time is left. */
  async ask<T>(
    work: (link: Link, deadlineMs: number) => Promise<T>,
    deadlineMs: number = this.#options.readMs,
  ): Promise<T> {
    const { clock, keeper, random, signal } = this.#options;
    const endMs = clock.monotonic() + deadlineMs;
    const backoff = redisBackoff(random);
    let reason: RedisFault | null = null;
    for (;;) {
      let link: Link | null = null;
      try {
        link = await within(keeper.get(), endMs - clock.monotonic());
        return await work(link, Math.max(1, endMs - clock.monotonic()));
      } catch (error) {
        if (!(error instanceof RedisFault)) throw error;
        if (error.kind !== 'connection' || signal.aborted) throw unavailable(error);
        // The keeper paces its own tries; a connection that opens and then fails is paced here.
        if (link !== null) await backoff.wait(signal);
        // Why it failed before says more than that the time is over.
        if (error.message !== LATE || reason === null) reason = error;
        if (clock.monotonic() >= endMs) throw unavailable(reason);
      }
    }
  }

  async #find(channel: string, after: EntryId, count: number): Promise<Sight & { lost: boolean }> {
    const witness = this.#options.witnesses.of(channel);
    let lost = false;
    for (let rotations = 0; ; rotations++) {
      const known = witness.known;
      const { look, entries, cursorEntry } = await this.#lookOnce(channel, after, count);
      witness.meanBytes = look.meanBytes;
      witness.maxBytes = look.maxBytes;
      const forked =
        look.epoch === witness.epoch &&
        witness.isForked(after, { entry: cursorEntry, next: withOrdinals(entries, look)[0] });
      if (!forked && !contradicts(look, known)) {
        witness.see(look.epoch, look.tip, look.tipOrdinal);
        return { look, entries, cursorEntry, lost };
      }
      if (rotations >= MAX_ROTATIONS)
        throw new RivercastError('log_unavailable', 'the history keeps changing');
      // The cursor may bear no epoch by which the page could tell.
      lost ||= forked;
      if (isNewTo(look, known)) {
        lost = true;
        witness.accept(look);
      } else {
        // The entry itself is another one: its id was given twice.
        const isReused = forked && cursorEntry !== undefined;
        await this.#rotate(channel, look, { ...known, fingerprints: witness.fingerprints, isReused });
      }
    }
  }

  async #lookOnce(channel: string, after: EntryId, count: number): Promise<Sight> {
    const { stream, meta } = this.keysOf(channel);
    const look: ScriptCall = { script: LOOK, keys: [stream, meta], args: [after] };
    if (count === 0) {
      const reply = await this.ask((link, ms) => runScript(link, look, ms));
      return { look: decodeLook(reply), entries: [], cursorEntry: undefined };
    }
    const reads = [['xrange', stream, after, after]];
    if (!this.#options.witnesses.of(channel).remembers(after)) reads.pop();
    if (after !== LAST_ID) reads.push(['xrange', stream, `(${after}`, '+', 'COUNT', `${count}`]);
    for (let tries = 0; tries < MAX_SIGHTS; tries++) {
      const replies = await this.ask((link, ms) => runAround(link, look, reads, ms));
      const [first, last] = [replies.shift(), replies.pop()];
      if (first === undefined || last === undefined || !first.equals(last)) continue;
      const cursorEntry = reads[0]?.[2] === after ? decodeEntries(replies.shift())[0] : undefined;
      return {
        look: decodeLook(new ReplyReader(first).value()),
        entries: decodeEntries(replies[0]),
        cursorEntry,
      };
    }
    throw new RivercastError('log_unavailable', 'the channel changes too fast to be looked at');
  }

  /** Begins an epoch where the history parted from the one that was known. */
  async #rotate(channel: string, look: RedisLook, seen: Seen): Promise<void> {
    const { stream, meta } = this.keysOf(channel);
    const { from, prior } = await findFork(
      async (command, args) =>
        decodeEntries(await this.ask((link, ms) => link.callRaw(command, [stream, ...args], ms))),
      look,
      seen,
    );
    const args = [look.epoch ?? '', newEpoch(), from, prior.join(' ')];
    const call = { script: ROTATE, keys: [stream, meta], args };
    await this.ask((link, ms) => runScript(link, call, ms));
  }
}

/** No channel has this epoch: a cursor that bears it is always answered with a reset. */
const LOST_EPOCH = 'lost';

/** The gap names what was asked for, not the made-up epoch that brought it about. */
function told(page: Page, after: Cursor): Page {
  const gaps = page.gaps.map(({ before, gap }, i) => ({
    before,
    gap: i === 0 ? { ...gap, requested: after } : gap,
  }));
  return { ...page, gaps };
}

/** COUNT for one reply over all these channels. */
export function countFor(witnesses: readonly Witness[], limits: PageLimits): number {
  let mean = ENTRY_OVERHEAD_BYTES;
  let max = ENTRY_OVERHEAD_BYTES;
  for (const witness of witnesses) {
    mean = Math.max(mean, (witness.meanBytes ?? 0) + ENTRY_OVERHEAD_BYTES);
    max = Math.max(max, witness.maxBytes + ENTRY_OVERHEAD_BYTES);
  }
  // A little more than the page holds, so that entries smaller than the mean still fill it.
  const wanted = Math.min(REPLY_BYTES / witnesses.length, limits.maxBytes * 1.5);
  const count = Math.min(
    Math.max(MIN_COUNT, wanted / mean),
    WORST_REPLY_BYTES / witnesses.length / max,
    limits.maxEntries,
    MAX_COUNT,
  );
  return Math.max(1, Math.floor(count));
}

export function cut(entries: readonly Entry[], limits: PageLimits): readonly Entry[] {
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) {
    bytes += (entries[i] as Entry).data.length;
    if (i > 0 && (i >= limits.maxEntries || bytes > limits.maxBytes)) return entries.slice(0, i);
  }
  return entries;
}

function unavailable(error: Error): RivercastError {
  return new RivercastError('log_unavailable', error.message, { cause: error });
}

/** Rejects when `promise` takes longer; it goes on in the background for whoever else waits for it. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const fault = new RedisFault('connection', LATE);
    timer = setTimeout(() => reject(fault), Math.max(1, ms));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
