/** The connection to the server: the public client, over sockets that can be cut to see what comes of it. */
import { connect, type River, type SocketClass } from '../../../src/client/index.ts';
import { shownToken } from '../access.ts';
import { BASE } from '../route.ts';

/** A close that the client takes for a lost connection. */
const CUT = 4999;

export class Wire {
  readonly river: River;
  readonly #sockets = new Set<WebSocket>();
  #isCut = false;

  constructor() {
    this.river = connect(BASE, {
      token: shownToken,
      WebSocket: this.#socketClass(),
    });
  }

  /** Until it is mended nothing gets through, however often the client tries. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.close(CUT);
  }

  mend(): void {
    this.#isCut = false;
    // What a browser says when its network is back: the client need not wait for its next try.
    dispatchEvent(new Event('online'));
  }

  #socketClass(): SocketClass {
    const sockets = this.#sockets;
    const isCut = (): boolean => this.#isCut;
    const Cuttable = class extends WebSocket {
      constructor(url: string, protocols: string[]) {
        if (isCut()) throw new Error('the connection is cut');
        super(url, protocols);
        sockets.add(this);
        this.addEventListener('close', () => sockets.delete(this));
      }
    };
    // The same at run time: the types of the DOM say more of the events than the client needs.
    return Cuttable;
  }
}
