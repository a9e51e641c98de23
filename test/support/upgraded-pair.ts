/** Both ends of a connection that a bare HTTP server upgraded, for tests of what the server does with its end. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { handshake, RawSocket } from './raw-socket.ts';
import { within } from './within.ts';

export interface UpgradedPair extends AsyncDisposable {
  readonly client: RawSocket;
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
}

/** The request is sent with `more` header lines, and `behind` in the same packet; it is not answered yet. */
export async function upgradedPair(
  more: readonly string[] = [],
  behind: Buffer = Buffer.alloc(0),
): Promise<UpgradedPair> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = await RawSocket.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const upgrade = once(server, 'upgrade');
  client.write(Buffer.concat([Buffer.from(handshake('/', ...more)), behind]));
  const [request, socket, head] = (await within('the upgrade', upgrade)) as [IncomingMessage, Socket, Buffer];
  return {
    client,
    request,
    socket,
    head,
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
      await client[Symbol.asyncDispose]();
      server.close();
    },
  };
}
