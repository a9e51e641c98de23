/**
 * The bodies of requests on their way in, each kept in memory until it is whole. What all the unfinished ones
 * hold together is bounded (incomplete.ts): beyond it one more piece refuses the request it belongs to, so that
 * many slow uploads can not fill the memory, and none waits for another.
 */
import type { IncomingMessage } from 'node:http';
import { GrowingBuffer } from '../limits/growing-buffer.ts';
import type { Incomplete } from '../limits/incomplete.ts';
import type { LimitName } from '../limits/limit-counter.ts';
import type { Asked } from '../request.ts';

/** What a request takes beside its body, in objects of Node's and of Fastify's. */
const REQUEST_COST = 8192;
const NOTHING: Buffer = Buffer.alloc(0);

export interface BodiesOptions {
  /** The largest body. */
  readonly maxMessageBytes: number;
  readonly incomplete: Incomplete;
  /** Somebody crossed a limit. */
  readonly crossed: (limit: LimitName) => void;
}

export class Bodies {
  readonly #options: BodiesOptions;
  #unfinished = 0;

  constructor(options: BodiesOptions) {
    this.#options = options;
  }

  /** How many bodies are on their way in. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /**
   * Hands `take` the body at the moment it is whole: of two requests on one connection, the first one's comes
   * first. Null: the client was gone before. What is left of a refused body is read and dropped, since a
   * connection that is closed with unread bytes may lose the answer as well.
   */
  read<T>(request: IncomingMessage, take: (body: Buffer) => T): Asked<T> | Promise<Asked<T> | null> {
    const { maxMessageBytes } = this.#options;
    if (Number(request.headers['content-length'] ?? 0) > maxMessageBytes) return this.#tooLarge();
    if (!request.complete) return request.destroyed ? Promise.resolve(null) : this.#gather(request, take);
    // All of it came with the headers, as of small requests it does: there is nothing to wait for.
    const body = (request.read() as Buffer | null) ?? NOTHING;
    return body.length > maxMessageBytes ? this.#tooLarge() : { ok: take(body) };
  }

  #gather<T>(request: IncomingMessage, take: (body: Buffer) => T): Promise<Asked<T> | null> {
    const { incomplete, maxMessageBytes } = this.#options;
    if (!incomplete.hold(REQUEST_COST)) return Promise.resolve(this.#tooMany());
    return new Promise((resolve) => {
      const body = new GrowingBuffer();
      this.#unfinished += 1;
      const settle = (outcome: () => Asked<T> | null): void => {
        this.#unfinished -= 1;
        incomplete.release(REQUEST_COST + body.capacity);
        request.off('data', add).off('end', finish).off('close', gone);
        request.resume();
        resolve(outcome());
      };
      const add = (piece: Buffer): void => {
        if (body.length + piece.length > maxMessageBytes) settle(() => this.#tooLarge());
        else if (incomplete.hold(body.growth(piece.length))) body.append(piece);
        else settle(() => this.#tooMany());
      };
      const finish = (): void => settle(() => ({ ok: take(body.take()) }));
      const gone = (): void => settle(() => null);
      request.on('data', add).on('end', finish).on('close', gone);
    });
  }

  #tooLarge(): Asked<never> {
    this.#options.crossed('message_bytes');
    const detail = `a message has at most ${this.#options.maxMessageBytes} bytes (MAX_MESSAGE_BYTES)`;
    return { refused: { code: 'too_large', detail } };
  }

  #tooMany(): Asked<never> {
    this.#options.crossed('incomplete_bytes');
    const detail = 'too many bytes of unfinished requests are held already; try again';
    return { refused: { code: 'limit_reached', detail } };
  }
}
