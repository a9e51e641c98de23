/**
 * Rivercast inside of a program that has an HTTP server of its own:
 *
 *   const river = await createServer({ store: 'memory' });
 *   river.attach(server, { prefix: '/live' });          // a server of node:http, node:https
 *   app.register(river.plugin, { prefix: '/live' });    // or an application of Fastify
 *
 * It does not listen, reads no environment variables unless told, and leaves signals to its host.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CHANNEL_RULE, isChannelName } from './channels.ts';
import { systemClock } from './clock.ts';
import { ConfigError, loadConfig } from './config.ts';
import { RivercastError } from './errors.ts';
import { Attachments, type Plugin } from './http/listen/attachments.ts';
import { type FollowOptions, follow, type LocalSubscription } from './local-subscription.ts';
import { openLog } from './log/open.ts';
import { createLogger, type Logger } from './logger.ts';
import type { Manager } from './manager/manager.ts';
import { readEntry, type WrittenEntry } from './protocol/entry-json.ts';
import { type ServerStats, startBehind } from './server.ts';

/** Settings by their names in camel case: `{ store: 'memory', maxMessageBytes: '64kib' }`. */
export type Settings = Readonly<Record<string, string | number | boolean>>;

export interface CreateOptions {
  /** Where settings that are not given come from, by the names of environment variables. Default: nowhere. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: lines of JSON on stderr, from `logLevel` on (`warn`). */
  readonly logger?: Logger;
}

export interface AttachOptions {
  /** `/live`: everything is below it. Absent: the doors alone, at their own paths. */
  readonly prefix?: string;
}

export interface PublishOptions {
  /** 1 to 128 bytes of UTF-8: an entry with the same key is not stored twice (IDEMPOTENCY_WINDOW_MS). */
  readonly key?: string;
}

/** `id`: of the entry. `duplicate`: it was stored before, by its key. */
export interface Published {
  readonly id: string;
  readonly duplicate: boolean;
}

export interface AttachedServer {
  /** Takes what is ours from a server, and leaves it the rest. To be called when its own listeners are there. */
  attach(server: Server, options?: AttachOptions): void;
  /** A plugin of Fastify; the prefix is that of `register`. Closing the application closes this too. */
  readonly plugin: Plugin;
  /** For routers of another kind: answers a request, whose path has no prefix any more. */
  request(request: IncomingMessage, response: ServerResponse): void;
  /** The same for an upgrade. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void;
  /**
   * Resolves once the message is stored. A string is stored as text, bytes (which must not change until then) as they are, anything else as JSON.
   * Rejects with RivercastError: what is refused on every door, `overloaded` above MANAGER_BUFFER_BYTES, `not_found`
   * with ROLE=broadcaster.
   */
  publish(channel: string, data: unknown, options?: PublishOptions): Promise<Published>;
  /**
   * Follows a channel as a client does, without a connection: `onMessage` is given each message, or `for await` takes them. Resolves
   * once it has its place. Rejects with RivercastError: `bad_channel`, `bad_cursor`, `log_unavailable`, `limit_reached`, `draining`,
   * `not_found` with ROLE=manager.
   */
  subscribe<Data = unknown>(channel: string, options?: FollowOptions<Data>): Promise<LocalSubscription<Data>>;
  stats(): ServerStats;
  /** Resolves with the reason when it can not go on: its store failed. Close it then. */
  readonly failed: Promise<Error>;
  /**
   * Stores what publishers sent, delivers what is stored, tells subscribers where to resume, and gives the paths back to
   * the host. Resolves within the times of DRAIN_SECONDS and DRAIN_TIMEOUT_MS; false when something was left undone.
   * Idempotent. To be called before the host's server is closed, which would wait for WebSockets.
   */
  close(): Promise<boolean>;
}

/** Of no meaning where nobody listens. */
const NOT_HERE = ['port', 'tlsCert', 'tlsKey'];

/** Rejects with ConfigError when a setting is wrong, with StartError when it cannot start. */
export async function createServer(
  settings: Settings = {},
  options: CreateOptions = {},
): Promise<AttachedServer> {
  const wrong = NOT_HERE.filter((name) => settings[name] !== undefined);
  if (wrong.length > 0) {
    throw new ConfigError(wrong.map((name) => `"${name}" is the host's: this server does not listen`));
  }
  const config = loadConfig({ env: { LOG_LEVEL: 'warn', ...options.env }, flags: settings });
  const logger = options.logger ?? createLogger({ level: config.logLevel });
  const started = await startBehind({
    ...{ config, logger, open: openLog },
    enter: async ({ front }) => new Attachments(front),
  });
  const { running, entrance, manager, broadcaster } = started;
  let isStopping = false;
  const close = (): Promise<boolean> => {
    isStopping = true;
    return running.stop();
  };
  return {
    attach: (server, { prefix = '' } = {}) => entrance.attach(server, prefix),
    plugin: async (scope) => {
      await entrance.plug(scope);
      // Before the application waits for its connections to end.
      scope.addHook('preClose', async () => {
        await close();
      });
    },
    request: entrance.request,
    upgrade: entrance.upgrade,
    publish: async (channel, data, { key } = {}) => {
      if (manager === null) throw new RivercastError('not_found', 'nothing is published here, by ROLE');
      if (manager.unstoredBytes >= config.manager.bufferBytes) {
        throw new RivercastError('overloaded', 'what waits to be stored fills MANAGER_BUFFER_BYTES');
      }
      return submit(manager, channel, entryOf(data, key, config.manager.maxMessageBytes));
    },
    subscribe: async (channel, wanted = {}) => {
      if (broadcaster === null) throw new RivercastError('not_found', 'nothing is followed here, by ROLE');
      return follow(
        { broadcaster, clock: systemClock, logger, isStopping: () => isStopping },
        channel,
        wanted,
      );
    },
    stats: () => running.stats(),
    failed: running.failed,
    close,
  };
}

/** Throws RivercastError `bad_request` or `too_large`. */
function entryOf(data: unknown, key: string | undefined, maxBytes: number): WrittenEntry {
  const isBytes = data instanceof Uint8Array;
  // What JSON has no words for.
  if (['function', 'symbol', 'bigint'].includes(typeof data)) {
    throw new RivercastError('bad_request', `a message cannot be a ${typeof data}`);
  }
  const entry = readEntry({ data: isBytes ? '' : data, key }, maxBytes);
  if (entry.type === 'wrong') throw new RivercastError(entry.code, entry.message);
  if (!isBytes) return entry;
  if (data.length > maxBytes)
    throw new RivercastError('too_large', `a message has at most ${maxBytes} bytes`);
  return { ...entry, type: 'binary', data: Buffer.from(data.buffer, data.byteOffset, data.length) };
}

function submit(manager: Manager, channel: string, entry: WrittenEntry): Promise<Published> {
  if (!isChannelName(channel)) throw new RivercastError('bad_channel', `a channel is ${CHANNEL_RULE}`);
  return new Promise((resolve, reject) => {
    manager.submit(channel, entry, {
      origin: 'http',
      isAnswered: true,
      stored: (_entry, { id, duplicate }) => resolve({ id, duplicate }),
      failed: (_entry, error) => reject(error instanceof Error ? error : new Error(String(error))),
    });
  });
}
