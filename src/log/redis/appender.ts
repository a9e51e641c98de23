/**
 * Appends: one script call per batch on a connection of their own, sent again until Redis says it is stored.
 *
 * A call whose reply was lost may have been stored or not; it is sent again, on a new connection, with the
 * same batch number, by which the script knows it. Numbers rise, so that what a dead connection delivers
 * late is refused. Several channels share the connection; when it breaks, each sends its own batch again.
 */
import type { Retention } from '../../channels.ts';
import { RivercastError } from '../../errors.ts';
import { type EntryId, idSeq } from '../../protocol/id.ts';
import type { AppendResult, EntryType, NewEntry } from '../log.ts';
import { Backoff } from './backoff.ts';
import type { Keeper } from './keeper.ts';
import { channelKeys } from './keys.ts';
import { type Link, RedisFault } from './link.ts';
import { loadScript, runScript } from './script.ts';
import type { Trouble } from './trouble.ts';
import type { Argument } from './wire.ts';
import type { Witnesses } from './witness.ts';

const APPEND = loadScript('append');
const LETTERS: Readonly<Record<EntryType, string>> = { text: 't', json: 'j', binary: 'b' };
/** The server is not (or no longer) one that takes our writes: ask again which one does, on a new connection. */
const MOVED_ON = new Set(['READONLY', 'MASTERDOWN', 'LOADING', 'NOAUTH', 'NOPERM', 'WRONGPASS', 'UNBLOCKED']);
/** A key of another type, or one to which somebody gave the last id there is. */
const ONE_KEY = /^WRONGTYPE|exhausted the last possible ID/;

export interface AppenderOptions {
  readonly stream: string;
  readonly writerId: string;
  readonly keeper: Keeper;
  readonly witnesses: Witnesses;
  readonly trouble: Trouble;
  readonly retention: (channel: string) => Retention;
  readonly random: () => number;
  readonly appendMs: number;
  readonly signal: AbortSignal;
}

export class Appender {
  readonly #options: AppenderOptions;
  readonly #inFlight = new Set<Promise<unknown>>();
  #number = 0;

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
    const backoff = new Backoff(random);
    for (;;) {
      let link: Link | null = null;
      try {
        if (signal.aborted) throw new RivercastError('log_unavailable', 'the log is closed');
        link = await keeper.get();
        const results = await this.#send(link, channel, entries, number);
        trouble.clear(`append to ${channel}`);
        trouble.clear('appending');
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
  ): Promise<AppendResult[]> {
    const { stream, writerId, witnesses, appendMs, trouble } = this.#options;
    const { stream: key, meta, batch } = channelKeys(stream, channel);
    const witness = witnesses.of(channel);
    const spare = witness.takeSpareEpoch();
    const args: Argument[] = [`${number}`, spare, witness.epoch ?? '', witness.tip];
    args.push(...this.#bounds(channel), ...describe(entries));
    for (const entry of entries) args.push(entry.data);
    const call = { script: APPEND, keys: [key, meta, `${batch}${writerId}`], args };
    const reply = await runScript(link, call, appendMs);
    const [ids, epoch, ordinal, wrong] = (reply as readonly (Buffer | number)[]).map(String) as Four;
    const stored = parseIds(ids);
    // A repetition names no epoch: the call that was stored may have begun the one it brought.
    if (epoch !== '') {
      if (epoch !== spare) witness.putBackSpareEpoch(spare);
      witness.see(epoch, stored.at(-1) as EntryId, Number(ordinal));
    }
    if (wrong !== '')
      trouble.note('entries were stored, but what goes with them was not', { channel, wrong });
    return stored.map((id) => ({ id, duplicate: false }));
  }

  #bounds(channel: string): string[] {
    const { maxEntries, maxBytes, maxAgeMs } = this.#options.retention(channel);
    return [maxEntries, maxBytes, maxAgeMs].map(boundText);
  }
}

type Four = [ids: string, epoch: string, ordinal: string, wrong: string];

/** Payload bytes in all, the largest payload, and a letter per entry. */
function describe(entries: readonly NewEntry[]): [string, string, string] {
  let bytes = 0;
  let largest = 0;
  let letters = '';
  for (const { data, type } of entries) {
    bytes += data.length;
    largest = Math.max(largest, data.length);
    letters += LETTERS[type];
  }
  return [`${bytes}`, `${largest}`, letters];
}

/** A bound as the scripts take it; '' when there is none. */
export function boundText(bound: number | undefined): string {
  return bound === undefined || !Number.isFinite(bound) ? '' : `${Math.floor(bound)}`;
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
