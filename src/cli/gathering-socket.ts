/**
 * The WebSocket that commands give to the client: Node has had one of its own since 22 only. What is sent in one turn of the
 * event loop is written at once: a write for each message would take longer than all else that is done for it.
 */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';

export class GatheringSocket extends WebSocket {
  #socket: Socket | null = null;
  #isGathering = false;

  constructor(url: string, protocols: string[]) {
    // Compressing messages of a hundred bytes one by one gains nothing.
    super(url, protocols, { perMessageDeflate: false });
    this.on('upgrade', ({ socket }: { readonly socket: Socket }) => {
      this.#socket = socket;
    });
  }

  override send(text: string): void {
    const socket = this.#socket;
    if (socket !== null && !this.#isGathering) {
      this.#isGathering = true;
      socket.cork();
      process.nextTick(() => {
        this.#isGathering = false;
        socket.uncork();
      });
    }
    super.send(text);
  }
}
