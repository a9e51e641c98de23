/**
 * Socket.IO 4 with its Redis Streams adapter, as its documentation shows it: a publisher is a client that emits
 * `p`, and the server emits what it carries to everyone, through the adapter, as `m`.
 *
 * Why it is fair. WebSocket only, so that no client pays for long polling first; no compression and no session
 * recovery, which are its defaults; the Redis client is the faster of the two that the adapter takes.
 *
 *   node socket-io-server.js        PORT, REDIS_URL from the environment
 */
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

const redis = new Redis(process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379');
const server = createServer();
const io = new Server(server, {
  transports: ['websocket'],
  adapter: createAdapter(redis),
  serveClient: false,
});

io.on('connection', (socket) => {
  socket.on('p', (message: string) => io.emit('m', message));
});

server.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1', backlog: 4096 });
