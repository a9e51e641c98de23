/** What `publish` and `import` read: stdin or a file, to its end, no faster than it is stored. */
import { createReadStream, fstatSync, type Stats } from 'node:fs';
import type { Readable } from 'node:stream';
import { StartError } from '../errors.ts';
import type { Outbox } from './outbox.ts';
import type { Records } from './records.ts';
import { showProgress } from './terminal.ts';

/** A file, or stdin, which has no path. */
export type Input = Readable & {
  readonly fd?: number;
  readonly path?: string | Buffer | null;
  readonly isTTY?: boolean;
};

export interface Reading {
  readonly records: Records;
  readonly sendAll: (found: Iterable<Buffer>) => Promise<void>;
  readonly outbox: Outbox;
}

const STDIN = 0;

/** What was typed wrongly when it can not be read; anything else is a failure on the way. */
const MISTAKES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a directory',
  EACCES: 'you may not read it',
  EPERM: 'you may not read it',
  EBADF: 'it is not open for reading',
};

/** Stdin, unless a file is named. Throws StartError. */
export function inputOf(file?: string): Input {
  if (file !== undefined && file !== '-') return createReadStream(file);
  // Node reads a directory as if nothing were in it.
  if (statsOf(STDIN)?.isDirectory() === true) throw unread('stdin', { code: 'EISDIR', message: '' });
  return process.stdin;
}

/**
 * Reads to the end, or until a signal says that it is enough; resolves with that signal, else null. What was read is settled
 * then, also when the rest can not be read. Rejects with StartError.
 */
export async function readAll(
  input: Input,
  { records, sendAll, outbox }: Reading,
): Promise<NodeJS.Signals | null> {
  const size = sizeOf(input.fd);
  const hide = showProgress({
    done: () => outbox.stored,
    share: () => (size === null ? null : records.bytes / size),
  });
  let stopped: NodeJS.Signals | null = null;
  // A second one ends the process as it would have without this.
  const stop = (signal: NodeJS.Signals): void => {
    stopped = signal;
    input.destroy();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    for await (const chunk of input) await sendAll(records.push(chunk as Buffer));
    await sendAll(records.end());
    await outbox.settled();
  } catch (error) {
    const unread = unreadable(error, input);
    // What ends the reading by force is told as an error.
    if (stopped === null && unread === null) throw error;
    await outbox.settled();
    if (stopped === null && unread !== null) throw unread;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    hide();
  }
  return stopped;
}

/** Null: it is another failure than of the input. */
function unreadable(error: unknown, { path }: Input): StartError | null {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code === undefined || (syscall !== 'read' && syscall !== 'open')) return null;
  return unread(typeof path === 'string' ? path : 'stdin', { code, message });
}

function unread(
  name: string,
  { code, message }: { readonly code: string; readonly message: string },
): StartError {
  const mistake = MISTAKES[code];
  return new StartError(`${name} can not be read: ${mistake ?? message}`, mistake === undefined ? 1 : 2);
}

/** Of a file; null: nobody knows how much will come. */
function sizeOf(fd: number | undefined): number | null {
  const stats = fd === undefined ? null : statsOf(fd);
  return stats?.isFile() === true && stats.size > 0 ? stats.size : null;
}

function statsOf(fd: number): Stats | null {
  try {
    return fstatSync(fd);
  } catch {
    return null;
  }
}
