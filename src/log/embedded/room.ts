/**
 * Room on the disk of the embedded log. LMDB must not find out that there is none: where it can not grow its files
 * it may take the process down with a signal (lmdb 3.5.6 puts the words for a refused write, 106 characters
 * and more, into a buffer of 100). So room is made sure of before it opens them, and before each transaction.
 */
import { readFileSync, statfsSync, statSync } from 'node:fs';
import { constants, open } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '../../errors.ts';

/** What is never used up: for pages that LMDB needs beside those counted, and for what others write meanwhile. */
const SPARE_BYTES = 1024 * 1024;
/** Below this, room is taken to be what a write that failed was about. */
const ENOUGH_BYTES = 8 * 1024 * 1024;
/** How long a look at the disk is good for; by then others may have filled it. */
const LOOK_MS = 100;
const LOG_FILE = 'data.mdb';
/** An empty log takes less. */
const NEW_LOG_BYTES = 256 * 1024;
/** The lock file of LMDB: it needs 8272 bytes for its 126 readers, and uses what is there when it is more. */
const LOCK_FILE = 'lock.mdb';
const LOCK_BYTES = 16_384;

/** What is left for one log to write; counted down between looks. */
export class Room {
  readonly #dataDir: string;
  #leftBytes = 0;
  #lookedMs = -Infinity;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  /** Takes what one transaction may need; says what is missing instead when that is not there. */
  take(bytes: number): string | null {
    const nowMs = performance.now();
    if (bytes > this.#leftBytes || nowMs - this.#lookedMs > LOOK_MS) {
      const left = lookAtRoom(this.#dataDir);
      if (left.bytes < bytes + SPARE_BYTES) return left.words;
      this.#leftBytes = left.bytes - SPARE_BYTES;
      this.#lookedMs = nowMs;
    }
    this.#leftBytes -= bytes;
    return null;
  }
}

/** What was said of a write that failed, behind what it means when there is no room. Never throws. */
export function causeOf(error: unknown, dataDir: string): string {
  const said = error instanceof Error ? error.message : String(error);
  try {
    const { bytes, words } = lookAtRoom(dataDir);
    return bytes < ENOUGH_BYTES ? `${words} (${said})` : said;
  } catch {
    return said;
  }
}

/**
 * Throws a StartError when there is no room for LMDB to open its files. Only for who holds the directory: nobody
 * else may be writing to them.
 */
export async function makeRoom(dataDir: string, isNew: boolean): Promise<void> {
  try {
    await placeLockFile(join(dataDir, LOCK_FILE));
    if (isNew && freeBytes(dataDir) < NEW_LOG_BYTES) throw new Error('a log needs more to begin with');
  } catch (error) {
    const why = causeOf(error, dataDir);
    throw new StartError(`cannot write to the data directory ${dataDir}: ${why}`, 1, { cause: error });
  }
}

/** LMDB maps the file and writes to the map: all of it needs its place on the disk. What it holds stays. */
async function placeLockFile(path: string): Promise<void> {
  const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o664);
  try {
    const bytes = Buffer.alloc(LOCK_BYTES);
    await file.read(bytes, 0, LOCK_BYTES, 0);
    const { bytesWritten } = await file.write(bytes, 0, LOCK_BYTES, 0);
    if (bytesWritten < LOCK_BYTES) throw new Error(`${LOCK_FILE} was cut short`);
  } finally {
    await file.close();
  }
}

/** How much the log may grow, and what to say when that is too little. */
function lookAtRoom(dataDir: string): { readonly bytes: number; readonly words: string } {
  const free = freeBytes(dataDir);
  const limit = fileLimit();
  const toLimit = limit === Infinity ? Infinity : limit - sizeOf(join(dataDir, LOG_FILE));
  if (toLimit < free) {
    const words = `the log has reached the largest size allowed for a file, ${limit} bytes (ulimit -f)`;
    return { bytes: toLimit, words };
  }
  const kibibytes = Math.floor(free / 1024);
  return { bytes: free, words: `the disk is full: ${kibibytes} KiB are free for ${dataDir}` };
}

function freeBytes(dataDir: string): number {
  const { bavail, bsize, blocks } = statfsSync(dataDir);
  // Some network file systems do not tell.
  return blocks === 0 ? Infinity : bavail * bsize;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** What `ulimit -f` sets; told by Linux only. */
function fileLimit(): number {
  if (process.platform !== 'linux') return Infinity;
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const bytes = Number(/^Max file size +(\d+)/m.exec(limits)?.[1]);
  return Number.isNaN(bytes) ? Infinity : bytes;
}
