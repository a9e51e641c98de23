/**
 * An HTTP server behind TLS. What came before a handshake was done is nobody's request, and a handshake that is not
 * done in time, or went wrong, ends its connection without a word. One that dawdles with a byte at a time is no
 * exception: what comes does not move the end of its time.
 */
import { constants } from 'node:crypto';
import type { RequestListener, ServerOptions } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { Pair } from './certificate.ts';

/** A client could have a handshake done again and again on one connection, each at the cost of a new one. */
const AGREED: SecureContextOptions = {
  minVersion: 'TLSv1.2',
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
};

export interface SecureOptions extends ServerOptions {
  readonly pair: Pair;
  readonly handshakeTimeout: number;
}

export function createSecureServer({ pair, ...options }: SecureOptions, answer: RequestListener): Server {
  // As for plain connections: who has said everything may still be answered.
  const server = createServer({ ...options, ...AGREED, ...inPem(pair), allowHalfOpen: true }, answer);
  // Node would have them answered as a request that is none.
  server.removeAllListeners('tlsClientError');
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  const accepted = new Set<Socket>();
  connections.set(server, accepted);
  server.on('connection', (socket: Socket) => {
    accepted.add(socket);
    socket.once('close', () => accepted.delete(socket));
  });
  return server;
}

/** For the connections that come from now on. */
export function replacePair(server: Server, pair: Pair): void {
  server.setSecureContext({ ...AGREED, ...inPem(pair) });
}

/** Ends all connections, those included whose handshake is not done. */
export function cutAll(server: object): void {
  for (const socket of connections.get(server) ?? []) socket.destroy();
}

/** What they carry is encrypted: the HTTP server knows others. */
const connections = new WeakMap<object, Set<Socket>>();

function inPem({ cert, key }: Pair): Pair {
  return { cert, key };
}
