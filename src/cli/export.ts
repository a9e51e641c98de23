/**
 * `rivercast export`: what channels hold, as lines of JSON that `rivercast import` takes. A message is written byte for byte as
 * the server gives it, with its channel in front; what is missing is said on stderr.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { isChannelName } from '../channels.ts';
import { StartError } from '../errors.ts';
import { channelsOf } from './channels.ts';
import { addExamples } from './examples.ts';
import { Output } from './output.ts';
import { LINE_END, Records } from './records.ts';
import { addServer, ask, askFor, checkChannel, type Remote, remoteOf, type ServerFlags } from './remote.ts';
import { counted, say, showProgress } from './terminal.ts';

interface ExportFlags extends ServerFlags {
  readonly all?: boolean;
  readonly after: string;
}

/** At once: a channel that is written to meanwhile must come to an end. */
const PAGE = 100_000;
/** In a row that bring nothing. */
const MAX_TRIES = 6;
const TRY_MS = 500;

const NOTE = `What is published meanwhile may be in it or not. To add what has come since, export again --after the last id of the channel.`;

const EXAMPLES = [
  'rivercast export scores > scores.ndjson',
  'rivercast export --all | gzip > backup.ndjson.gz',
  'rivercast export scores --after -1h | jq .data',
  'rivercast export --all --url http://old:3000 | rivercast import --url http://new:3000',
];

export function addExport(program: Command): void {
  const command = program
    .command('export [channels...]')
    .description('print what channels hold, for a backup or another server')
    .option('--all', 'all channels')
    .option('--after <position>', 'where to start: earliest, -1h, a time, an id or cursor', 'earliest');
  addExamples(addServer(command), EXAMPLES, NOTE).action(
    async (channels: readonly string[], flags: ExportFlags) => {
      await exportAll(channels, flags);
    },
  );
}

/** Rejects with StartError. */
async function exportAll(named: readonly string[], flags: ExportFlags): Promise<void> {
  if (named.length > 0 === (flags.all === true)) {
    throw new StartError('name the channels to export, or all of them with --all', 2);
  }
  const remote = remoteOf(flags);
  const channels = named.map(checkChannel);
  if (flags.all === true) {
    for await (const { channel } of channelsOf(remote)) {
      if (isChannelName(channel)) channels.push(channel);
      else say(`${JSON.stringify(channel)} is left out: no request can name it any more`);
    }
  }
  const output = new Output();
  let exported = 0;
  const hide = showProgress({ done: () => exported, share: () => null });
  try {
    for (const channel of channels) {
      for await (const count of exportChannel(remote, channel, { after: flags.after, output }))
        exported += count;
      if (output.isGone) return;
    }
    await output.flush();
  } finally {
    hide();
  }
  if (process.stderr.isTTY) {
    say(`${counted(exported, 'message')} of ${counted(channels.length, 'channel')} exported`);
  }
}

interface Place {
  readonly after: string;
  readonly output: Output;
}

/** What an answer brought. `isWhole`: its last line came. */
interface Page {
  readonly count: number;
  readonly after: string;
  readonly isWhole: boolean;
}

/** Yields how many messages were written, page by page. Rejects with StartError. */
async function* exportChannel(
  remote: Remote,
  channel: string,
  { after: start, output }: Place,
): AsyncGenerator<number, void, undefined> {
  const { tip } = await askFor(remote, `/api/channels/${channel}`);
  let after = start;
  let tries = 0;
  for (;;) {
    const page = await writePage(remote, channel, { after, output });
    after = page.after;
    yield page.count;
    if (output.isGone || (page.isWhole && page.count < PAGE)) return;
    if (page.isWhole && typeof tip === 'string' && isPast(after, tip)) return;
    tries = page.count > 0 ? 0 : tries + 1;
    if (tries === MAX_TRIES) throw new StartError(`${channel}: the server broke off ${MAX_TRIES} times`);
    if (!page.isWhole) await delay(TRY_MS * tries);
  }
}

/** Both are of one history: the times of the ids tell. */
function isPast(cursor: string, tip: string): boolean {
  return Number.parseInt(cursor, 10) > Number.parseInt(tip, 10);
}

async function writePage(remote: Remote, channel: string, { after, output }: Place): Promise<Page> {
  const path = `/api/channels/${channel}/messages?limit=${PAGE}&after=${encodeURIComponent(after)}`;
  const init = { headers: { Accept: 'application/x-ndjson' }, signal: new AbortController().signal };
  const { body } = await ask(remote, path, init);
  const lines = new Records(LINE_END);
  const begin = Buffer.from(`{"channel":${JSON.stringify(channel)},`);
  let count = 0;
  let last = after;
  try {
    for await (const chunk of body ?? []) {
      let full: Promise<void> | undefined;
      for (const line of lines.push(Buffer.from(chunk))) {
        const kind = line.toString('latin1', 0, 5);
        if (kind === '{"id"') {
          count += 1;
          last = line.toString('latin1', 7, line.indexOf(0x22, 7));
          full = output.write(Buffer.concat([begin, line.subarray(1), END]));
        } else if (kind === '{"gap') sayGap(channel, line);
        else
          return { count, after: (JSON.parse(line.toString()) as { cursor: string }).cursor, isWhole: true };
      }
      await full;
      if (output.isGone) break;
    }
  } catch (error) {
    if (error instanceof StartError) throw error;
  }
  return { count, after: last, isWhole: false };
}

const END = Buffer.from('\n');

function sayGap(channel: string, line: Buffer): void {
  const { gap } = JSON.parse(line.toString()) as { gap: { lost: number | null; reason: string } };
  say(`${channel}: ${gap.lost ?? 'some'} messages are gone (${gap.reason})`);
}
