/**
 * The bodies of requests on their way in, each kept in memory until it is whole. What all the unfinished ones
 * hold together is bounded: beyond it one more piece refuses the request it belongs to, so that many slow
 * uploads can not fill the memory, and none waits for another.
 */
import type { IncomingMessage } from 'node:http';
import type { Asked } from '../request.ts';
import { GrowingBuffer } from './growing-buffer.ts';

const MAX_UNFINISHED_BYTES = 64 * 1024 * 1024;
const NOTHING: Buffer = Buffer.alloc(0);

export class Bodies {
  readonly #maxBytes: number;
  #unfinished = 0;
  #unfinishedBytes = 0;

  /** `maxBytes`: the largest body. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How many bodies are on their way in. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** Counts bytes of something that is not whole yet, or gives them back if negative. False: that is too many. */
  hold(bytes: number): boolean {
    if (bytes > 0 && this.#unfinishedBytes + bytes > MAX_UNFINISHED_BYTES) return false;
    this.#unfinishedBytes += bytes;
    return true;
  }

  /**
   * Hands `take` the body at the moment it is whole: of two requests on one connection, the first one's comes
   * first. Null: the client was gone before. What is left of a refused body is read and dropped, since a
   * connection that is closed with unread bytes may lose the answer as well.
   */
  read<T>(request: IncomingMessage, take: (body: Buffer) => T): Asked<T> | Promise<Asked<T> | null> {
    if (Number(request.headers['content-length'] ?? 0) > this.#maxBytes) return this.#tooLarge();
    if (!request.complete) return request.destroyed ? Promise.resolve(null) : this.#gather(request, take);
    // All of it came with the headers, as of small requests it does: there is nothing to wait for.
    const body = (request.read() as Buffer | null) ?? NOTHING;
    return body.length > this.#maxBytes ? this.#tooLarge() : { ok: take(body) };
  }

  #gather<T>(request: IncomingMessage, take: (body: Buffer) => T): Promise<Asked<T> | null> {
    return new Promise((resolve) => {
      const body = new GrowingBuffer();
      this.#unfinished += 1;
      const settle = (outcome: Asked<T> | null): void => {
        this.#unfinished -= 1;
        request.off('data', add).off('end', finish).off('close', gone);
        request.resume();
        resolve(outcome);
      };
      const stop = (outcome: Asked<T> | null): void => {
        this.hold(-body.length);
        settle(outcome);
      };
      const add = (piece: Buffer): void => {
        if (body.length + piece.length > this.#maxBytes) stop(this.#tooLarge());
        else if (this.hold(piece.length)) body.append(piece);
        else stop(tooMany());
      };
      const finish = (): void => {
        this.hold(-body.length);
        settle({ ok: take(body.take()) });
      };
      const gone = (): void => stop(null);
      request.on('data', add).on('end', finish).on('close', gone);
    });
  }

  #tooLarge(): Asked<never> {
    const detail = `a message has at most ${this.#maxBytes} bytes (MAX_MESSAGE_BYTES)`;
    return { refused: { code: 'too_large', detail } };
  }
}

function tooMany(): Asked<never> {
  const detail = 'too many bytes of unfinished requests are held already; try again';
  return { refused: { code: 'limit_reached', detail } };
}
