/**
 * The server that a command talks to: `--url` or RIVERCAST_URL, `--token` or RIVERCAST_TOKEN. Requests are asked for here;
 * what is to last through restarts goes through the client.
 */
import { type Command, Option } from 'commander';
import { CHANNEL_RULE, DEFAULT_CHANNEL, isChannelName } from '../channels.ts';
import { connect, type River, RiverError } from '../client/index.ts';
import { redactUrl } from '../config/values.ts';
import { StartError } from '../errors.ts';

const DEFAULT_URL = 'http://127.0.0.1:3000';

/** A server that says nothing for longer is not there; removing a million messages takes a while. */
const TIMEOUT_MS = 120_000;

export interface ServerFlags {
  /** `http://127.0.0.1:3000`; `ws:` is as good. */
  readonly url: string;
  /** What the server asks for, if it does. */
  readonly token?: string;
}

export interface Remote {
  /** `http:` or `https:`, with the path that everything lies below. */
  readonly base: URL;
  readonly token: string | undefined;
}

export function addServer(command: Command): Command {
  return command
    .addOption(new Option('--url <url>', 'the server').env('RIVERCAST_URL').default(DEFAULT_URL))
    .addOption(
      new Option('--token <token>', 'what it asks for, if it does: a token or an API key').env(
        'RIVERCAST_TOKEN',
      ),
    );
}

/** A command whose channel may be left out: then it is the default channel, named as for the server. */
export function addDefaultChannel(command: Command): Command {
  return command.addOption(
    new Option('--stream <channel>', 'the channel when none is named').env('STREAM').default(DEFAULT_CHANNEL),
  );
}

/** Throws StartError. */
export function remoteOf({ url, token }: ServerFlags): Remote {
  const base = URL.canParse(url) ? new URL(url.replace(/^ws/i, 'http')) : null;
  if (base === null || !/^https?:$/.test(base.protocol)) {
    throw new StartError(`--url must be the address of a server, such as ${DEFAULT_URL}`, 2);
  }
  base.pathname = base.pathname.replace(/\/$/, '');
  return { base, token };
}

/** Throws StartError. */
export function checkChannel(channel: string): string {
  if (isChannelName(channel)) return channel;
  throw new StartError(`a channel is ${CHANNEL_RULE}: ${JSON.stringify(channel)} is none`, 2);
}

/** The address of a path, which begins with `/` and may have a query. */
function addressOf({ base }: Remote, path: string): URL {
  return new URL(`${base.pathname.replace(/\/$/, '')}${path}`, base);
}

/** Rejects with StartError when there is no answer, or none that says yes: 2 for what was asked wrongly, 1 else. */
export async function ask(remote: Remote, path: string, init: RequestInit = {}): Promise<Response> {
  const response = await request(remote, path, init);
  if (response.ok) return response;
  const text = await response.text();
  const { detail } = parse(text) as { readonly detail?: unknown };
  if (typeof detail !== 'string' && response.status === 404) throw notOurs(remote);
  const why = typeof detail === 'string' ? detail : text.slice(0, 200).split('\n', 1)[0];
  throw new StartError(
    `${shown(addressOf(remote, path))} refused: ${response.status} ${why}`.trimEnd(),
    response.status === 400 ? 2 : 1,
  );
}

/** The body of an answer as an object. Rejects with StartError. */
export async function askFor(
  remote: Remote,
  path: string,
  init: RequestInit = {},
): Promise<Readonly<Record<string, unknown>>> {
  const response = await ask(remote, path, init);
  return parse(await response.text());
}

export function notOurs({ base }: Remote): StartError {
  return new StartError(`${shown(base)} answered, but is no Rivercast server; name it with --url`);
}

/**
 * Rejects with StartError unless a server is there that has the door: the client would go on trying for ever, as it
 * must when a server is away for a while.
 */
export async function mustBeThere(remote: Remote, door: '/ws/manager' | '/ws/broadcast'): Promise<void> {
  const response = await request(remote, door, {});
  const text = await response.text();
  // A request that is no upgrade is told so; whatever is in front of the server may answer otherwise for a while.
  if (response.status >= 429 || response.status === 426) return;
  const { detail } = parse(text) as { readonly detail?: unknown };
  if (typeof detail !== 'string') throw notOurs(remote);
  const roles = door === '/ws/manager' ? 'all or manager' : 'all or broadcaster';
  const hint = response.status === 404 ? `; a server that has it runs with ROLE=${roles}` : '';
  throw new StartError(`${shown(remote.base)} refused: ${response.status} ${detail}${hint}`);
}

/** The client of this server. `maxQueued`: how many messages may wait to be stored; who gives them counts their bytes. */
export async function riverOf({ base, token }: Remote, maxQueued: number): Promise<River> {
  // Half of the commands need no WebSocket, and start the sooner.
  const { GatheringSocket } = await import('./gathering-socket.ts');
  return connect(base.href, {
    WebSocket: GatheringSocket,
    maxQueued,
    maxQueuedBytes: Infinity,
    ...(token === undefined ? {} : { token: () => token }),
  });
}

/** What the client failed with, as a line for whoever typed the command. */
export function failureOf(error: unknown): Error {
  if (!(error instanceof RiverError)) return error as Error;
  const isAskedWrongly = ['bad_request', 'bad_channel', 'bad_cursor'].includes(error.code);
  const hint = error.code === 'unauthenticated' ? '; a valid token is needed, with --token' : '';
  return new StartError(`${error.message}${hint}`, isAskedWrongly ? 2 : 1, { cause: error });
}

async function request(remote: Remote, path: string, init: RequestInit): Promise<Response> {
  const target = addressOf(remote, path);
  const headers = new Headers(init.headers);
  if (remote.token !== undefined) headers.set('Authorization', `Bearer ${remote.token}`);
  try {
    return await fetch(target, { signal: AbortSignal.timeout(TIMEOUT_MS), ...init, headers });
  } catch (error) {
    throw new StartError(
      `no answer from ${shown(target)} (${reasonOf(error)}); name the server with --url, or start one: rivercast`,
      1,
      { cause: error },
    );
  }
}

/** `fetch` hides why behind "fetch failed"; who was refused at each address of a name is told so by a code alone. */
export function reasonOf(error: unknown): string {
  const { cause, message, code } = error as NodeJS.ErrnoException & {
    readonly cause?: NodeJS.ErrnoException;
  };
  return cause?.code ?? cause?.message ?? (message || (code ?? 'unknown'));
}

function shown({ origin }: URL): string {
  return redactUrl(origin);
}

/** Of whoever answered at that address: its members may be anything. */
function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
