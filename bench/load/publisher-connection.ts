/** Opens the connection of a publisher: resolves once the server takes messages on it. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Door } from './dialects.ts';
import { clientFrame } from './frames.ts';
import { Handshake } from './handshake.ts';
import { NATS_CONNECT } from './nats.ts';

const OPCODE_TEXT = 0x1;
const OPCODE_PING = 0x9;
const PING_BYTE = 0x80 | OPCODE_PING;
const SOCKET_IO_PING = Buffer.from([0x80 | OPCODE_TEXT, 1, 0x32]);
const PONG = clientFrame(0xa, '');

export async function openPublisher({ dialect, port, path }: Door): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (dialect === 'nats') await openNats(socket);
  else await openWebSocket(socket, { dialect, port, path });
  return socket;
}

async function openNats(socket: Socket): Promise<void> {
  socket.write(`${NATS_CONNECT}PING\r\n`);
  await heard(socket, 'PONG\r\n');
  socket.on('data', (chunk) => {
    if (chunk.includes('PING\r\n')) socket.write('PONG\r\n');
  });
}

async function openWebSocket(socket: Socket, { dialect, port, path }: Door): Promise<void> {
  const handshake = new Handshake({ path, port });
  socket.write(handshake.request);
  const [head] = (await once(socket, 'data')) as [Buffer];
  const step = handshake.feed(head, head.length);
  if (step.state !== 'open') throw new Error(`publisher: ${JSON.stringify(step)}`);
  if (dialect === 'socket.io') {
    socket.write(clientFrame(OPCODE_TEXT, '40'));
    await heard(socket, '40{');
  }
  // What comes back must be read even when it says nothing: an unread answer would stall the peer.
  socket.on('data', (chunk) => {
    if (chunk[0] === PING_BYTE) socket.write(PONG);
    else if (chunk.equals(SOCKET_IO_PING)) socket.write(clientFrame(OPCODE_TEXT, '3'));
  });
}

async function heard(socket: Socket, word: string): Promise<void> {
  let text = '';
  while (!text.includes(word)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    text += chunk.toString('latin1');
  }
}
