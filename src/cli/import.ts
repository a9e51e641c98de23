/**
 * `rivercast import`: publishes what `rivercast export` printed. A message gets a new id, since its time is when it was stored
 * here, and a key made of its old one: what is imported again while the server remembers the key is not stored twice.
 */
import { createHash } from 'node:crypto';
import type { Command } from 'commander';
import { isChannelName } from '../channels.ts';
import { StartError } from '../errors.ts';
import { addExamples } from './examples.ts';
import { MAX_QUEUED, Outbox, type Outgoing } from './outbox.ts';
import { exitCodeOf, summaryOf } from './publish.ts';
import { inputOf, readAll } from './reading.ts';
import { LINE_END, Records } from './records.ts';
import { addServer, checkChannel, mustBeThere, remoteOf, riverOf, type ServerFlags } from './remote.ts';
import { counted, say } from './terminal.ts';

interface ImportFlags extends ServerFlags {
  readonly channel?: string;
  readonly skip?: number;
}

const NOTE = `Each line is an object with channel, data or data64, and perhaps id or key. The server remembers keys for ten minutes
(IDEMPOTENCY_WINDOW_MS); an import that failed later goes on with --skip, which it says at its end.`;

const EXAMPLES = [
  'rivercast import backup.ndjson',
  'zcat backup.ndjson.gz | rivercast import',
  'rivercast import scores.ndjson --channel scores-copy',
];

export function addImport(program: Command): void {
  const command = program
    .command('import [file]')
    .description('publish what was exported: a file, or stdin')
    .option('--channel <channel>', 'publish all of it to this channel')
    .option('--skip <lines>', 'begin behind so many lines', skipOf);
  addExamples(addServer(command), EXAMPLES, NOTE).action(
    async (file: string | undefined, flags: ImportFlags) => {
      process.exitCode = await importAll(file, flags);
    },
  );
}

function skipOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new StartError(`--skip takes a number of lines: ${JSON.stringify(text)} is none`, 2);
}

/** Resolves with the exit code: 0 when all of them are stored. Rejects with StartError. */
async function importAll(file: string | undefined, flags: ImportFlags): Promise<number> {
  const { channel, skip = 0 } = flags;
  if (channel !== undefined) checkChannel(channel);
  const remote = remoteOf(flags);
  await mustBeThere(remote, '/ws/manager');
  const river = await riverOf(remote, MAX_QUEUED + 1);
  using outbox = new Outbox(river, { timeoutMs: 0 });
  const records = new Records(LINE_END);
  const sendAll = async (found: Iterable<Buffer>): Promise<void> => {
    for (const line of found) {
      if (records.count <= skip || line.length === 0) continue;
      const one = outgoing(line, records.count, channel);
      if ('wrong' in one) outbox.complain(one.name, one.wrong);
      else await outbox.send(one);
    }
  };
  let stopped: NodeJS.Signals | null = null;
  try {
    stopped = await readAll(inputOf(file), { records, sendAll, outbox });
  } catch (error) {
    throw explained(error, outbox, records.count);
  } finally {
    river.close();
  }
  if (stopped !== null) say(`to go on: --skip ${records.count}`);
  if (process.stderr.isTTY) say(summaryOf(outbox));
  if (outbox.failed > 0) return 1;
  return exitCodeOf(stopped);
}

/** With what was done, and how to go on behind it. */
function explained(error: unknown, { stored, unsettled }: Outbox, read: number): unknown {
  const done = unsettled === undefined ? read : unsettled.place - 1;
  if (!(error instanceof StartError) || done === 0) return error;
  const more = `${counted(stored, 'message')} stored; to go on: --skip ${done}`;
  return new StartError(`${error.message}\n${more}`, error.exitCode, { cause: error });
}

interface Line {
  readonly channel?: unknown;
  readonly id?: unknown;
  readonly key?: unknown;
  readonly data?: unknown;
  readonly data64?: unknown;
}

type Unfit = { readonly name: string; readonly wrong: string };

function outgoing(record: Buffer, place: number, forced: string | undefined): Outgoing | Unfit {
  const name = `line ${place}`;
  let line: Line;
  try {
    line = JSON.parse(record.toString()) as Line;
  } catch (error) {
    return { name, wrong: `no JSON: ${(error as Error).message}` };
  }
  if (typeof line !== 'object' || line === null) return { name, wrong: 'no object' };
  const { channel, id, key, data, data64 } = line;
  const target = forced ?? channel;
  if (typeof target !== 'string' || !isChannelName(target)) return { name, wrong: 'it names no channel' };
  const content = typeof data64 === 'string' ? Buffer.from(data64, 'base64') : data;
  if (content === undefined) return { name, wrong: 'it has neither data nor data64' };
  return {
    channel: target,
    data: content,
    key: typeof key === 'string' ? key : typeof id === 'string' ? keyOf(channel, id) : undefined,
    bytes: record.length,
    place,
    name,
  };
}

const hashes = new Map<unknown, string>();
const MAX_HASHES = 10_000;

/** Several channels may be put into one: their ids may be the same. */
function keyOf(channel: unknown, id: string): string {
  let hash = hashes.get(channel);
  if (hash === undefined) {
    hash = createHash('sha256').update(String(channel)).digest('base64url').slice(0, 16);
    if (hashes.size >= MAX_HASHES) hashes.clear();
    hashes.set(channel, hash);
  }
  return `import:${hash}:${id}`;
}
