/**
 * NATS core: it keeps nothing, so it is the yardstick for fan-out and not for what this is about. Subscribers
 * come over WebSocket, the publisher over plain TCP, which is the faster door.
 *
 * A core subscriber that falls behind is cut at `max_pending`; here it may have 1 GiB and a minute for a write,
 * so that none is. GOMAXPROCS stays unset: it sees the one core it is pinned to.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, listening, scratchDirectory, start } from '../support/processes.ts';
import type { Target } from '../targets.ts';
import { versionOf } from './installed.ts';

const SERVER = 'nats-server';
/** What may lie in the server for all subscribers together: it is no faster with more, nor with half of it. */
const PENDING_BYTES = 512e6;
const LINE_BYTES = 20;

export function natsVersion(): string | null {
  return versionOf(SERVER, ['--version'], /v(\d\S*)/);
}

export const nats: Target = {
  name: 'NATS core',
  expected: 3e6,
  window: ({ subscribers, bytes }) => Math.ceil(PENDING_BYTES / (subscribers * (bytes + LINE_BYTES))),
  start: async () => {
    const [port, webSocketPort] = [await freePort(), await freePort()];
    const config = join(scratchDirectory(), 'nats.conf');
    writeFileSync(
      config,
      `host: 127.0.0.1
port: ${port}
max_pending: 1GB
write_deadline: "60s"
max_connections: 65536
websocket {
  host: 127.0.0.1
  port: ${webSocketPort}
  no_tls: true
  compression: false
}
`,
    );
    const server = start(SERVER, ['-c', config, '-l', `${config}.log`], { core: 'server' });
    const [, readyMs] = [await listening(port, server), await listening(webSocketPort, server)];
    return {
      pid: server.pid,
      redisPid: null,
      publish: { dialect: 'nats', port, path: '' },
      subscribe: { dialect: 'nats', port: webSocketPort, path: '/' },
      readyMs,
      stop: () => server.stop(),
    };
  },
};
