/** What the history over HTTP answers, read and typed. */
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import type { Log, NewEntry } from '../../src/log/log.ts';
import { ManualClock } from './clock.ts';
import { GatedLog } from './gated-log.ts';
import { TestServer } from './running-server.ts';
import { within } from './within.ts';

export interface Message {
  readonly id: string;
  readonly data?: unknown;
  readonly data64?: string;
}

export interface ToldGap {
  readonly requested: string;
  readonly floor: string | null;
  readonly lost: number | null;
  readonly reason: string;
  readonly cursor: string;
}

export interface HistoryBody {
  readonly channel: string;
  readonly epoch: string | null;
  readonly messages: readonly Message[];
  readonly cursor: string;
  readonly tip: string;
  readonly gap: ToldGap | null;
}

export type Line = Message | { readonly gap: ToldGap } | { readonly cursor: string; readonly tip: string };

export interface Answer<Body = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Body;
}

export const CHANNEL = 'local-q';
export const PATH: string = `/api/channels/${CHANNEL}/messages`;
export const NDJSON = 'application/x-ndjson';

/** A server, or its address. */
interface Where {
  readonly address: string;
}

/** `query` is given as names and values, and encoded here. */
export async function ask<Body = Record<string, unknown>>(
  { address }: Where,
  query: Readonly<Record<string, string | number>> = {},
  { headers = {}, method = 'GET', path = PATH }: { headers?: object; method?: string; path?: string } = {},
): Promise<Answer<Body>> {
  const values = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) values.append(name, String(value));
  const url = `${address}${path}?${values.toString()}`;
  const options = { method, headers: { ...headers }, signal: AbortSignal.timeout(20_000) };
  const response = await fetch(url, options);
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json;') === true && method === 'GET';
  const body = (isJson && !text.includes('}\n') && text !== '' ? JSON.parse(text) : {}) as Body;
  return { status: response.status, headers: response.headers, text, body };
}

/** A page of history; anything but 200 is a failure. */
export async function page(
  server: Where,
  query: Readonly<Record<string, string | number>> = {},
  path: string = PATH,
): Promise<HistoryBody> {
  const { status, text, body } = await ask<HistoryBody>(server, query, { path });
  if (status !== 200) throw new Error(`${status} ${text}`);
  return body;
}

/** The same as lines, the whole of them. */
export async function lines(
  server: Where,
  query: Readonly<Record<string, string | number>> = {},
  path: string = PATH,
): Promise<Line[]> {
  const { status, text } = await ask(server, query, { path, headers: { Accept: NDJSON } });
  if (status !== 200) throw new Error(`${status} ${text}`);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

export function dataOf(messages: readonly (Message | Line)[]): unknown[] {
  return messages.filter((line) => 'id' in line).map((line) => line.data ?? line.data64);
}

export function idsOf(messages: readonly (Message | Line)[]): string[] {
  return messages.filter((line) => 'id' in line).map(({ id }) => id);
}

/** A client that has the head of the answer and takes nothing of its body until it is told to. */
export class Reader implements AsyncDisposable {
  readonly response: IncomingMessage;
  /** Resolves when the connection is gone, with whether the answer was whole. */
  readonly ended: Promise<boolean>;

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.on('error', () => undefined);
    this.ended = new Promise((resolve) => response.on('close', () => resolve(response.complete)));
  }

  static async open({ address }: Where, query: string, accept: string = NDJSON): Promise<Reader> {
    const opened = new Promise<IncomingMessage>((resolve, reject) => {
      const options = { headers: { Accept: accept }, agent: false } as const;
      request(`${address}${PATH}?${query}`, options, resolve).on('error', reject).end();
    });
    return new Reader(await within('an answer', opened));
  }

  /** Each line that comes, until there are no more. */
  lines(): AsyncIterable<string> {
    return createInterface({ input: this.response, crlfDelay: Infinity });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.response.destroy();
    await this.ended;
  }
}

export interface Scene extends AsyncDisposable {
  readonly log: GatedLog;
  readonly server: TestServer;
  readonly address: string;
}

/** A server whose log holds the texts 0 to `count` - 1, a millisecond of the clock between each two tens. */
export async function scene(count: number, settings: Record<string, string> = {}): Promise<Scene> {
  const clock = new ManualClock();
  const log = new GatedLog({ clock });
  for (let n = 0; n < count; n++) {
    await log.inner.append(CHANNEL, [{ type: 'text', data: Buffer.from(String(n)) }]);
    if (n % 10 === 9) clock.advance(1);
  }
  const server = await TestServer.start(settings, log);
  return { log, server, address: server.address, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Texts appended to a log by its own door, in batches. */
export async function fill(
  log: Log,
  count: number,
  text: (n: number) => string = String,
  channel: string = CHANNEL,
): Promise<void> {
  for (let from = 0; from < count; from += 1000) {
    const batch = Math.min(1000, count - from);
    const entries = Array.from({ length: batch }, (_, i) => textEntry(text(from + i)));
    await log.append(channel, entries);
  }
}

function textEntry(data: string): NewEntry {
  return { type: 'text', data: Buffer.from(data) };
}
