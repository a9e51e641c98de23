/**
 * Nchan in nginx, one worker, on a Redis of its own: publisher and subscribers over WebSocket, every message one
 * text frame as with us.
 *
 * Its buffer holds more messages than any run sends, since a subscriber that falls out of it misses some. The
 * publisher is held back by a window, as NATS's is.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, listening, type Started, scratchDirectory, start } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import type { Target } from '../targets.ts';
import { versionOf } from './installed.ts';

const SERVER = 'nginx';
const WINDOW = 1000;
const WORKER_LOOKS = 200;
const WORKER_POLL_MS = 5;
const MODULE = '/usr/lib/nginx/modules/ngx_nchan_module.so';

export function nchanVersion(): string | null {
  if (!existsSync(MODULE)) return null;
  const nginx = versionOf(SERVER, ['-v'], /nginx\/(\S+)/);
  return nginx === null ? null : `in nginx ${nginx}`;
}

export const nchan: Target = {
  name: 'Nchan',
  expected: 0.3e6,
  window: () => WINDOW,
  start: async () => {
    const port = await freePort();
    const redis = await startRedis();
    const directory = scratchDirectory();
    const config = join(directory, 'nginx.conf');
    writeFileSync(config, configuration(directory, port, redis.url));
    const server = start(SERVER, ['-c', config, '-p', directory, '-e', `${directory}/error.log`], {
      core: 'server',
    });
    const readyMs = await listening(port, server);
    const stop = async () => {
      await server.stop();
      await redis.stop();
    };
    return {
      pid: await workerOf(server),
      redisPid: redis.pid,
      publish: { dialect: 'raw', port, path: '/publish' },
      subscribe: { dialect: 'raw', port, path: '/subscribe' },
      readyMs,
      stop,
    };
  },
};

/**
 * The master only waits: CPU and memory are those of the worker, which it starts after it has begun to listen.
 * Where a process cannot be asked for its children it is the master after all.
 */
async function workerOf({ pid }: Started): Promise<number> {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return pid;
  for (let look = 0; look < WORKER_LOOKS; look++) {
    const worker = Number.parseInt(readFileSync(file, 'utf8'), 10);
    if (worker > 0) return worker;
    await sleep(WORKER_POLL_MS);
  }
  throw new Error('nginx has no worker');
}

function configuration(directory: string, port: number, redisUrl: string): string {
  return `load_module ${MODULE};
user ${process.env['USER'] ?? 'root'};
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid ${directory}/nginx.pid;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  nchan_shared_memory_size 2048M;
  upstream store { nchan_redis_server ${redisUrl}; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /publish {
      nchan_publisher websocket;
      nchan_channel_id bench;
      nchan_redis_pass store;
      nchan_message_buffer_length 1000000;
      nchan_message_timeout 10m;
    }
    location = /subscribe {
      nchan_subscriber websocket;
      nchan_channel_id bench;
      nchan_redis_pass store;
      nchan_subscriber_first_message newest;
    }
  }
}
`;
}
