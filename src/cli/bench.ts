/**
 * `rivercast bench`: what this machine can do, in some seconds, against a server of its own that is thrown away. Server and
 * clients share the machine, and the clients are the slower part of it: docs/benchmarks.md has what the server can do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import type { River } from '../client/index.ts';
import { parseTime } from '../config/values.ts';
import { StartError } from '../errors.ts';
import { addExamples } from './examples.ts';
import { print } from './output.ts';
import { remoteOf, riverOf } from './remote.ts';
import { paint, say } from './terminal.ts';

interface BenchFlags {
  /** `2s`. */
  readonly time: string;
  readonly subscribers: number;
  readonly size: number;
  readonly store: 'embedded' | 'memory';
  readonly json?: boolean;
}

interface Rates {
  readonly startMs: number;
  readonly storedPerS: number;
  readonly acknowledgedMs: Spread;
  readonly deliveredPerS: number;
  readonly deliveryMs: Spread;
}

interface Spread {
  readonly p50: number;
  readonly p99: number;
}

const CHANNEL = 'bench';
/** On their way at once, while rates are measured. */
const WINDOW = 1000;
/** The latencies are those of a server that is not busy. */
const PAUSE_MS = 5;
const START_MS = 30_000;

const NOTE = `It starts a server with a log of its own, in TMPDIR or in memory, and removes it; a Redis is not measured, and REDIS_URL not heard.`;

const EXAMPLES = [
  'rivercast bench',
  'rivercast bench --store memory --subscribers 500',
  'rivercast bench --json',
];

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .description('measure this machine for a few seconds, with a server of its own')
    .option('--time <time>', 'how long each rate is measured', '2s')
    .option('--subscribers <n>', 'how many follow the channel', whole('--subscribers', 2000), 100)
    .option('--size <bytes>', 'of a message', whole('--size', 65_536), 128)
    .addOption(
      new Option('--store <store>', 'where it is kept').choices(['embedded', 'memory']).default('embedded'),
    )
    .option('--json', 'as a JSON object');
  addExamples(command, EXAMPLES, NOTE).action(async (flags: BenchFlags) => {
    const rates = await bench(flags);
    await print(flags.json === true ? `${JSON.stringify(rates)}\n` : described(rates, flags));
  });
}

function whole(flag: string, max: number): (text: string) => number {
  return (text) => {
    const value = /^[1-9]\d{0,8}$/.test(text) ? Number(text) : Infinity;
    if (value <= max) return value;
    throw new StartError(`${flag} takes a number from 1 to ${max}: ${JSON.stringify(text)} is none`, 2);
  };
}

async function bench(flags: BenchFlags): Promise<Rates> {
  const forMs = parseTime(flags.time);
  if (!(forMs >= 100 && forMs <= 60_000)) throw new StartError('--time takes a time from 100ms to 1m', 2);
  if (process.stderr.isTTY) say(`measuring for about ${Math.ceil((forMs * 4) / 1000 + 2)} s`);
  const folder = newFolder();
  const server = startOwn(flags.store, folder);
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  // A second one, or this one again, ends the process as it would have without this.
  const stop = (signal: NodeJS.Signals): void => {
    server.kill('SIGKILL');
    remove();
    process.kill(process.pid, signal);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const gone = once(server, 'exit');
  try {
    return await measureOn(server, { ...flags, forMs });
  } finally {
    if (server.exitCode === null && server.signalCode === null && server.kill('SIGKILL')) await gone;
    remove();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

function newFolder(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'rivercast-bench-'));
  } catch (error) {
    const { message } = error as Error;
    throw new StartError(`there is no room for its log: ${message}; TMPDIR names another folder`, 1, {
      cause: error,
    });
  }
}

async function measureOn(server: ChildProcess, plan: Plan): Promise<Rates> {
  const startedMs = performance.now();
  const { started, ended } = listenTo(server);
  // It ends in any case, and then nobody may wait for it any more.
  ended.catch(() => undefined);
  const timer = setTimeout(() => server.kill('SIGKILL'), START_MS);
  const url = await Promise.race([started, ended]).finally(() => clearTimeout(timer));
  const startMs = round(performance.now() - startedMs);
  const river = await riverOf(remoteOf({ url }), WINDOW + 1);
  const measured = measure(river, url, plan);
  measured.catch(() => undefined);
  try {
    // The client by itself would wait for the server to come back.
    return { startMs, ...(await Promise.race([measured, ended])) };
  } finally {
    river.close();
  }
}

