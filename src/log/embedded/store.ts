/**
 * The LMDB environment of the embedded log; the only file that imports `lmdb`. Four tables:
 *
 *   control    format number; the owner, a random number that every transaction compares before it writes;
 *              the number of the next new channel, once a channel was forgotten
 *   channels   channel name -> channel record
 *   entries    entry key -> entry value (record.ts has the bytes)
 *   keys       idempotency key -> id of its entry; generation of keys -> its record
 *
 * Options are chosen for what a resolved promise means. With `overlappingSync` off, LMDB writes the pages,
 * flushes them, and only then writes (and flushes) the meta page that makes them visible; the promise
 * resolves after that, and rejects when any of it failed. With it on, entries would be visible before they
 * are flushed, and a promise would by its documentation speak of visibility only.
 * Writing runs on a thread of its own; reading is synchronous, from the memory map, and never waits for it.
 */
import { randomInt } from 'node:crypto';
import { type Database, open, type RootDatabase } from 'lmdb';
import { RivercastError, StartError } from '../../errors.ts';
import {
  type ChannelRecord,
  decodeChannel,
  decodeGeneration,
  encodeChannel,
  generationKey,
  readKeyMs,
  readKeySeq,
} from '../record.ts';
import { causeOf, Room } from './room.ts';

const FORMAT = '1';
const FORMAT_KEY = Buffer.from('format');
const NEXT_NUMBER_KEY = Buffer.from('next number');
const OWNER_KEY = Buffer.from('owner');
/** Address space, not disk or memory: the file grows with what is stored. Beyond it LMDB maps anew. */
const MAP_BYTES = 2 ** 36;
/** The control table with a few pages above it, twice. */
const OWNING_BYTES = 64 * 1024;
const MAX_OWNER = 2 ** 47;

/** The entry a scan stands at; good until the scan goes on. */
export interface Found {
  ms: number;
  seq: number;
  value: Uint8Array;
}

/** What a transaction may do. None of it may throw: what was written before would be committed. */
export interface Writes {
  putEntry(key: Uint8Array, value: Uint8Array): void;
  removeEntry(key: Uint8Array): void;
  putChannel(name: string, record: ChannelRecord): void;
  putKey(key: Uint8Array, value: Uint8Array): void;
  removeKey(key: Uint8Array): void;
  removeChannel(name: string, nextNumber: number): void;
}

/** A table inside a transaction: the promise of the transaction speaks for all its writes. */
interface TableWrites {
  put(key: Uint8Array, value: Uint8Array): unknown;
  remove(key: Uint8Array): unknown;
}

export class Store implements Writes {
  readonly #dataDir: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #control: Database<Buffer, Buffer>;
  readonly #channels: Database<Buffer, Buffer>;
  readonly #entries: Database<Uint8Array, Uint8Array>;
  readonly #keys: Database<Buffer, Buffer>;
  readonly #channelWrites: TableWrites;
  readonly #entryWrites: TableWrites;
  readonly #keyWrites: TableWrites;
  readonly #controlWrites: TableWrites;
  readonly #found: Found;
  readonly #room: Room;
  readonly #owner: number;

  private constructor(
    dataDir: string,
    root: RootDatabase<Buffer, Buffer>,
    control: Database<Buffer, Buffer>,
  ) {
    this.#dataDir = dataDir;
    this.#room = new Room(dataDir);
    this.#root = root;
    this.#control = control;
    this.#channels = root.openDB({ name: 'channels', encoding: 'binary', keyEncoding: 'binary' });
    this.#found = { ms: 0, seq: 0, value: Buffer.alloc(0) };
    this.#entries = root.openDB(entriesTable(this.#found));
    this.#keys = root.openDB({ name: 'keys', encoding: 'binary', keyEncoding: 'binary' });
    this.#channelWrites = this.#channels;
    this.#entryWrites = this.#entries;
    this.#keyWrites = this.#keys;
    this.#controlWrites = control;
    this.#owner = randomInt(1, MAX_OWNER);
  }

  static async open(dataDir: string): Promise<Store> {
    let root: RootDatabase<Buffer, Buffer>;
    let control: Database<Buffer, Buffer>;
    try {
      root = open({
        path: dataDir,
        noSubdir: false,
        mapSize: MAP_BYTES,
        maxDbs: 8,
        encoding: 'binary',
        keyEncoding: 'binary',
        overlappingSync: false,
        // The log makes the batches itself; waiting for the end of the turn once more would only add latency.
        eventTurnBatching: false,
      });
      control = root.openDB({
        name: 'control',
        encoding: 'binary',
        keyEncoding: 'binary',
        useVersions: true,
      });
    } catch (error) {
      const why = causeOf(error, dataDir);
      throw new StartError(`cannot open the log in ${dataDir}: ${why}`, 1, { cause: error });
    }
    try {
      const format = control.get(FORMAT_KEY)?.toString() ?? FORMAT;
      if (format !== FORMAT) {
        throw new StartError(
          `the log in ${dataDir} has format ${format}; this server knows format ${FORMAT}`,
        );
      }
      const store = new Store(dataDir, root, control);
      await store.#own();
      return store;
    } catch (error) {
      await root.close();
      throw error;
    }
  }

