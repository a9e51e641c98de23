/**
 * `rivercast trim`: asks a running server to remove the oldest messages of a channel. It goes through the server and
 * not to its files: those belong to one process.
 */
import type { Command } from 'commander';
import { addExamples } from './examples.ts';
import { print } from './output.ts';
import { addServer, askFor, checkChannel, notOurs, remoteOf, type ServerFlags } from './remote.ts';

interface TrimFlags extends ServerFlags {
  /** An id, a time, or another of the forms that the server takes. */
  readonly before: string;
}

const EXAMPLES = ['rivercast trim scores --before -2h', 'rivercast trim scores --before last:1000'];

export function addTrim(program: Command): void {
  const command = program
    .command('trim <channel>')
    .description('remove the oldest messages of a channel, through a running server')
    .requiredOption(
      '--before <id or time>',
      'what lies before this is removed: an id, a time, -2h, last:1000',
    );
  addExamples(addServer(command), EXAMPLES).action(async (channel: string, flags: TrimFlags) => {
    await print(`${await trim(channel, flags)}\n`);
  });
}

/** Resolves with a line that says what was done. Rejects with StartError: 2 for what was asked wrongly, 1 else. */
async function trim(channel: string, flags: TrimFlags): Promise<string> {
  const remote = remoteOf(flags);
  const path = `/api/channels/${checkChannel(channel)}/messages?before=${encodeURIComponent(flags.before)}`;
  const { removed, floor, tip } = await askFor(remote, path, { method: 'DELETE' });
  if (typeof removed !== 'number' || typeof tip !== 'string') throw notOurs(remote);
  const left = typeof floor === 'string' ? `what is left begins at ${floor}` : 'nothing is left';
  return `removed ${removed} ${removed === 1 ? 'message' : 'messages'}; ${left}, the last id is ${tip}`;
}
