/**
 * The handshake by `ws`, and its socket only when it is needed. Most subscribers never say anything: until one
 * does, its connection is a plain socket, at less than half of the memory.
 *
 * What `ws` is asked for here beyond its documented API (`setSocket`, and a class of one's own for its sockets) is
 * what its server itself does after a handshake; ws-server.test.ts holds it.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { CLOSE } from '../../protocol/close.ts';
import type { Refusals } from '../../refusals.ts';
import { refuseUpgrade } from '../problem.ts';
import { DEFLATE_AGREED, extensionsWith, type Inflater } from './deflate.ts';

/**
 * Bounds that `ws` is given and never meets: what comes in fragments or in pieces is put together before, and counted
 * there by MAX_FRAGMENTS (fast-lane.ts).
 */
const OWN_MAX_FRAGMENTS = 128;
const OWN_MAX_CHUNKS = 1024;

/** A WebSocket that also says why when `ws` itself closes it, for a frame that breaks the protocol. */
export class ReasonedSocket extends WebSocket {
  /** What a close says when nothing else is to be said. */
  reason: (() => string | undefined) | null = null;
  refusals: Refusals | null = null;

  override close(code?: number, reason?: string | Buffer): void {
    // Not the answer to a close of the client, which `ws` sends by itself.
    if (this.readyState === WebSocket.OPEN && Reflect.get(this, '_closeFrameReceived') !== true) {
      this.refusals?.countClose(code ?? CLOSE.normal);
    }
    const said = code === undefined ? reason : (reason ?? this.reason?.());
    super.close(code, said);
  }
}

interface SocketLimits {
  readonly maxPayload: number;
  readonly maxFragments: number;
  readonly maxBufferedChunks: number;
}

/** What of a socket of `ws` its types do not have. */
interface Undocumented {
  setSocket(socket: Socket, head: Buffer, limits: SocketLimits): void;
}

/** What the server of `ws` hands its socket to during the handshake. */
class Handshaken {
  socket: Socket | null = null;
  head: Buffer | null = null;

  setSocket(socket: Socket, head: Buffer): void {
    this.socket = socket;
    this.head = head;
  }
}

export interface Agreed {
  readonly protocol: string | null;
  readonly deflate: boolean;
}

export class WsServer {
  readonly #limits: SocketLimits;
  readonly #options: { readonly autoPong: boolean; readonly closeTimeout: number };
  readonly #server: WebSocketServer;
  readonly #refusals: Refusals;
  /** What was decided for a request, until `ws` asks for it in the same turn. */
  readonly #agreed = new WeakMap<IncomingMessage, Agreed>();

  constructor(maxPayload: number, closeTimeout: number, refusals: Refusals) {
    this.#refusals = refusals;
    this.#limits = { maxPayload, maxFragments: OWN_MAX_FRAGMENTS, maxBufferedChunks: OWN_MAX_CHUNKS };
    this.#options = { autoPong: false, closeTimeout };
    this.#server = new WebSocketServer({
      noServer: true,
      WebSocket: Handshaken as unknown as typeof WebSocket,
      clientTracking: false,
      perMessageDeflate: false,
      handleProtocols: (_offered, request) => this.#agreed.get(request)?.protocol ?? false,
    });
    this.#server.on('headers', (headers: string[], request: IncomingMessage) => {
      if (this.#agreed.get(request)?.deflate === true) {
        headers.push(`Sec-WebSocket-Extensions: ${DEFLATE_AGREED}`);
      }
    });
    // What `ws` itself finds wrong with a handshake is refused as everything else is.
    this.#server.on('wsClientError', (error: Error, socket: Duplex) => {
      refuseUpgrade(socket, { code: 'bad_request', detail: error.message }, refusals);
    });
  }

  /** Answers the handshake. `opened` is called in the same turn with what the client sent behind it. */
  accept(
    {
      request,
      socket,
      head,
    }: { readonly request: IncomingMessage; readonly socket: Socket; readonly head: Buffer },
    agreed: Agreed,
    opened: (head: Buffer) => void,
  ): void {
    this.#agreed.set(request, agreed);
    this.#server.handleUpgrade(request, socket, head, (handshaken) => {
      opened((handshaken as unknown as Handshaken).head as Buffer);
    });
  }

  /** The socket of `ws` for a connection whose handshake is done. `head`: what was received already. */
  socket(socket: Socket, head: Buffer, inflater: Inflater | null): ReasonedSocket {
    const Constructor = ReasonedSocket as unknown as new (
      address: null,
      protocols: undefined,
      options: object,
    ) => ReasonedSocket;
    const made = new Constructor(null, undefined, this.#options);
    made.refusals = this.#refusals;
    if (inflater !== null) Reflect.set(made, '_extensions', extensionsWith(inflater));
    (made as unknown as Undocumented).setSocket(socket, head, this.#limits);
    return made;
  }
}
