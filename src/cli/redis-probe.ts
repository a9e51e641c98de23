/**
 * Asks a Redis what it is, for `rivercast doctor`: INFO and TIME, over a connection of its own. The client library belongs to the
 * log, which refuses and warns where doctor is to look at everything and advise.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const TIMEOUT_MS = 5000;
/** INFO has some ten KiB. */
const MAX_REPLY_BYTES = 1024 * 1024;

export interface RedisFacts {
  readonly version: string;
  readonly isCluster: boolean;
  readonly hasFile: boolean;
  /** In bytes; 0: as much as there is. */
  readonly maxMemory: number;
  readonly policy: string;
  /** Its clock, minus ours. */
  readonly aheadMs: number;
  readonly roundTripMs: number;
  /** Of the key of the default channel: `stream`, `none` when there is no such key, or what else it is. */
  readonly streamType: string;
}

export interface RedisQuestion {
  readonly caFile: string | null;
  readonly stream: string;
}

/** `text`: as REDIS_URL, but not that of sentinels. Rejects with what stands in the way. */
export async function probeRedis(text: string, { caFile, stream }: RedisQuestion): Promise<RedisFacts> {
  const url = new URL(text.startsWith('/') ? `unix://${text}` : text);
  const socket = open(url, caFile);
  try {
    const { username, password } = url;
    const user = decodeURIComponent(username) || 'default';
    if (password !== '') await call(socket, ['AUTH', user, decodeURIComponent(password)]);
    const database = url.protocol === 'unix:' ? '' : url.pathname.slice(1);
    if (database !== '' && database !== '0') await call(socket, ['SELECT', database]);
    const streamType = String(await call(socket, ['TYPE', stream]));
    const info = String(await call(socket, ['INFO']));
    const askedMs = Date.now();
    const asked = performance.now();
    const [seconds, micros] = (await call(socket, ['TIME'])) as readonly string[];
    const roundTripMs = performance.now() - asked;
    const theirMs = Number(seconds) * 1000 + Number(micros) / 1000;
    const fact = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
    return {
      version: fact('redis_version'),
      isCluster: fact('cluster_enabled') === '1',
      hasFile: fact('aof_enabled') === '1',
      maxMemory: Number(fact('maxmemory')),
      policy: fact('maxmemory_policy'),
      aheadMs: theirMs - (askedMs + roundTripMs / 2),
      roundTripMs,
      streamType,
    };
  } finally {
    socket.destroy();
  }
}

function open(url: URL, caFile: string | null): Socket {
  if (url.protocol === 'unix:') return connect({ path: decodeURIComponent(url.pathname) });
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || 6379);
  if (url.protocol === 'redis:') return connect({ host, port });
  const ca = caFile === null ? {} : { ca: readFileSync(caFile) };
  const name = /^[\d.:]+$/.test(host) ? {} : { servername: host };
  return connectTls({ host, port, ...name, ...ca });
}

type Reply = string | readonly Reply[];

function call(socket: Socket, words: readonly string[]): Promise<Reply> {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const take = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const parsed = parseReply(received.toString('latin1'), 0);
      if (parsed !== null) finish(parsed.reply);
      else if (received.length > MAX_REPLY_BYTES) finish(new Error('this is no Redis'));
    };
    const fail = (error: Error): void => finish(error);
    const gone = (): void => finish(new Error('the connection was closed'));
    const timer = setTimeout(() => finish(new Error('no answer')), TIMEOUT_MS);
    const finish = (outcome: Reply | Error): void => {
      clearTimeout(timer);
      socket.off('data', take).off('error', fail).off('close', gone);
      socket.on('error', () => undefined);
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    socket.on('data', take).on('error', fail).on('close', gone);
    socket.write(`*${words.length}\r\n${parts.join('')}`);
  });
}

interface Parsed {
  readonly reply: Reply | Error;
  /** Behind it. */
  readonly end: number;
}

/** Null: it is not whole yet. */
function parseReply(text: string, from: number): Parsed | null {
  const lineEnd = text.indexOf('\r\n', from);
  if (lineEnd === -1) return null;
  const line = text.slice(from + 1, lineEnd);
  const next = lineEnd + 2;
  switch (text.charAt(from)) {
    case '+':
    case ':':
      return { reply: line, end: next };
    case '-':
      return { reply: new Error(line), end: next };
    case '$': {
      const end = next + Number(line);
      return text.length < end + 2 ? null : { reply: text.slice(next, end), end: end + 2 };
    }
    case '*':
      return parseList(text, next, Number(line));
    default:
      return { reply: new Error('this is no Redis'), end: text.length };
  }
}

function parseList(text: string, from: number, length: number): Parsed | null {
  const replies: Reply[] = [];
  let end = from;
  for (let i = 0; i < length; i++) {
    const parsed = parseReply(text, end);
    if (parsed === null) return null;
    if (parsed.reply instanceof Error) return parsed;
    replies.push(parsed.reply);
    end = parsed.end;
  }
  return { reply: replies, end };
}
