/**
 * `rivercast trim`: asks a running server to remove the oldest messages of a channel. It goes through the server and
 * not to its files: those belong to one process.
 */
import { askFor, checkChannel, notOurs, remoteOf, type ServerFlags } from './remote.ts';

export interface TrimFlags extends ServerFlags {
  /** An id, a time, or another of the forms that the server takes. */
  readonly before: string;
}

/** Resolves with a line that says what was done. Rejects with StartError: 2 for what was asked wrongly, 1 else. */
export async function trim(channel: string, flags: TrimFlags): Promise<string> {
  const remote = remoteOf(flags);
  const path = `/api/channels/${checkChannel(channel)}/messages?before=${encodeURIComponent(flags.before)}`;
  const { removed, floor, tip } = await askFor(remote, path, { method: 'DELETE' });
  if (typeof removed !== 'number' || typeof tip !== 'string') throw notOurs(remote);
  const left = typeof floor === 'string' ? `what is left begins at ${floor}` : 'nothing is left';
  return `removed ${removed} ${removed === 1 ? 'message' : 'messages'}; ${left}, the last id is ${tip}`;
}
