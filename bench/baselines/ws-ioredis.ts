/**
 * The baseline: the plain durable broadcast server that a good Node developer writes in an afternoon, on the
 * same libraries (ws, ioredis) and the same Redis Stream.
 *
 * Why it is fair. Publishing does not wait for each XADD: commands leave as messages come and ioredis writes
 * those of one turn together. Reading blocks on its own connection, takes up to 1,000 entries at once and
 * keeps the payload as a Buffer, so that nothing is decoded or copied into strings. Sending is `ws.send` with
 * that same Buffer, without compression, with a plain loop over a Set. What it does not do is what nobody does
 * in an afternoon: share framed bytes between clients, put several messages into one write, or watch how much
 * a slow client has piled up. It gives no cursor, no replay and no back-pressure, which only makes it faster.
 *
 *   node ws-ioredis.js        PORT, REDIS_URL from the environment
 */
import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import { type WebSocket, WebSocketServer } from 'ws';

const STREAM = 'baseline';
const COUNT = 1000;
const BLOCK_MS = 5000;

const url = process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379';
const writer = new Redis(url);
const reader = new Redis(url);

const server = createServer((_request, response) => response.end('ok\n'));
const sockets = new WebSocketServer({ noServer: true });
const clients: Set<WebSocket> = new Set();

server.on('upgrade', (request, socket, head) => {
  if (request.url === '/ws/manager') sockets.handleUpgrade(request, socket, head, publisher);
  else if (request.url === '/ws/broadcast') sockets.handleUpgrade(request, socket, head, subscriber);
  else socket.destroy();
});

function publisher(client: WebSocket): void {
  client.on('error', () => {});
  client.on('message', (data: Buffer) => {
    writer.xadd(STREAM, '*', 'data', data).catch((error: unknown) => console.error(error));
  });
}

function subscriber(client: WebSocket): void {
  clients.add(client);
  client.on('error', () => {});
  client.on('close', () => clients.delete(client));
}

async function broadcast(): Promise<never> {
  let lastId = '0-0';
  for (;;) {
    const reply = await reader.xreadBuffer('COUNT', COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', STREAM, lastId);
    for (const [id, fields] of reply?.[0]?.[1] ?? []) {
      lastId = id.toString();
      const data = fields[1] as Buffer;
      for (const client of clients) client.send(data, { binary: false });
    }
  }
}

server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1');
await broadcast();
