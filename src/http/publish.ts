/**
 * `POST /api/channels/:channel/messages`: an entry, or a batch of them (publish-batch.ts), each answered once it
 * is stored.
 *
 *   guard ─▶ the ask ─▶ room ─▶ the body ─▶ an entry ─▶ Manager ─▶ 201 {"id","duplicate"}, or a problem
 *
 * What small posts have come in one read from a socket is submitted before anything is stored, so it shares a
 * batch. What is held is bounded: per connection (publish-source.ts), by the manager's own bound, in unfinished
 * bodies (publish-body.ts), and in the number of posts. An entry whose client is gone is stored all the same.
 */
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RivercastError } from '../errors.ts';
import type { AppendResult, NewEntry } from '../log/log.ts';
import type { Logger } from '../logger.ts';
import type { Submitter } from '../manager/batcher.ts';
import type { Manager } from '../manager/manager.ts';
import { costOf } from '../manager/pressure.ts';
import { sendProblem } from './problem.ts';
import { type PublishAsk, readPublishAsk } from './publish-ask.ts';
import { Bodies } from './publish-body.ts';
import { entryOf } from './publish-entry.ts';
import { Source } from './publish-source.ts';
import type { Asked, Refusal } from './request.ts';

/** Received and not yet answered, in all. Each takes some KiB beside its body. */
const MAX_POSTS = 10_000;
/** What a post counts for in the bound of its connection, beside its entry. */
const POST_BYTES = 2048;

export interface PublishingOptions {
  readonly manager: Manager;
  readonly logger: Logger;
  readonly maxMessageBytes: number;
}

type Route = { Params: { channel: string } };

export class Publishing {
  readonly #options: PublishingOptions;
  readonly #bodies: Bodies;
  readonly #sources = new WeakMap<Socket, Source>();
  #posts = 0;

  constructor(options: PublishingOptions) {
    this.#options = options;
    this.#bodies = new Bodies(options.maxMessageBytes);
  }

  /** Received and not yet answered. */
  get posts(): number {
    return this.#posts;
  }

  async answer(request: FastifyRequest<Route>, reply: FastifyReply): Promise<FastifyReply> {
    const asked = readPublishAsk(request.params.channel, request.raw);
    if ('refused' in asked) return sendProblem(reply, asked.refused);
    if (this.#posts >= MAX_POSTS) {
      const detail = `${MAX_POSTS} posts wait for an answer already; try again`;
      return sendProblem(reply, { code: 'limit_reached', detail });
    }
    this.#posts += 1;
    const outcome = await this.#post(asked.ok, request).finally(() => (this.#posts -= 1));
    if (outcome === null) return reply.hijack();
    if ('refused' in outcome) return sendProblem(reply, outcome.refused);
    const { id, duplicate } = outcome.ok;
    return reply
      .code(201)
      .type('application/json; charset=utf-8')
      .send(`{"id":"${id}","duplicate":${duplicate}}`);
  }

  /** Null: the client was gone before the body was whole. */
  async #post(ask: PublishAsk, { raw }: FastifyRequest<Route>): Promise<Asked<AppendResult> | null> {
    const source = this.#sourceOf(raw.socket);
    if (source.isFull) await source.room();
    const read = await this.#bodies.read(raw, (body) => {
      const entry = entryOf(ask, body);
      return 'refused' in entry ? entry : this.#submit(source, ask.channel, entry.ok);
    });
    return read === null || 'refused' in read ? read : read.ok;
  }

  #submit(source: Source, channel: string, entry: NewEntry): Promise<Asked<AppendResult>> {
    const bytes = costOf(entry) + POST_BYTES;
    source.add(bytes);
    return new Promise((resolve) => {
      const settle = (outcome: Asked<AppendResult>): void => {
        source.settle(bytes);
        resolve(outcome);
      };
      const submitter: Submitter = {
        isAnswered: true,
        stored: (_entry, result) => settle({ ok: result }),
        failed: (_entry, error) => settle({ refused: refusalOf(error, this.#options.logger) }),
      };
      this.#options.manager.submit(channel, entry, submitter);
      // Not read on when it is full now.
      void source.isFull;
    });
  }

  #sourceOf(socket: Socket): Source {
    let source = this.#sources.get(socket);
    if (source === undefined) {
      source = new Source(this.#options.manager, socket);
      this.#sources.set(socket, source);
    }
    return source;
  }
}

/** What a publisher is told of an entry that could not be stored, or not in time. */
function refusalOf(error: unknown, logger: Logger): Refusal {
  if (error instanceof RivercastError) return { code: error.code, detail: error.message };
  logger.error({ err: error }, 'a message could not be stored');
  return { code: 'internal', detail: 'the server failed to store the message' };
}
