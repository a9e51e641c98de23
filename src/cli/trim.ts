/**
 * `rivercast trim`: asks a running server to remove the oldest messages of a channel. It goes through the server and
 * not to its files: those belong to one process.
 */
import { CHANNEL_RULE, isChannelName } from '../channels.ts';
import { redactUrl } from '../config/values.ts';
import { StartError } from '../errors.ts';

export const DEFAULT_URL = 'http://127.0.0.1:3000';

/** Removing a million messages takes a while; a server that says nothing for longer is not there. */
const TIMEOUT_MS = 120_000;

export interface TrimAsk {
  readonly channel: string;
  /** An id, a time, or another of the forms that the server takes. */
  readonly before: string;
  /** The server: `http://127.0.0.1:3000`. */
  readonly url: string;
  /** What the server asks for, if it does. */
  readonly token?: string | undefined;
}

/** Of whoever answered at that address: its members may be anything. */
interface Answer {
  readonly removed?: unknown;
  readonly floor?: unknown;
  readonly tip?: unknown;
  readonly detail?: unknown;
}

/** Resolves with a line that says what was done. Rejects with StartError: 2 for what was asked wrongly, 1 else. */
export async function trim({ channel, before, url, token }: TrimAsk): Promise<string> {
  if (!isChannelName(channel)) {
    throw new StartError(`a channel is ${CHANNEL_RULE}: ${JSON.stringify(channel)} is none`, 2);
  }
  const target = targetOf(url, channel, before);
  const response = await ask(target, token);
  const text = await response.text();
  const body = parse(text);
  if (!response.ok) {
    const detail = typeof body.detail === 'string' ? body.detail : text.slice(0, 200);
    throw new StartError(
      `${shown(target)} refused: ${response.status} ${detail}`,
      response.status === 400 ? 2 : 1,
    );
  }
  const { removed, floor, tip } = body;
  if (typeof removed !== 'number' || typeof tip !== 'string') {
    throw new StartError(`${shown(target)} answered, but is no Rivercast server; name it with --url`);
  }
  const left = typeof floor === 'string' ? `what is left begins at ${floor}` : 'nothing is left';
  return `removed ${removed} ${removed === 1 ? 'message' : 'messages'}; ${left}, the last id is ${tip}`;
}

function targetOf(url: string, channel: string, before: string): URL {
  const base = URL.canParse(url) ? new URL(url) : null;
  if (base === null || !/^https?:$/.test(base.protocol)) {
    throw new StartError(`--url must be the address of a server, such as ${DEFAULT_URL}`, 2);
  }
  const path = base.pathname.replace(/\/$/, '');
  return new URL(`${path}/api/channels/${channel}/messages?before=${encodeURIComponent(before)}`, base);
}

async function ask(target: URL, token: string | undefined): Promise<Response> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  try {
    return await fetch(target, { method: 'DELETE', headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw new StartError(
      `no answer from ${shown(target)} (${reasonOf(error)}); name the server with --url`,
      1,
      {
        cause: error,
      },
    );
  }
}

/** `fetch` hides why behind "fetch failed". */
function reasonOf(error: unknown): string {
  const { cause, message } = error as Error & { readonly cause?: { readonly code?: string } };
  return cause?.code ?? message;
}

function shown({ origin }: URL): string {
  return redactUrl(origin);
}

function parse(text: string): Answer {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
