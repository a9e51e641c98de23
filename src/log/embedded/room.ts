/**
 * Room on the disk of the embedded log. LMDB calls a write that the system cut short an input/output error,
 * whatever the reason, so the reason is looked for here. And where it can not grow its own files it may take the
 * process down with a signal; what it does so for is made sure of before it opens them.
 */
import { constants, open, readFile, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '../../errors.ts';

/** More than one transaction writes, as a rule. */
const ENOUGH_BYTES = 8 * 1024 * 1024;
/** An empty log takes less. */
const NEW_LOG_BYTES = 256 * 1024;
/** The lock file of LMDB: it needs 8272 bytes for its 126 readers, and uses what is there when it is more. */
const LOCK_FILE = 'lock.mdb';
const LOCK_BYTES = 16_384;

/** What LMDB said of a write that failed, behind what it means when there is no room. Never rejects. */
export async function causeOf(error: unknown, dataDir: string): Promise<string> {
  const said = error instanceof Error ? error.message : String(error);
  try {
    const missing = (await fullDisk(dataDir)) ?? (await fileLimit(dataDir));
    return missing === null ? said : `${missing} (${said})`;
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
    if (isNew && (await freeBytes(dataDir)) < NEW_LOG_BYTES)
      throw new Error('a log needs more to begin with');
  } catch (error) {
    const why = await causeOf(error, dataDir);
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

async function fullDisk(dataDir: string): Promise<string | null> {
  const bytes = await freeBytes(dataDir);
  if (bytes >= ENOUGH_BYTES) return null;
  return `the disk is full: ${Math.floor(bytes / 1024)} KiB are free for ${dataDir}`;
}

async function freeBytes(dataDir: string): Promise<number> {
  const { bavail, bsize, blocks } = await statfs(dataDir);
  // Some network file systems do not tell.
  return blocks === 0 ? Infinity : bavail * bsize;
}

/** The bound that `ulimit -f` sets; told by Linux only. */
async function fileLimit(dataDir: string): Promise<string | null> {
  if (process.platform !== 'linux') return null;
  const limits = await readFile('/proc/self/limits', 'utf8');
  const [, limit = 'unlimited'] = /^Max file size +(\S+)/m.exec(limits) ?? [];
  const bytes = Number(limit);
  if (Number.isNaN(bytes)) return null;
  const { size } = await stat(join(dataDir, 'data.mdb'));
  if (size + ENOUGH_BYTES < bytes) return null;
  return `the log has reached the largest size allowed for a file, ${bytes} bytes (ulimit -f)`;
}