  async #own(): Promise<void> {
    const missing = this.#room.take(OWNING_BYTES);
    if (missing !== null) throw new StartError(`cannot write to the log in ${this.#dataDir}: ${missing}`);
    try {
      await this.#control.put(FORMAT_KEY, Buffer.from(FORMAT), 1);
      await this.#control.put(OWNER_KEY, Buffer.from(String(process.pid)), this.#owner);
    } catch (error) {
      const cause = await reasonOf(error);
      const why = causeOf(cause, this.#dataDir);
      throw new StartError(`cannot write to the log in ${this.#dataDir}: ${why}`, 1, { cause });
    }
  }

  /** A number that no channel had, as far as records that are gone tell: those that are there may be higher. */
  nextNumber(): number {
    return Number(this.#control.get(NEXT_NUMBER_KEY)?.toString() ?? 1);
  }

  /** All channels, in the order of their names. Throws a StartError when a record is damaged. */
  loadChannels(): { readonly name: string; readonly record: ChannelRecord }[] {
    const channels = [];
    for (const { key, value } of this.#channels.getRange({})) {
      const name = key.toString();
      const record = decodeChannel(name, value);
      if (record === null) throw new StartError(`the record of the channel ${name} in the log is damaged`);
      channels.push({ name, record });
    }
    return channels;
  }

  /** The generations of idempotency keys, by channel and in their order. */
  loadGenerations(): ReturnType<typeof decodeGeneration>[] {
    const found = [];
    let start = generationKey(0, 0);
    for (;;) {
      const [first] = this.#keys.getRange({ start, limit: 1 });
      if (first === undefined) return found;
      const generation = decodeGeneration(first.key, first.value);
      found.push(generation);
      start = generationKey(generation.channel, generation.number + 1);
    }
  }

  /** What is stored under an idempotency key. Good until the next look. */
  findKey(key: Buffer): Uint8Array | undefined {
    return this.#keys.getBinaryFast(key);
  }

  /** The first idempotency keys from `start` (included) to `end` (excluded). */
  keysBetween(start: Buffer, end: Buffer, limit: number): Buffer[] {
    return [...this.#keys.getKeys({ start, end, limit })];
  }

  /** Runs over the entries from `start` (included) to `end` (excluded) until `visit` returns false. */
  scan(start: Uint8Array, end: Uint8Array, visit: (found: Found) => boolean): void {
    for (const _ of this.#entries.getRange({ start, end })) {
      if (!visit(this.#found)) return;
    }
  }

  /** The last entry before `end` and not before `start`. */
  lastBefore(end: Uint8Array, start: Uint8Array): Found | null {
    for (const { key } of this.#entries.getRange({ start: end, end: start, reverse: true, limit: 2 })) {
      if (Buffer.compare(key, end) < 0) return this.#found;
    }
    return null;
  }

  /**
   * Resolves once all that `write` wrote is on disk; nothing of it is stored when it rejects. Nothing is
   * written either when another server owns the store by now. `bytes`: what it may take on disk, at most.
   */
  async transact(bytes: number, write: (writes: Writes) => void): Promise<void> {
    const missing = this.#room.take(bytes);
    if (missing !== null) {
      throw new RivercastError('log_unavailable', `the log could not be written: ${missing}`);
    }
    let owned: boolean;
    try {
      owned = await this.#control.ifVersion(OWNER_KEY, this.#owner, () => write(this));
    } catch (error) {
      const cause = await reasonOf(error);
      const why = causeOf(cause, this.#dataDir);
      throw new RivercastError('log_unavailable', `the log could not be written: ${why}`, { cause });
    }
    if (!owned) throw lostOwnership();
  }

  /** Throws when the store can not be read or belongs to another server by now. */
  check(): void {
    if (this.#control.getEntry(OWNER_KEY)?.version !== this.#owner) throw lostOwnership();
  }

  putEntry(key: Uint8Array, value: Uint8Array): void {
    this.#entryWrites.put(key, value);
  }

  removeEntry(key: Uint8Array): void {
    this.#entryWrites.remove(key);
  }

  putChannel(name: string, record: ChannelRecord): void {
    this.#channelWrites.put(Buffer.from(name), encodeChannel(name, record));
  }

  putKey(key: Uint8Array, value: Uint8Array): void {
    this.#keyWrites.put(key, value);
  }

  removeKey(key: Uint8Array): void {
    this.#keyWrites.remove(key);
  }

  removeChannel(name: string, nextNumber: number): void {
    this.#channelWrites.remove(Buffer.from(name));
    this.#controlWrites.put(NEXT_NUMBER_KEY, Buffer.from(String(nextNumber)));
  }

  async close(): Promise<void> {
    await this.#root.close();
  }
}

/** Keys and values are taken apart in place: an entry costs no Buffer that is not delivered. */
function entriesTable(found: Found): { name: string; encoding: 'binary' } {
  const table = {
    name: 'entries',
    encoding: 'binary' as const,
    keyEncoder: {
      writeKey(key: Uint8Array, target: Uint8Array, at: number): number {
        target.set(key, at);
        return at + key.length;
      },
      readKey(source: Uint8Array, at: number, end: number): Uint8Array {
        found.ms = readKeyMs(source, at);
        found.seq = readKeySeq(source, at);
        return source.subarray(at, end);
      },
    },
    encoder: {
      encode: (value: Uint8Array): Uint8Array => value,
      decode(bytes: Uint8Array, length: number): undefined {
        found.value = bytes.subarray(0, length);
      },
    },
  };
  return table;
}

/** LMDB's own words for a failed transaction come later than the failure. */
async function reasonOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (reason) {
    return reason;
  }
}

function lostOwnership(): RivercastError {
  return new RivercastError('log_unavailable', 'another server has taken over the data directory');
}
