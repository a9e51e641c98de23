/** Socket.IO as a target. It does not wait for Redis before it sends to its own clients. */
import { join } from 'node:path';
import { freePort, listening, ONE_HELPER, start } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import type { Target } from '../targets.ts';

const PATH = '/socket.io/?EIO=4&transport=websocket';

export const socketIo: Target = {
  name: 'Socket.IO + Redis Streams',
  expected: 0.3e6,
  start: async () => {
    const port = await freePort();
    const redis = await startRedis();
    const server = start(
      process.execPath,
      [...ONE_HELPER, join(import.meta.dirname, 'socket-io-server.js')],
      {
        core: 'server',
        env: { PORT: `${port}`, REDIS_URL: redis.url },
      },
    );
    const readyMs = await listening(port, server);
    const stop = async () => {
      await server.stop();
      await redis.stop();
    };
    const door = { dialect: 'socket.io', port, path: PATH } as const;
    return { pid: server.pid, redisPid: redis.pid, publish: door, subscribe: door, readyMs, stop };
  },
};
