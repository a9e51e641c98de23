/** `rivercast channels` and `rivercast info`: what channels there are, and what is in one of them. */
import type { Command } from 'commander';
import { addExamples } from './examples.ts';
import { Output, print } from './output.ts';
import {
  addDefaultChannel,
  addServer,
  askFor,
  checkChannel,
  notOurs,
  type Remote,
  remoteOf,
  type ServerFlags,
} from './remote.ts';
import { paint, table } from './terminal.ts';

interface ListFlags extends ServerFlags {
  readonly json?: boolean;
}

interface InfoFlags extends ListFlags {
  readonly stream: string;
}

/** As the server describes it. */
interface ChannelInfo {
  readonly channel: string;
  readonly epoch: string | null;
  readonly floor: string | null;
  readonly tip: string;
  readonly length: number;
  readonly subscribers: number;
}

export function addChannels(program: Command): void {
  const command = program
    .command('channels')
    .description('list the channels that somebody published to')
    .option('--json', 'a JSON object a line');
  addExamples(addServer(command), [
    'rivercast channels',
    'rivercast channels --json | jq -r .channel',
  ]).action(async (flags: ListFlags) => {
    await list(flags);
  });
}

export function addInfo(program: Command): void {
  const command = program
    .command('info [channel]')
    .description('how much a channel holds, since when, and who follows it')
    .option('--json', 'as a JSON object');
  addExamples(addServer(addDefaultChannel(command)), [
    'rivercast info scores',
    'rivercast info scores --json | jq .length',
  ]).action(async (channel: string | undefined, flags: InfoFlags) => {
    const info = await infoOf(remoteOf(flags), checkChannel(channel ?? flags.stream));
    await print(flags.json === true ? `${JSON.stringify(info)}\n` : described(info, Date.now()));
  });
}

/** Page by page, in the order of their names. Rejects with StartError. */
export async function* channelsOf(remote: Remote): AsyncGenerator<ChannelInfo, void, undefined> {
  let after: string | null = '';
  while (after !== null) {
    const query: string = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
    const page = await askFor(remote, `/api/channels?limit=1000${query}`);
    const { channels, cursor } = page;
    if (!Array.isArray(channels)) throw notOurs(remote);
    yield* channels as readonly ChannelInfo[];
    after = typeof cursor === 'string' ? cursor : null;
  }
}

async function infoOf(remote: Remote, channel: string): Promise<ChannelInfo> {
  const info = await askFor(remote, `/api/channels/${channel}`);
  if (typeof info['tip'] !== 'string') throw notOurs(remote);
  return info as unknown as ChannelInfo;
}

async function list(flags: ListFlags): Promise<void> {
  const rows: string[][] = [['CHANNEL', 'MESSAGES', 'SUBSCRIBERS', 'OLDEST', 'NEWEST']];
  const now = Date.now();
  const output = new Output();
  for await (const info of channelsOf(remoteOf(flags))) {
    const { channel, length, subscribers, floor, tip } = info;
    if (flags.json === true) await output.write(`${JSON.stringify(info)}\n`);
    else rows.push([channel, String(length), String(subscribers), ago(floor, now), ago(tip, now)]);
  }
  if (flags.json !== true) await output.write(table(rows));
  await output.flush();
}

function described({ channel, epoch, floor, tip, length, subscribers }: ChannelInfo, now: number): string {
  const rows: readonly (readonly [string, string])[] = [
    ['channel', channel],
    ['messages', length.toLocaleString('en')],
    ['subscribers', `${subscribers.toLocaleString('en')} of this process`],
    ['oldest', placed(floor, now)],
    ['newest', placed(tip, now)],
    ['epoch', epoch ?? 'none yet'],
  ];
  return rows.map(([name, value]) => `${paint('bold', name.padEnd(12))}${value}\n`).join('');
}

function placed(id: string | null, now: number): string {
  const ms = msOf(id);
  return ms === 0 ? 'none' : `${id}  (${new Date(ms).toISOString()}, ${ago(id, now)} ago)`;
}

/** `5m`; `-` where there is none. */
function ago(id: string | null, now: number): string {
  const ms = msOf(id);
  if (ms === 0) return '-';
  const s = Math.max(0, Math.floor((now - ms) / 1000));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  return s < 86_400 ? `${Math.floor(s / 3600)}h` : `${Math.floor(s / 86_400)}d`;
}

/** Since 1970; 0 when nothing has that id. */
function msOf(id: string | null): number {
  return id === null ? 0 : Number(id.slice(0, id.indexOf('-')));
}
