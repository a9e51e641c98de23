/**
 * Appends: one script call per batch on a connection of their own, sent again until Redis says it is stored.
 *
 * A call whose reply was lost may have been stored or not; it is sent again, on a new connection, with the
 * same batch number, by which the script knows it. Numbers rise, so that what a dead connection delivers
 * late is refused. Several channels share the connection; when it breaks, each sends its own batch again.
 */
import { forgetAfterMs, type Retention } from '../../channels.ts';
import type { Clock } from '../../clock.ts';
import { RivercastError } from '../../errors.ts';
import { type EntryId, idSeq } from '../../protocol/id.ts';
import type { AppendResult, EntryType, NewEntry } from '../log.ts';
import { redisBackoff } from './connection/backoff.ts';
import type { Keeper } from './connection/keeper.ts';
import { type Link, RedisFault } from './connection/link.ts';
import type { Reply } from './connection/reply.ts';
import type { Argument } from './connection/wire.ts';
import type { Durable } from './durable.ts';
import type { KeyMemory } from './key-memory.ts';
import { channelKeys } from './keys.ts';
import { boundText, loadScript } from './script.ts';
import type { Trouble } from './trouble.ts';
import type { Witnesses } from './witness.ts';

const APPEND = loadScript('append');
const LETTERS: Readonly<Record<EntryType, string>> = { text: 't', json: 'j', binary: 'b' };
/** The server is not (or no longer) one that takes our writes: ask again which one does, on a new connection. */
const MOVED_ON = new Set(['READONLY', 'MASTERDOWN', 'LOADING', 'NOAUTH', 'NOPERM', 'WRONGPASS', 'UNBLOCKED']);
/** A key of another type, or one to which somebody gave the last id there is. */
const ONE_KEY = /^WRONGTYPE|exhausted the last possible ID/;

export interface AppenderOptions {
  readonly stream: string;
  readonly clock: Clock;
  readonly writerId: string;
  readonly keeper: Keeper;
  readonly witnesses: Witnesses;
  readonly trouble: Trouble;
  readonly retention: (channel: string) => Retention;
  /** How long a channel without new entries is kept. */
  readonly channelTtlMs: number;
  readonly random: () => number;
  readonly durable: Durable;
  readonly keyMemory: KeyMemory;
  readonly signal: AbortSignal;
}

export class Appender {
  readonly #options: AppenderOptions;
  readonly #inFlight = new Set<Promise<unknown>>();
  #number = 0;
  /** Calls that Redis has not answered, and since when it has answered none. */
  #unanswered = 0;
  #quietSinceMs = 0;

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  append(channel: string, entries: readonly NewEntry[]): Promise<AppendResult[]> {
    if (entries.length === 0) return Promise.resolve([]);
    this.#number += 1;
    const work = {};
    const stored = this.#untilStored(channel, entries, this.#number, work);
    this.#inFlight.add(stored);
    const leave = (): void => {
      this.#inFlight.delete(stored);
      this.#options.trouble.end(work);
    };
    stored.then(leave, leave);
    return stored;
  }

  /** For how long calls have waited and none was answered; 0 when none waits. */
  get unansweredMs(): number {
    return this.#unanswered === 0 ? 0 : this.#options.clock.monotonic() - this.#quietSinceMs;
  }

