/**
 * Whether the other side has reset a connection that is not read. Nothing tells of that: it would come as an error of
 * the next read, and the next write would destroy the socket with all that waits in it. But the kernel knows no
 * peer of such a socket any more, and still holds what it had sent.
 *
 * The handle of a socket is not part of Node's documented API, whose `remoteAddress` remembers what it said once.
 * Without it nothing is lost but that what waits: the second write to such a connection ends it.
 */
import type { Socket } from 'node:net';

interface Handle {
  /** 0, or why there is none. */
  getpeername?(out: object): number;
}

export function isReset(socket: Socket): boolean {
  const handle = Reflect.get(socket, '_handle') as Handle | null | undefined;
  const asked = handle?.getpeername?.({});
  return asked !== undefined && asked !== 0;
}
