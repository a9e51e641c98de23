/**
 * `rivercast publish`: messages from the command line or from stdin, each acknowledged. They go through the client, so
 * they outlast restarts of the server and are stored once; stdin is read no faster than they are stored.
 */
import { isUtf8 } from 'node:buffer';
import type { Command } from 'commander';
import { parseTime } from '../config/values.ts';
import { StartError } from '../errors.ts';
import { addExamples } from './examples.ts';
import { MAX_QUEUED, Outbox, type Outgoing } from './outbox.ts';
import { Output } from './output.ts';
import { type Input, inputOf, readAll } from './reading.ts';
import { LINE_END, NUL, Records } from './records.ts';
import {
  addDefaultChannel,
  addServer,
  checkChannel,
  mustBeThere,
  remoteOf,
  riverOf,
  type ServerFlags,
} from './remote.ts';
import { counted, say } from './terminal.ts';

interface PublishFlags extends ServerFlags {
  readonly stream: string;
  readonly json?: boolean;
  readonly null?: boolean;
  readonly ids?: boolean;
  readonly wait?: boolean;
  /** `30s`. */
  readonly timeout?: string;
}

/** What is typed is expected to come back; what a pipe brings waits as long as it must. */
const TYPED_TIMEOUT_MS = 30_000;

const CARRIAGE_RETURN = 13;

const NOTE = `Data that begins with a dash comes after --. Without data, stdin is read: a message a line, until its end. What is not
UTF-8 is published as binary. Ctrl-C ends the reading; what was read is stored first.`;

const EXAMPLES = [
  "rivercast publish scores 'hello'",
  'rivercast publish scores --json \'{"home":1,"away":0}\'',
  'tail -F access.log | rivercast publish logs',
  "jq -c '.[]' events.json | rivercast publish events --json",
  'find . -print0 | rivercast publish files -0 --ids',
];

export function addPublish(program: Command): void {
  const command = program
    .command('publish [channel] [data...]')
    .description('publish messages: those named, or the lines of stdin')
    .option('--json', 'each is JSON: a line of it, or an argument')
    .option('-0, --null', 'messages on stdin end with a NUL, not with a line')
    .option('--ids', 'print the id of each message that is stored')
    .option('--wait', 'also for a server that is not there yet')
    .option('--timeout <time>', 'give up when nothing is acknowledged for so long');
  addExamples(addServer(addDefaultChannel(command)), EXAMPLES, NOTE).action(
    async (channel: string | undefined, data: readonly string[], flags: PublishFlags) => {
      process.exitCode = await publish(channel ?? flags.stream, data, flags);
    },
  );
}

/** Resolves with the exit code: 0 when all of them are stored. Rejects with StartError. */
async function publish(channel: string, data: readonly string[], flags: PublishFlags): Promise<number> {
  checkChannel(channel);
  const timeoutMs = timeoutOf(flags, data.length > 0 ? TYPED_TIMEOUT_MS : 0);
  const typed = data.map((text, i) =>
    outgoing(Buffer.from(text), { channel, noun: 'argument', place: i + 1 }, flags),
  );
  const wrong = typed.find((one) => 'wrong' in one);
  if (wrong !== undefined) throw new StartError(`${wrong.name}: ${wrong.wrong}`, 2);
  const remote = remoteOf(flags);
  if (flags.wait !== true) await mustBeThere(remote, '/ws/manager');

  const output = new Output();
  const river = await riverOf(remote, MAX_QUEUED + 1);
  // That ids can not be written is told at the end, by flush: the messages are what it is for.
  const print = (id: string): void => void output.write(`${id}\n`)?.catch(() => undefined);
  const stored = flags.ids === true ? print : undefined;
  using outbox = new Outbox(river, { timeoutMs, stored });
  let stopped: NodeJS.Signals | null = null;
  try {
    for (const one of typed) if ('data' in one) await outbox.send(one);
    if (data.length === 0) stopped = await publishAll(inputOf(), outbox, { channel, flags });
    await outbox.settled();
  } finally {
    await output.flush();
    river.close();
  }
  if (process.stderr.isTTY) say(summaryOf(outbox));
  if (outbox.failed > 0) return 1;
  return exitCodeOf(stopped);
}

/** As a shell has it for what a signal ended. */
export function exitCodeOf(stopped: NodeJS.Signals | null): number {
  if (stopped === null) return 0;
  return stopped === 'SIGINT' ? 130 : 143;
}

function timeoutOf({ timeout }: PublishFlags, otherwise: number): number {
  if (timeout === undefined) return otherwise;
  const ms = parseTime(timeout);
  if (ms > 0) return ms;
  throw new StartError(`--timeout takes a time such as 30s or 5m: ${JSON.stringify(timeout)} is none`, 2);
}

export function summaryOf({ stored, failed }: Outbox): string {
  return `${counted(stored, 'message')} stored${failed === 0 ? '' : `, ${failed} not`}`;
}

/** Resolves with the signal that ended the reading, or null at the end of the input. */
async function publishAll(
  input: Input,
  outbox: Outbox,
  { channel, flags }: { readonly channel: string; readonly flags: PublishFlags },
): Promise<NodeJS.Signals | null> {
  if (input.isTTY === true) say('a message a line; Ctrl-D ends');
  const noun = flags.null === true ? 'message' : 'line';
  const records = new Records(flags.null === true ? NUL : LINE_END);
  const sendAll = async (found: Iterable<Buffer>): Promise<void> => {
    for (const record of found) {
      const one = outgoing(record, { channel, noun, place: records.count }, flags);
      if ('wrong' in one) outbox.complain(one.name, one.wrong);
      else if (one.data !== undefined) await outbox.send(one);
    }
  };
  return readAll(input, { records, sendAll, outbox });
}

type Unfit = { readonly name: string; readonly wrong: string };

interface Origin {
  readonly channel: string;
  readonly noun: string;
  readonly place: number;
}

/** `data` undefined: there is nothing in it to send. */
function outgoing(record: Buffer, { channel, noun, place }: Origin, flags: PublishFlags): Outgoing | Unfit {
  const bytes = record.length;
  const name = `${noun} ${place}`;
  const made = (data: unknown): Outgoing => ({ channel, data, bytes, place, name });
  if (flags.json === true) {
    const text = record.toString();
    if (text.trim() === '') return made(undefined);
    try {
      return made(JSON.parse(text));
    } catch (error) {
      return { name, wrong: `no JSON: ${(error as Error).message}` };
    }
  }
  if (!isUtf8(record)) return made(record);
  const isEndedByReturn = noun === 'line' && record[bytes - 1] === CARRIAGE_RETURN;
  return made(record.toString('utf8', 0, isEndedByReturn ? bytes - 1 : bytes));
}