  /** Resolves when nothing is in flight any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#inFlight]);
  }

  async #untilStored(
    channel: string,
    entries: readonly NewEntry[],
    number: number,
    work: object,
  ): Promise<AppendResult[]> {
    const { keeper, trouble, random, signal } = this.#options;
    const backoff = redisBackoff(random);
    for (;;) {
      let link: Link | null = null;
      try {
        if (signal.aborted) throw new RivercastError('log_unavailable', 'the log is closed');
        link = await keeper.get();
        const { results, late } = await this.#answered(this.#send(link, channel, entries, number));
        trouble.clear(`append to ${channel}`);
        trouble.clear('appending');
        if (late !== null) throw late;
        return results;
      } catch (error) {
        if (!(error instanceof RedisFault) || signal.aborted) throw asUnavailable(error);
        if (error.word === 'STALE') throw new RivercastError('log_unavailable', error.message);
        this.#complain(channel, error, work);
        if (MOVED_ON.has(error.word)) link?.destroy(error.message);
        // The keeper paces its own tries; what Redis itself answered is paced here.
        if (link !== null) await backoff.wait(signal);
      }
    }
  }

  async #answered<Answer>(call: Promise<Answer>): Promise<Answer> {
    const { clock } = this.#options;
    if (this.#unanswered === 0) this.#quietSinceMs = clock.monotonic();
    this.#unanswered += 1;
    try {
      return await call;
    } finally {
      this.#unanswered -= 1;
      this.#quietSinceMs = clock.monotonic();
    }
  }

  /**
   * What concerns every channel is told once, not once for each that waits. A key that nothing can be added to
   * concerns its channel alone, and a server is fit to serve the others; but not without its default channel.
   */
  #complain(channel: string, fault: RedisFault, work: object): void {
    const { stream, trouble } = this.#options;
    trouble.end(work);
    if (!ONE_KEY.test(fault.message)) trouble.set('appending', fault.message, work);
    else if (channel === stream) trouble.set(`append to ${channel}`, fault.message, work);
    else trouble.lame(`append to ${channel}`, fault.message);
  }

  async #send(
    link: Link,
    channel: string,
    entries: readonly NewEntry[],
    number: number,
  ): Promise<{ results: AppendResult[]; late: RivercastError | null }> {
    const { stream, writerId, witnesses, durable, keyMemory, trouble, retention, channelTtlMs } =
      this.#options;
    const { stream: key, meta, batch, generation } = channelKeys(stream, channel);
    const witness = witnesses.of(channel);
    const spare = witness.takeSpareEpoch();
    const args: Argument[] = [`${number}`, spare, witness.epoch ?? '', witness.tip];
    const kept = retention(channel);
    args.push(boundText(kept.maxEntries), boundText(kept.maxBytes), boundText(kept.maxAgeMs));
    args.push(...describe(entries), ...keyMemory.bounds, boundText(forgetAfterMs(kept, channelTtlMs)));
    for (const entry of entries) args.push(entry.data);
    const before = args.length;
    for (const { key: own } of entries) if (own !== undefined) args.push(own);
    const call = { script: APPEND, keys: [key, meta, `${batch}${writerId}`, generation], args };
    const { reply, late } = await durable.run(link, call);
    const [list, epoch, ordinal, wrong, forgotten] = (reply as readonly Reply[]).map(String) as Five;
    const { ids, duplicates } = parseList(list);
    // A repetition names no epoch: the call that was stored may have begun the one it brought.
    if (epoch !== '') {
      if (epoch !== spare) witness.putBackSpareEpoch(spare);
      witness.see(epoch, ids.at(-1) as EntryId, Number(ordinal));
    }
    if (args.length > before) keyMemory.written(channel, Number(forgotten));
    // The entries are stored; what goes with them is not.
    if (wrong !== '') trouble.lame(`what goes with entries of ${channel}`, wrong);
    else trouble.clear(`what goes with entries of ${channel}`);
    return { results: mix(ids, duplicates), late };
  }
}

type Five = [list: string, epoch: string, ordinal: string, wrong: string, forgotten: string];

/** Payload bytes in all, the largest payload, and a letter per entry: a capital for one with a key. */
function describe(entries: readonly NewEntry[]): [string, string, string] {
  let bytes = 0;
  let largest = 0;
  let letters = '';
  for (const { data, type, key } of entries) {
    bytes += data.length;
    largest = Math.max(largest, data.length);
    letters += key === undefined ? LETTERS[type] : LETTERS[type].toUpperCase();
  }
  return [`${bytes}`, `${largest}`, letters];
}

interface Listed {
  /** Of what was stored, in order. */
  readonly ids: EntryId[];
  /** By position in the batch, from 0: the id of the first. */
  readonly duplicates: ReadonlyMap<number, EntryId>;
}

function parseList(text: string): Listed {
  const [ids, named = ''] = text.split('|') as [string, string?];
  const duplicates = new Map<number, EntryId>();
  for (const pair of named === '' ? [] : named.split(' ')) {
    const [position, id] = pair.split(':') as [string, EntryId];
    duplicates.set(Number(position) - 1, id);
  }
  return { ids: ids === '' ? [] : parseIds(ids), duplicates };
}

function mix(ids: readonly EntryId[], duplicates: ReadonlyMap<number, EntryId>): AppendResult[] {
  if (duplicates.size === 0) return ids.map((id) => ({ id, duplicate: false }));
  let stored = 0;
  return Array.from({ length: ids.length + duplicates.size }, (_, position) => {
    const first = duplicates.get(position);
    if (first !== undefined) return { id: first, duplicate: true };
    stored += 1;
    return { id: ids[stored - 1] as EntryId, duplicate: false };
  });
}

/** "<first>+<count>" counts on in the sequence; else the ids are all there. */
function parseIds(text: string): EntryId[] {
  const plus = text.indexOf('+');
  if (plus < 0) return text.split(' ');
  const first = text.slice(0, plus);
  const count = Number(text.slice(plus + 1));
  const ms = first.slice(0, first.indexOf('-') + 1);
  const seq = idSeq(first);
  return Array.from({ length: count }, (_, i) => `${ms}${seq + i}`);
}

function asUnavailable(error: unknown): unknown {
  return error instanceof RedisFault ? new RivercastError('log_unavailable', 'the log is closed') : error;
}