/** Nothing of this environment: it is to be measured as it is out of the box. */
function startOwn(store: string, folder: string): ChildProcess {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const env = { PORT: '0', STORE: store, DATA_DIR: folder, LOG_LEVEL: 'info' };
  return spawn(process.execPath, [main, 'serve'], { env, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
}

interface Said {
  readonly level?: string;
  readonly msg?: string;
  readonly addresses?: readonly string[];
  readonly err?: { readonly message?: string };
}

interface Listening {
  /** Resolves with its address. */
  readonly started: Promise<string>;
  /** Rejects with StartError once it is gone. */
  readonly ended: Promise<never>;
}

function listenTo(server: ChildProcess): Listening {
  const lines = createInterface({ input: server.stderr as NodeJS.ReadableStream });
  let trouble = 'it was killed';
  const started = new Promise<string>((resolve) => {
    lines.on('line', (line) => {
      const { level, msg, addresses, err } = line.startsWith('{')
        ? (JSON.parse(line) as Said)
        : { msg: line };
      if (msg === 'started' && addresses?.[0] !== undefined) resolve(addresses[0]);
      if (level === undefined || level === 'fatal') trouble = [msg, err?.message].join(' ').trim();
    });
  });
  const ended = once(server, 'close').then(() => {
    throw new StartError(`the server for it ended: ${trouble}`);
  });
  return { started, ended };
}

interface Plan extends BenchFlags {
  readonly forMs: number;
}

async function measure(river: River, url: string, plan: Plan): Promise<Omit<Rates, 'startMs'>> {
  const text = 'x'.repeat(plan.size);
  // What runs for the first time is slow.
  await publishFor(river, text, plan.forMs / 2);
  const storedPerS = await publishFor(river, text, plan.forMs);
  const { acknowledgedMs, deliveryMs } = await latencies(river, text, plan.forMs / 2);
  const deliveredPerS = await deliver(river, url, { ...plan, text });
  return { storedPerS, acknowledgedMs, deliveredPerS, deliveryMs };
}

/** Messages acknowledged a second. */
async function publishFor(river: River, text: string, forMs: number): Promise<number> {
  const startMs = performance.now();
  let stored = 0;
  const publishOn = async (): Promise<void> => {
    while (performance.now() - startMs < forMs) {
      await river.publish(CHANNEL, text);
      stored += 1;
    }
  };
  await Promise.all(Array.from({ length: WINDOW }, publishOn));
  return Math.round((stored * 1000) / (performance.now() - startMs));
}

async function latencies(
  river: River,
  text: string,
  forMs: number,
): Promise<Pick<Rates, 'acknowledgedMs' | 'deliveryMs'>> {
  const acknowledged: number[] = [];
  const delivered: number[] = [];
  let sentMs = 0;
  let isLive: () => void = () => undefined;
  const live = new Promise<void>((resolve) => (isLive = resolve));
  const subscription = river.subscribe(CHANNEL, {
    onState: (state) => {
      if (state === 'live') isLive();
    },
    onMessage: () => void delivered.push(performance.now() - sentMs),
  });
  await live;
  const startMs = performance.now();
  while (performance.now() - startMs < forMs) {
    sentMs = performance.now();
    await river.publish(CHANNEL, text);
    acknowledged.push(performance.now() - sentMs);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  subscription.unsubscribe();
  return { acknowledgedMs: spread(acknowledged), deliveryMs: spread(delivered) };
}

/** Deliveries a second: subscribers with no library, whose bytes are counted, since reading each would take longer than sending. */
async function deliver(
  river: River,
  url: string,
  { forMs, subscribers, text }: Plan & { readonly text: string },
): Promise<number> {
  let bytes = 0;
  const count = (chunk: Buffer): void => void (bytes += chunk.length);
  const sockets = await Promise.all(Array.from({ length: subscribers }, () => subscriber(url)));
  try {
    for (const socket of sockets) socket.on('data', count);
    const startMs = performance.now();
    await publishFor(river, text, forMs);
    const elapsedMs = performance.now() - startMs;
    const header = text.length < 126 ? 2 : 4;
    return Math.round((bytes * 1000) / (text.length + header) / elapsedMs);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

async function subscriber(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connectTcp({ host: hostname, port: Number(port) });
  // It is told to whoever waits for the first bytes; what comes later is that the server is gone.
  socket.on('error', () => undefined);
  socket.write(
    `GET /ws/broadcast?channel=${CHANNEL} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\n` +
      'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  const [head] = (await once(socket, 'data').catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    const hint = code === 'EMFILE' ? ': raise ulimit -n, or take fewer' : '';
    throw new StartError(`a subscriber can not connect (${code ?? message})${hint}`, 1, { cause: error });
  })) as [Buffer];
  if (head.toString('latin1').startsWith('HTTP/1.1 101')) return socket;
  socket.destroy();
  throw new StartError(`the server refused a subscriber: ${head.toString('latin1').split('\r\n')[0]}`);
}

function spread(values: number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  return { p50: at(0.5), p99: at(0.99) };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

function described(rates: Rates, { size, store, subscribers }: BenchFlags): string {
  const { startMs, storedPerS, acknowledgedMs, deliveredPerS, deliveryMs } = rates;
  const many = (rate: number): string => `${rate.toLocaleString('en')}/s`.padStart(12);
  const times = ({ p50, p99 }: Spread, what: string): string =>
    `${p50} ms`
      .padStart(12)
      .concat(` until ${what}, for half of them; one in a hundred takes ${p99} ms or more`);
  const rows = [
    `${paint('bold', 'stored'.padEnd(14))}${many(storedPerS)} from one publisher, each acknowledged`,
    `${paint('bold', 'delivered'.padEnd(14))}${many(deliveredPerS)} to ${subscribers} subscribers`,
    `${paint('bold', 'acknowledged'.padEnd(14))}${times(acknowledgedMs, 'the publisher is told')}`,
    `${paint('bold', 'seen'.padEnd(14))}${times(deliveryMs, 'a subscriber has it')}`,
    `${paint('bold', 'started'.padEnd(14))}${`${Math.round(startMs)} ms`.padStart(12)} until the server was there`,
  ];
  const kept = store === 'memory' ? 'in memory' : `on the disk of ${tmpdir()}`;
  const where = `${size}-byte messages, kept ${kept}; server and clients on ${cpus().length} processors`;
  return `${rows.join('\n')}\n\n${where}\n`;
}
