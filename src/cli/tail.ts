/**
 * `rivercast tail`: a channel on stdout, one payload a line and nothing else, through restarts of the server. What is
 * missing is said on stderr.
 */
import { type Command, Option } from 'commander';
import { type Gap, GapError, type Message, type SubscriptionState } from '../client/index.ts';
import { StartError } from '../errors.ts';
import { addExamples } from './examples.ts';
import { Output } from './output.ts';
import {
  addDefaultChannel,
  addServer,
  checkChannel,
  failureOf,
  mustBeThere,
  remoteOf,
  riverOf,
  type ServerFlags,
} from './remote.ts';
import { say } from './terminal.ts';

interface TailFlags extends ServerFlags {
  readonly stream: string;
  readonly after: string;
  readonly json?: boolean;
  readonly null?: boolean;
  /** Messages, then it ends. */
  readonly count?: number;
  readonly onGap: 'skip' | 'fail';
  readonly wait?: boolean;
}

const NOTE = `It goes on where it was when the server comes back, and ends by Ctrl-C, or when nobody reads it any more. Binary messages are
written as they are, or with --json in base64 as data64. The cursor of a line is an --after to go on behind it.`;

const EXAMPLES = [
  'rivercast tail scores',
  'rivercast tail scores --after last:10',
  'rivercast tail scores --after -5m --json | jq .data',
  'rivercast tail scores --after earliest --count 100',
];

export function addTail(program: Command): void {
  const command = program
    .command('tail [channel]')
    .description('print the messages of a channel as they come')
    .option(
      '--after <position>',
      'where to start: latest, earliest, last:10, -5m, a time, an id or cursor',
      'latest',
    )
    .option('--json', 'each as a JSON object: channel, id, cursor, and data or data64')
    .option('-0, --null', 'end each with a NUL, not with a line end')
    .option('--count <n>', 'end after so many messages', countOf)
    .addOption(
      new Option('--on-gap <what>', 'messages are gone: say so and go on, or end with exit code 1')
        .choices(['skip', 'fail'])
        .default('skip'),
    )
    .option('--wait', 'also for a server that is not there yet');
  addExamples(addServer(addDefaultChannel(command)), EXAMPLES, NOTE).action(
    async (channel: string | undefined, flags: TailFlags) => {
      await tail(channel ?? flags.stream, flags);
    },
  );
}

function countOf(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new StartError(`--count takes a number of messages: ${JSON.stringify(text)} is none`, 2);
}

/** Rejects with StartError. */
async function tail(channel: string, flags: TailFlags): Promise<void> {
  checkChannel(channel);
  const remote = remoteOf(flags);
  if (flags.wait !== true) await mustBeThere(remote, '/ws/broadcast');
  const output = new Output();
  const river = await riverOf(remote, 1);
  const subscription = river.subscribe(channel, {
    after: flags.after,
    onState: sayer(),
    ...(flags.onGap === 'fail' ? {} : { onGap: (gap: Gap) => say(new GapError(gap).message) }),
  });
  let left = flags.count ?? Infinity;
  try {
    for await (const message of subscription) {
      const full = writeMessage(output, message, flags);
      if (full !== undefined) await full;
      left -= 1;
      if (left === 0 || output.isGone) break;
    }
  } catch (error) {
    throw failureOf(error);
  } finally {
    await output.flush();
    river.close();
  }
}

/** Of losing the server and having it again; not of a buffer that is full. */
function sayer(): (state: SubscriptionState) => void {
  let before: SubscriptionState = 'connecting';
  let isLost = false;
  return (state) => {
    if (state === 'connecting' && before === 'live') {
      isLost = true;
      say('the connection is lost; trying again');
    } else if (state === 'live' && isLost) {
      isLost = false;
      say('connected again');
    }
    before = state;
  };
}

function writeMessage(
  output: Output,
  { channel, id, cursor, data }: Message,
  flags: TailFlags,
): Promise<void> | undefined {
  const end = flags.null === true ? '\0' : '\n';
  const isBinary = data instanceof Uint8Array;
  if (flags.json === true) {
    const content = isBinary ? { data64: Buffer.from(data).toString('base64') } : { data };
    return output.write(`${JSON.stringify({ channel, id, cursor, ...content })}${end}`);
  }
  if (!isBinary) return output.write(`${typeof data === 'string' ? data : JSON.stringify(data)}${end}`);
  return output.write(Buffer.concat([data, Buffer.from(end)]));
}
